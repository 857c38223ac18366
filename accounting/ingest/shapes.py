"""What every field of a telemetry message must be, once: the table that both decoders of `validate` work from.

`CheckedBatch` mirrors `agent.wire.TelemetryBatch` field for field, with the limits compiled into msgspec's decoder and
instants as datetimes: holding one means it was checked. Its items are made from the wire's dataclasses, so a new wire
field without a rule here fails at import.
"""

import dataclasses
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from accounting.agent import wire

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # a host that thinks it is earlier has lost its clock
UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and halves of surrogate pairs
SLUG = re.compile(r"[-a-zA-Z0-9_]+")
_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a value was not taken: a code for programs, words for people."""

    code: str
    detail: str


def shown(value: object) -> str:
    """A hostile value, short and printable."""
    return _shorten.repr(value)


@dataclass(frozen=True, slots=True)
class Number:
    low: float
    high: float

    @property
    def annotation(self) -> Any:
        return Annotated[float, msgspec.Meta(ge=self.low, le=self.high)]

    def fault(self, value: object) -> Fault | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Fault("bad_type", f"{shown(value)} is not a number")
        if not math.isfinite(value):
            return Fault("not_finite", f"{shown(value)} is NaN, infinite or too large for a number: leave it out")
        return _outside(value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Whole:
    low: int
    high: int

    @property
    def annotation(self) -> Any:
        return Annotated[int, msgspec.Meta(ge=self.low, le=self.high)]

    def fault(self, value: object) -> Fault | None:
        if isinstance(value, float) and not math.isfinite(value):
            return Fault("not_finite", f"{shown(value)} is NaN, infinite or too large for a number: leave it out")
        if isinstance(value, bool) or not isinstance(value, int):
            return Fault("bad_type", f"{shown(value)} is not a whole number")
        return _outside(value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Text:
    longest: int
    shortest: int = 0

    @property
    def annotation(self) -> Any:
        return Annotated[str, msgspec.Meta(min_length=self.shortest, max_length=self.longest)]

    def fault(self, value: object) -> Fault | None:
        if not isinstance(value, str):
            return Fault("bad_type", f"{shown(value)} is not text")
        if not self.shortest <= len(value) <= self.longest:
            return Fault("bad_text", f"{shown(value)} has {len(value)} characters: {self.shortest} to {self.longest}")
        if UNREADABLE.search(value):
            return Fault("bad_text", f"{shown(value)} holds control characters or half a surrogate pair")
        return None


@dataclass(frozen=True, slots=True)
class Slug:
    longest: int = 60

    @property
    def annotation(self) -> Any:
        return Annotated[str, msgspec.Meta(max_length=self.longest, pattern=f"^{SLUG.pattern}$")]

    def fault(self, value: object) -> Fault | None:
        if not isinstance(value, str):
            return Fault("bad_type", f"{shown(value)} is not text")
        if len(value) > self.longest or not SLUG.fullmatch(value):
            return Fault("bad_text", f"{shown(value)} is not a slug: letters, digits, - and _, {self.longest} at most")
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    of: Any  # a Literal

    @property
    def annotation(self) -> Any:
        return self.of

    def fault(self, value: object) -> Fault | None:
        if isinstance(value, str) and value in get_args(self.of):
            return None
        return Fault("bad_choice", f"{shown(value)} is none of {', '.join(get_args(self.of))}")


@dataclass(frozen=True, slots=True)
class Instant:
    """RFC 3339 with an offset. Whether it lies in the future is for who knows the time: `validate`."""

    annotation: Any = Annotated[datetime, msgspec.Meta(tz=True)]

    def fault(self, value: object) -> Fault | None:
        if not isinstance(value, str):
            return Fault("bad_type", f"{shown(value)} is not text: write a time as 2026-01-31T12:00:00Z")
        try:
            at = msgspec.convert(value, self.annotation)
        except msgspec.ValidationError:
            return Fault("bad_time", f"{shown(value)} is not RFC 3339 with an offset, as in 2026-01-31T12:00:00Z")
        if at < EARLIEST:
            return Fault("bad_time", f"{shown(value)} lies before 2000: set the host's clock")
        return None


@dataclass(frozen=True, slots=True)
class Sensors:
    annotation: Any = Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=60)], Annotated[str, msgspec.Meta(max_length=500)]],
        msgspec.Meta(max_length=50),
    ]

    def fault(self, value: object) -> Fault | None:
        if not isinstance(value, dict) or len(value) > 50:
            return Fault("bad_type", f"{shown(value)} is not an object of at most 50 sensors")
        faults = (Text(60).fault(name) or Text(500).fault(says) for name, says in value.items())
        return next(filter(None, faults), None)


@dataclass(frozen=True, slots=True)
class Flag:
    annotation: Any = bool

    def fault(self, value: object) -> Fault | None:
        return None if isinstance(value, bool) else Fault("bad_type", f"{shown(value)} is neither true nor false")


Rule = Number | Whole | Text | Slug | Choice | Instant | Sensors | Flag

_DEVICE, _HOST, _JOB, _NAME = Text(120, 1), Text(255, 1), Text(200, 1), Text(200)
_REVISION = Whole(0, 2**31 - 1)
_SEQ = Whole(0, 2**62)
_ENERGY_J = Number(0, 1e15)  # 30 years of a 1 MW device
_BYTES = Whole(0, 2**60)

RULES: Mapping[type, Mapping[str, Rule]] = {
    wire.AgentInfo: {
        "id": Text(120, 1),
        "host": _HOST,
        "boot_id": Text(80, 1),
        "version": Text(40),
        "sent_at": Instant(),
        "dropped": Whole(0, 2**62),
        "sensors": Sensors(),
    },
    wire.DeviceInfo: {
        "device": _DEVICE,
        "kind": Choice(wire.DeviceKind),
        "model": _NAME,
        "tdp_w": Number(0, 1e6),
        "memory_bytes": _BYTES,
        "host": _HOST,
        "units": Whole(1, 10_000),
        "total": Flag(),
    },
    wire.JobInfo: {
        "job": _JOB,
        "name": _NAME,
        "kind": Text(40),
        "model": _NAME,
        "team": Slug(),
        "project": Slug(),
        "started_at": Instant(),
        "ended_at": Instant(),
    },
    wire.JobMark: {
        "job": _JOB,
        "started_at": Instant(),
        "ended_at": Instant(),
        "device": _DEVICE,
        "host": _HOST,
        "team": Slug(),
    },
    wire.DeviceSample: {
        "device": _DEVICE,
        "measured_at": Instant(),
        "power_w": Number(0, 1e6),
        "energy_j": _ENERGY_J,
        "utilization": Number(0, 1),
        "memory_used_bytes": _BYTES,
        "job": _JOB,
        "host": _HOST,
        "source": Choice(wire.Source),
        "status": Choice(wire.Status),
        "seq": _SEQ,
        "revision": _REVISION,
        "boot": Text(80),
    },
    wire.EnergySpan: {
        "device": _DEVICE,
        "started_at": Instant(),
        "ended_at": Instant(),
        "energy_j": _ENERGY_J,
        "job": _JOB,
        "host": _HOST,
        "source": Choice(wire.Source),
        "status": Choice(wire.Status),
        "run": Text(200),
        "revision": _REVISION,
    },
    wire.DeviceUse: {
        "device": _DEVICE,
        "job": _JOB,
        "measured_at": Instant(),
        "utilization": Number(0, 1),
        "mig_slice": Text(60),
        "mig_fraction": Number(0.001, 1),
        "host": _HOST,
    },
    wire.FacilitySample: {
        "site": Slug(),
        "measured_at": Instant(),
        "pue": Number(1, 10),
        "cooling_power_w": Number(0, 1e9),
        "wue_l_per_kwh": Number(0, 100),
        "water_l": Number(0, 1e9),
        "grid_intensity_g_per_kwh": Number(0, 2000),
        "seq": _SEQ,
        "revision": _REVISION,
    },
}


def _outside(value: float, low: float, high: float) -> Fault | None:
    if low <= value <= high:
        return None
    if value < 0 <= low:
        return Fault("negative", f"{shown(value)} is below zero: from {low:g} to {high:g}")
    return Fault("out_of_range", f"{shown(value)} is not from {low:g} to {high:g}")


def _checked(message: type) -> type[msgspec.Struct]:
    """The wire dataclass as a struct whose decoder holds the limits."""
    fields: list[tuple[Any, ...]] = []
    for field in dataclasses.fields(message):
        wanted = RULES[message][field.name].annotation
        if field.default is None:
            fields.append((field.name, wanted | None, None))
        elif field.default is not dataclasses.MISSING:
            fields.append((field.name, wanted, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            fields.append((field.name, wanted, msgspec.field(default_factory=field.default_factory)))
        else:
            fields.append((field.name, wanted))
    return msgspec.defstruct(f"Checked{message.__name__}", fields, frozen=True, gc=False)


CheckedAgent = _checked(wire.AgentInfo)
CheckedDevice = _checked(wire.DeviceInfo)
CheckedJob = _checked(wire.JobInfo)
CheckedMark = _checked(wire.JobMark)
CheckedDeviceSample = _checked(wire.DeviceSample)
CheckedDeviceUse = _checked(wire.DeviceUse)
CheckedSpan = _checked(wire.EnergySpan)
CheckedFacilitySample = _checked(wire.FacilitySample)


class CheckedBatch(msgspec.Struct, frozen=True):
    """A telemetry message whose every item keeps the rules. Field for field `wire.TelemetryBatch`."""

    agent: CheckedAgent | None = None  # type: ignore[valid-type]
    schema: Literal[1] = 1
    devices: list[CheckedDevice] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    jobs: list[CheckedJob] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    job_marks: list[CheckedMark] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    device_samples: list[CheckedDeviceSample] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    device_uses: list[CheckedDeviceUse] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    energy_spans: list[CheckedSpan] = msgspec.field(default_factory=list)  # type: ignore[valid-type]
    facility_samples: list[CheckedFacilitySample] = msgspec.field(default_factory=list)  # type: ignore[valid-type]


LISTS: Mapping[str, tuple[type, type[msgspec.Struct]]] = {
    "devices": (wire.DeviceInfo, CheckedDevice),
    "jobs": (wire.JobInfo, CheckedJob),
    "job_marks": (wire.JobMark, CheckedMark),
    "device_samples": (wire.DeviceSample, CheckedDeviceSample),
    "device_uses": (wire.DeviceUse, CheckedDeviceUse),
    "energy_spans": (wire.EnergySpan, CheckedSpan),
    "facility_samples": (wire.FacilitySample, CheckedFacilitySample),
}
