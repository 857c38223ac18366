"""Run one command without network, credentials or a way to outlive its parent. Standard library only; Linux.

    python -I confine.py '{"parent": 4711, "hide": ["/srv/greenai/var"], "keep": […]}' program argument…

The process stays as a guard over the program: it leads the process group, and when the worker dies, however it dies,
the kernel sends it SIGTERM and it kills the whole group. The first line on stdout says what the kernel granted.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MAX_FILE_BYTES = 64 << 30  # a runaway write ends before the disk does
OUT_OF_MEMORY_SCORE = "1000"  # the kernel takes the child, not the worker

libc = ctypes.CDLL(None, use_errno=True)


def main(limits: dict[str, Any], argv: list[str]) -> int:
    signal.signal(signal.SIGTERM, _kill_group)
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != limits["parent"]:  # it died before the line above
        return 1
    granted = {"event": "confined", "network": _cut_network(), "files": _hide(limits["hide"], limits["keep"])}
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit()
    print(json.dumps(granted), flush=True)
    return _guard(argv)


def _guard(argv: list[str]) -> int:
    """Start the program and answer with its exit status; a signal's number plus 128, as a shell does."""
    guard, program = os.getpid(), os.fork()
    if program == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        os.execv(argv[0], argv)
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _cut_network() -> str:
    """Leave every network and, with it, own the mounts: "none", or why the network stays reachable."""
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) == 0:
        return "none"
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0:
        return f"reachable: the kernel refused a namespace ({os.strerror(ctypes.get_errno())})"
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        return f"none, but the user could not be mapped ({error.strerror})"
    return "none"


def _hide(paths: list[str], kept: list[str]) -> str:
    """Cover the product's own files but for the kept folders: "hidden", or why they can be read."""
    if not paths:
        return "hidden"
    if not _mount(b"none", b"/", None, MS_REC | MS_PRIVATE):
        return f"readable: the kernel refused a private mount ({os.strerror(ctypes.get_errno())})"
    open_ones = {path: os.open(path, os.O_PATH) for path in kept}  # reachable by number once they are covered
    for path in filter(os.path.exists, paths):
        is_folder = os.path.isdir(path)
        covered = (
            _mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=64k")
            if is_folder
            else _mount(b"/dev/null", os.fsencode(path), None, MS_BIND)
        )
        if not covered:
            return f"readable: {path} could not be covered ({os.strerror(ctypes.get_errno())})"
    for path, number in open_ones.items():
        os.makedirs(path, exist_ok=True)
        if not _mount(b"/proc/self/fd/%d" % number, os.fsencode(path), None, MS_BIND):
            raise OSError(ctypes.get_errno(), f"{path} could not be kept: {os.strerror(ctypes.get_errno())}")
        os.close(number)
    return "hidden"


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> bool:
    return bool(libc.mount(source, target, kind, flags, data) == 0)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = MAX_FILE_BYTES if hard == resource.RLIM_INFINITY else min(MAX_FILE_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(OUT_OF_MEMORY_SCORE)
    except OSError as error:  # after a user namespace without mapping; the run goes on
        print(f"oom_score_adj: {error}", file=sys.stderr)


def _kill_group(_signal: int, _frame: object) -> None:
    os.killpg(0, signal.SIGKILL)


def _call(name: str, *arguments: int) -> None:
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}{arguments}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
