"""The three clocks the loop needs, in one place so that a test can turn them."""

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path


class Clock:
    """Wall clock for stamps only; monotonic for pacing; uptime to compare across restarts of the agent."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        time.sleep(seconds)

    def uptime_s(self) -> float:
        """Seconds since the machine booted, sleep included; never set back by a person or by NTP."""
        boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime(boottime)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def machine_boot_id(proc: Path = Path("/proc")) -> str:
    """The kernel's name for this boot. Where it has none, a new one each time: then no counter outlives the agent."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return uuid.uuid4().hex
