"""A callback for the Lightning Trainer: each fit is a job. Needs lightning or pytorch-lightning, loaded late."""

import functools
from importlib import import_module
from typing import Any

from accounting.agent.track import Track, track


@functools.cache
def _kind_of_callback() -> type:
    base: Any = _callback_base()

    class FootprintCallback(base):  # type: ignore[misc]
        """Posts the fit as a job, also one that an exception ends; `job.footprint()` reads it back."""

        def __init__(self, job: str | None, options: dict[str, Any]) -> None:
            self._given, self._options = job, options
            self.job: Track | None = None

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            told = {"kind": "training", "model": type(pl_module).__name__}
            self.job = track(self._given, **(told | self._options)).start()

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self._stop()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._stop()

        def _stop(self) -> None:
            if self.job is not None:
                self.job.stop()

    return FootprintCallback


def lightning_callback(job: str | None = None, **options: Any) -> Any:
    """For `Trainer(callbacks=[lightning_callback("train-42", project="resnet")])`; options are those of `track`.

    Raises:
        ImportError: neither lightning nor pytorch-lightning is installed.
    """
    return _kind_of_callback()(job, options)


def _callback_base() -> Any:
    try:
        return import_module("lightning.pytorch").Callback
    except ModuleNotFoundError:
        return import_module("pytorch_lightning").Callback
