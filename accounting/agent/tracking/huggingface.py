"""A callback for the Hugging Face Trainer: the training is a job. Needs transformers, loaded when it is made."""

import functools
from importlib import import_module
from typing import Any

from accounting.agent.track import Track, track


@functools.cache
def _kind_of_callback() -> type:
    base: Any = import_module("transformers").TrainerCallback

    class FootprintCallback(base):  # type: ignore[misc]
        """Posts the training as a job from its first step to its last; `job.footprint()` reads it back."""

        def __init__(self, job: str | None, options: dict[str, Any]) -> None:
            self._given, self._options = job, options
            self.job: Track | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            name = getattr(args, "run_name", None) or ""
            model = getattr(getattr(more.get("model"), "config", None), "_name_or_path", "") or ""
            told: dict[str, Any] = {"name": name, "kind": "training", "model": model}
            self.job = track(self._given, **(told | self._options)).start()

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if self.job is not None:
                self.job.stop()

    return FootprintCallback


def trainer_callback(job: str | None = None, **options: Any) -> Any:
    """For `Trainer(callbacks=[trainer_callback("train-42", project="resnet")])`; options are those of `track`.

    A training that an exception ends is closed when its process ends, or with `callback.job.stop()`.

    Raises:
        ImportError: transformers is not installed.
    """
    return _kind_of_callback()(job, options)
