"""The child that touches a model: started, listened to, and ended as a whole.

Its environment is built from a short list of names, never copied: a model's code finds no database, key or token.
`confine.py` does what only the child itself can do: leave the network, cover the data folder, die with its parent.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONFINE = Path(__file__).with_name("confine.py")
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
        "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # fmt: skip
MAX_LINE_BYTES = 1 << 20
STDERR_TAIL_BYTES = 2000
FOLDER_PREFIX = "greenai-child-"


@dataclass
class Child:
    """A confined process and the lines it prints. Use `confined` to make one."""

    process: subprocess.Popen[bytes]
    folder: Path  # its own: working directory, HOME and TMPDIR; gone when the context ends
    granted: dict[str, str] = field(default_factory=dict)  # what the kernel granted, once the child has begun
    _lines: "queue.Queue[tuple[bytes, int] | None]" = field(default_factory=queue.Queue)

    def lines(self, *, every_s: float) -> Iterator[tuple[bytes, int] | None]:
        """(line, monotonic ns when it came), with a None at least every `every_s`; ends with its standard output."""
        while True:
            try:
                said = self._lines.get(timeout=every_s)
            except queue.Empty:
                yield None
                continue
            if said is None:
                return
            yield said

    def give(self, text: str) -> None:
        """All of the child's standard input. A child that is gone reads nothing, and its end says why."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(text.encode())

    def exit_words(self) -> str:
        """How it ended, for people, with the last lines of its standard error."""
        code = self.process.wait()
        how = f"exit status {code}" if code < 128 else f"killed by {_signal_name(code - 128)}"
        tail = (self.folder / "stderr").read_bytes()[-STDERR_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{how}; last words: {tail}" if tail else how

    def kill(self) -> None:
        """End the child with everything it started. Harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            first = stdout.readline(MAX_LINE_BYTES)
            with contextlib.suppress(ValueError):  # it died before its first word
                self.granted = {key: str(value) for key, value in json.loads(first).items()}
            while line := stdout.readline(MAX_LINE_BYTES):
                self._lines.put((line, time.monotonic_ns()))
        self._lines.put(None)


@contextlib.contextmanager
def confined(
    argv: Sequence[str], *, import_from: Path, hide: Sequence[Path] = (), keep: Sequence[Path] = ()
) -> Iterator[Child]:
    """Run `argv` confined, in a new folder; on leaving, whatever happened, the process group and the folder are gone.

    Args:
        import_from: where the child's Python finds our packages.
        hide: folders and files that must not be readable there: the data folder, token files.
        keep: folders within the hidden ones that stay as they are.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    limits = {"parent": os.getpid(), "hide": [str(path) for path in hide], "keep": [str(path) for path in keep]}
    try:
        with (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-I", str(CONFINE), json.dumps(limits), *argv],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                cwd=folder, env=environment(folder, import_from), start_new_session=True,
            )  # fmt: skip
        child = Child(process, folder)
        listener = threading.Thread(target=child._listen, name="child-events", daemon=True)
        listener.start()
        try:
            yield child
        finally:
            child.kill()
            listener.join(timeout=10)
            with contextlib.suppress(BrokenPipeError):
                child.process.stdin.close()  # type: ignore[union-attr]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_over() -> None:
    """Remove the folders of children whose worker was killed: they could not remove their own."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        worker = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if worker.isdecimal() and not Path(f"/proc/{worker}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path, import_from: Path) -> dict[str, str]:
    """Everything a child's environment holds."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(import_from), "PYTHONUNBUFFERED": "1"}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return kept | own | offline


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
