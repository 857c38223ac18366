"""Peak memory of one variant, read in a fresh process that holds nothing else.

A process that has seen other variants keeps their pages, so its own figure would mean nothing. Fresh processes are
forked from a server that has the libraries imported and no model loaded: the same floor for every variant.
"""

import contextlib
import multiprocessing
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READINGS = 3
RESOLUTION = 0.01  # page-level chance between two runs of one program; smaller ratios are not called a difference
TIMEOUT_S = 600.0


class PeakUnknown(RuntimeError):
    """The fresh process died or did not answer."""


def reset_peak() -> None:
    """Start counting this process's peak anew (Linux); where that is not allowed, the peak so far stays in."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Largest resident memory of this process since it began, or since `reset_peak` (proc(5): VmHWM).

    Raises:
        PeakUnknown: no such line, for example because this is not Linux.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if not found:
        raise PeakUnknown("/proc/self/status has no VmHWM line: peak memory is read on Linux only")
    return int(found.group(1)) * 1024


def fresh_peaks(work: Callable[..., int], arguments: Sequence[Any], *, preload: Sequence[str]) -> list[int]:
    """What `work(*arguments)` answers in each of three fresh processes: it should end with `peak_bytes()`.

    `preload` names modules that the fork server imports once.

    Raises:
        PeakUnknown: a process failed; the message has its error.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return [_ask(context, work, arguments) for _ in range(READINGS)]


def _ask(context: Any, work: Callable[..., int], arguments: Sequence[Any]) -> int:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, tuple(arguments)), daemon=True)
    process.start()
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(TIMEOUT_S) else f"no answer within {TIMEOUT_S:g} s"
    except EOFError:
        answer = "it died, perhaps for want of memory"
    finally:
        ours.close()
        process.kill()  # it has answered or it never will
        process.join()
    if isinstance(answer, str):
        raise PeakUnknown(f"peak memory could not be read in a fresh process: {answer}")
    return int(answer)


def _answer(pipe: Any, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(work(*arguments))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
    finally:
        pipe.close()
