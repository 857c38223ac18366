"""`make test`: installs the servers the tests need where it can, runs the suite on both pairs of database and broker.

Pass 1: SQLite and the filesystem transport. Pass 2: PostgreSQL and Redis, started here in a throwaway folder.
What cannot run for want of a program is named in the last lines; with CI=true it is a failure.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import (  # noqa: E402
    find_chromium,
    find_postgres,
    find_prometheus,
    find_redis,
    postgres,
    redis,
)

PACKAGES = {"PostgreSQL": "postgresql", "Redis": "redis-server", "Chromium": "chromium", "Prometheus": "prometheus"}
NEEDED_FOR = {"Chromium": "the browser tests", "Prometheus": "the trial with Prometheus itself"}
TOUCHES_NO_DATABASE = "not torch_training"


@dataclass(frozen=True, slots=True)
class Pass:
    title: str
    env: dict[str, str]
    markers: Sequence[str]


def missing_programs() -> list[str]:
    found = {
        "PostgreSQL": find_postgres(),
        "Redis": find_redis(),
        "Chromium": find_chromium(),
        "Prometheus": find_prometheus(),
    }
    return [name for name, path in found.items() if path is None]


def install(names: Sequence[str]) -> None:
    if not names or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    packages = [PACKAGES[name] for name in names]
    print(f"Installing {', '.join(packages)} with apt-get ...", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=env, check=False)


@contextmanager
def second_pair(folder: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder / "postgres"))
        broker = stack.enter_context(redis(folder / "redis"))
        yield {"DATABASE_URL": database, "REDIS_URL": broker}


def run_pytest(title: str, *, env: dict[str, str], markers: Sequence[str], arguments: Sequence[str]) -> int:
    print(f"\n=== {title}", flush=True)
    with tempfile.TemporaryDirectory(prefix="greenai-test-") as data:
        environment = {**os.environ, "GREENAI_DATA_DIR": data, **env}
        select = ["-m", " and ".join(markers)] if markers else []
        command = [sys.executable, "-m", "pytest", *select, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    install(missing_programs())
    missing = missing_programs()
    markers = [] if os.environ.get("GREENAI_TEST_FULL") else ["not slow"]
    if "Chromium" in missing:
        markers.append("not browser")
    codes = [run_pytest("SQLite and filesystem transport", env={}, markers=markers, arguments=arguments)]
    if not {"PostgreSQL", "Redis"} & set(missing):
        with tempfile.TemporaryDirectory(prefix="greenai-servers-") as folder, second_pair(Path(folder)) as env:
            both = [*markers, TOUCHES_NO_DATABASE]
            codes.append(run_pytest("PostgreSQL and Redis", env=env, markers=both, arguments=arguments))
    for name in missing:
        what = NEEDED_FOR.get(name, "the pass on PostgreSQL and Redis")
        print(f"NOT RUN: {what}, for want of {name}. Get it: apt-get install {PACKAGES[name]}")
    if missing and os.environ.get("CI") == "true":
        print("CI=true: anything not run is a failure.")
        return 1
    return int(any(codes))  # one that a signal ended has a code below zero


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
