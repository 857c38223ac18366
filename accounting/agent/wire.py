"""The telemetry message: what an agent posts and what the server answers. The one definition of both.

Standard library only: the agent ships without third-party packages, and the server decodes into these classes.
Every time is RFC 3339 with an offset; every quantity has its unit in its name. Boundary: a device's own draw, before
cooling and losses (`device_*`), unless a field says otherwise.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1
MAX_BODY_BYTES = 1 << 20  # compressed, as it comes over the wire
MAX_DECODED_BYTES = 8 << 20  # after gunzip
MAX_SAMPLES = 10_000  # device samples, uses, spans and facility samples together

DeviceKind = Literal["cpu", "gpu", "memory", "node", "other"]
# Best first: one counts per device and interval.
Source = Literal["meter", "agent", "dcgm", "kepler", "node_exporter", "otlp", "slurm", "codecarbon", "model"]
Status = Literal["measured", "modelled"]


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """Who is posting. `boot_id` changes whenever `seq` or an energy counter may have started again."""

    id: str
    host: str
    boot_id: str
    version: str = ""
    sent_at: str | None = None  # the agent's clock when it posted; the server keeps the offset
    dropped: int = 0  # samples the spool had to drop since the agent was installed
    sensors: dict[str, str] = field(default_factory=dict)  # sensor name -> "ok" or why it does not work here


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device as its sensor sees it. Posted whenever an agent starts; later posts update the description."""

    device: str  # unique within its host: "cpu-0", "memory", "gpu-GPU-5e7c…"
    kind: DeviceKind
    model: str = ""
    tdp_w: float | None = None
    memory_bytes: int | None = None
    host: str | None = None  # None: the agent's own host
    units: int = 1  # how many alike it stands for, where a tool tells only their sum
    total: bool = False  # all of its host's devices of this kind: counts only where they do not by themselves


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job by the name its scheduler gives it. A site's token may name the team; a team's token is that team."""

    job: str
    name: str = ""
    kind: str = ""
    model: str = ""
    team: str | None = None  # slug
    project: str | None = None  # slug, created when new
    started_at: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class JobMark:
    """A job held a device (or, with no device, every device of the host) during [started_at, ended_at)."""

    job: str
    started_at: str
    ended_at: str | None = None  # None: still running
    device: str | None = None
    host: str | None = None
    team: str | None = None  # slug of the job's team, where a site's token posts


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One reading of one device: `power_w`, `energy_j` or both; `energy_j` is a counter that rises within a boot."""

    device: str
    measured_at: str
    power_w: float | None = None
    energy_j: float | None = None
    utilization: float | None = None  # 0..1
    memory_used_bytes: int | None = None
    job: str | None = None  # the job that held the device in the interval that ends here
    host: str | None = None
    source: Source = "agent"
    status: Status = "measured"
    seq: int | None = None  # rises by one per sample within (agent, boot_id)
    revision: int = 0  # a true correction of a sample already sent carries a higher one
    boot: str = ""  # changes whenever `energy_j` may have begun again, where no agent's boot tells


@dataclass(frozen=True, slots=True)
class EnergySpan:
    """What a device drew in [started_at, ended_at), told by a tool that adds up by itself: a tracker, a scheduler.

    The spans of one run follow each other. Without energy: time that should have been told of, and was not.
    """

    device: str
    started_at: str
    ended_at: str
    energy_j: float | None = None
    job: str | None = None
    host: str | None = None
    source: Source = "agent"
    status: Status = "measured"
    run: str = ""  # what tells one tool's runs on a device apart; empty: the poster's
    revision: int = 0


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """How much of a device one job used in the interval that ends at `measured_at`; for devices that jobs share.

    Several slices of one job are several items. What several jobs draw together is the device's own sample.
    """

    device: str
    job: str
    measured_at: str
    utilization: float | None = None  # 0..1 of the slice, or of the device; None: not known
    mig_slice: str = ""  # name of the slice, where the device is split
    mig_fraction: float | None = None  # the slice's part of the device
    host: str | None = None


@dataclass(frozen=True, slots=True)
class FacilitySample:
    """One reading of a site: what cooling, losses, water and the grid were from this moment until the next."""

    site: str  # slug
    measured_at: str
    pue: float | None = None  # facility energy / IT energy, 1 or more
    cooling_power_w: float | None = None
    wue_l_per_kwh: float | None = None  # on-site water per IT kWh
    water_l: float | None = None  # on-site water used since the sample before
    grid_intensity_g_per_kwh: float | None = None  # location-based, average
    seq: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class TelemetryBatch:
    """One POST /api/v1/telemetry."""

    agent: AgentInfo | None = None
    schema: int = SCHEMA_VERSION
    devices: list[DeviceInfo] = field(default_factory=list)
    jobs: list[JobInfo] = field(default_factory=list)
    job_marks: list[JobMark] = field(default_factory=list)
    device_samples: list[DeviceSample] = field(default_factory=list)
    device_uses: list[DeviceUse] = field(default_factory=list)
    energy_spans: list[EnergySpan] = field(default_factory=list)
    facility_samples: list[FacilitySample] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item of a batch was not taken. The rest of the batch was."""

    list: str  # "device_samples", "facility_samples", …
    index: int  # position in that list
    field: str
    code: str  # stable, for programs
    detail: str  # the offending value and what to do, for people


@dataclass(frozen=True, slots=True)
class TelemetryReply:
    """The answer to a readable batch, given after commit. Nothing in it is to be sent again."""

    accepted: int
    duplicates: int
    conflicts: int
    rejected: int
    errors: list[ItemError] = field(default_factory=list)


def encode(batch: TelemetryBatch) -> bytes:
    """Serialise for the wire, leaving out what is not set.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot carry.
    """
    return json.dumps(_set_only(batch), allow_nan=False, separators=(",", ":")).encode()


def decode_reply(body: bytes) -> TelemetryReply:
    """Read the server's answer; unknown fields of a newer server are ignored.

    Raises:
        ValueError: the body is not a telemetry reply.
    """
    try:
        raw = json.loads(body)
        errors = [ItemError(**{k: e[k] for k in ItemError.__slots__}) for e in raw.get("errors", [])]
        return TelemetryReply(raw["accepted"], raw["duplicates"], raw["conflicts"], raw["rejected"], errors)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a telemetry reply: {body[:200]!r}") from error


def _set_only(value: Any) -> Any:
    """Dataclasses as dicts, without what is None. A third of `asdict`'s time, which copies every number deeply."""
    if isinstance(value, str | int | float):
        return value
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name: _set_only(held) for name in fields if (held := getattr(value, name)) is not None}
    if isinstance(value, dict):
        return {name: _set_only(held) for name, held in value.items() if held is not None}
    if isinstance(value, list | tuple):
        return [_set_only(held) for held in value]
    return value
