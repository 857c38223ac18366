"""What single fields of `sacct` mean: joules, seconds, instants, trackable resources. Pure.

How sacct makes them: Slurm's src/sacct/print.c (energy with a suffix counts in thousands) and parse_time.c.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NOTHING = {"", "unknown", "none", "n/a", "invalid", "none assigned", "(null)"}
_NOT_MEASURED = {  # NO_VAL64, INFINITE64, NO_VAL, INFINITE, and what is left of the first two as floats
    0.0,
    18446744073709551615.0,
    4294967294.0,
    4294967295.0,
}
_THOUSANDS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_MOST_J = 1e15
_ENERGY = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)", re.IGNORECASE)
_ELAPSED = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.(\d+))?")


class NotReadable(ValueError):
    """A field holds something else than it should; the message says what."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in UTC. `doubtful`: the clocks went back or forward then, so that another one may be meant."""

    at: datetime
    doubtful: bool = False


def energy_j(text: str) -> float | None:
    """Joules of ConsumedEnergyRaw, or of ConsumedEnergy with its suffix; None where nothing was measured.

    Raises:
        NotReadable: no number, or more than a device can draw.
    """
    if text.strip().lower() in NOTHING:
        return None
    found = _ENERGY.fullmatch(text.strip())
    if found is None:
        raise NotReadable(f"energy {text[:40]!r} is no number of joules like 1234 or 12.3K")
    joules = float(found[1]) * _THOUSANDS[found[2].upper()]
    if joules in _NOT_MEASURED or 1.8e19 < joules < 1.9e19:  # 18446744.07T: the same value, rounded
        return None
    if joules > _MOST_J:
        raise NotReadable(f"energy {text[:40]!r} is beyond {_MOST_J:g} J")
    return joules


def is_rounded(text: str) -> bool:
    """Whether it carries a suffix, and so is told to two decimals of it."""
    return text.strip()[-1:].upper() in ("K", "M", "G", "T", "P")


def elapsed_s(text: str) -> float | None:
    """Seconds of `[days-]hours:minutes:seconds`, or of ElapsedRaw.

    Raises:
        NotReadable: neither.
    """
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    if text.isdigit():
        return float(text)
    found = _ELAPSED.fullmatch(text)
    if found is None:
        raise NotReadable(f"elapsed {text[:40]!r} is no time like 1-02:03:04")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def moment(text: str, zone: ZoneInfo) -> Moment | None:
    """A time as sacct writes it, in the cluster's zone unless it says its own; or seconds since 1970.

    Raises:
        NotReadable: no time.
    """
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    try:
        if text.isdigit():
            return Moment(datetime.fromtimestamp(int(text), UTC)) if int(text) else None
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return Moment(read.astimezone(UTC))
        offsets = {read.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
        return Moment(read.replace(tzinfo=zone).astimezone(UTC), len(offsets) > 1)
    except (ValueError, OverflowError, OSError) as error:
        raise NotReadable(f"time {text[:40]!r} is none like 2026-01-31T12:00:00") from error


def doubled(first: Moment, zone: ZoneInfo) -> datetime:
    """The other instant that a doubtful time may mean."""
    local = first.at.astimezone(zone)
    return local.replace(fold=1 - local.fold).astimezone(UTC) if first.doubtful else first.at


def tres(text: str) -> dict[str, str]:
    """`cpu=32,gres/gpu:h100=2` as a mapping; what has no value is left out."""
    parts = (item.partition("=") for item in text.split(","))
    return {name.strip().lower(): value.strip() for name, separator, value in parts if separator}


def gpus_of(resources: dict[str, str]) -> int:
    """GPUs of all kinds: the plain count, else the sum of the named ones. The two tell of the same GPUs."""
    if resources.get("gres/gpu", "").isdigit():
        return int(resources["gres/gpu"])
    return sum(int(count) for name, count in resources.items() if name.startswith("gres/gpu:") and count.isdigit())


def seconds(length: float) -> timedelta:
    """Raises NotReadable where no calendar reaches so far."""
    try:
        return timedelta(seconds=length)
    except OverflowError as error:
        raise NotReadable(f"{length:g} seconds are too many") from error
