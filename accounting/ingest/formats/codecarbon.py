"""What a CodeCarbon post means: which time it speaks of, how much is missing before it, and of which devices. Pure.

A post tells the energy since the post before, PUE inside, and a duration cut to whole seconds; nothing is sent twice.
So the time it speaks of runs from the post before to itself where that fits its duration. Where more time went by, a
post got lost on its way: the energy stands in the last `duration` seconds, and the rest is missing.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from accounting.agent.wire import DeviceInfo, DeviceKind, Status
from accounting.methods.units import J_PER_KWH, US_PER_S

SLACK_S = 2.0  # a client waits this long for an answer, so a post may be sent so much after it was measured
DEFAULT_EXPERIMENT = "5b0fa12a-3dd7-45bb-9766-cc326314d9f1"  # what a tracker names that was told none
_SMALLEST_REST = 1e-9  # of the energy: below it the parts add up to the whole
_ONE_MODEL = re.compile(r"(\d{1,5}) x ((?:(?! x ).)+)")  # of several kinds the client runs the words together


@dataclass(frozen=True, slots=True)
class Post:
    """Energy in kWh with PUE inside, as told; since the post before, or since the run's start (`total`)."""

    at_us: int
    duration_s: float
    energy_kwh: float
    cpu_kwh: float
    gpu_kwh: float
    ram_kwh: float
    total: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time that a post speaks of, and what was drawn in it."""

    started_us: int
    ended_us: int
    post: Post  # since the post before
    hole_from_us: int | None  # the run went on from here, and what it drew until `started_us` got lost


def together(posts: Iterable[Post]) -> Post:
    """Posts of one instant as one: parts add up, of totals the latest counts."""
    several = sorted(posts, key=lambda post: (post.duration_s, post.energy_kwh))
    last = several[-1]
    if last.total or len(several) == 1:
        return last
    sums = [math.fsum(getattr(p, name) for p in several) for name in ("duration_s", *_ENERGIES)]
    return Post(last.at_us, *sums)


_ENERGIES = ("energy_kwh", "cpu_kwh", "gpu_kwh", "ram_kwh")


def stretch(post: Post, before: Post | None) -> Stretch:
    """What a post says, given the one before it of the same run; of several runs' posts nothing follows.

    Raises:
        ValueError: the post before is not earlier.
    """
    if before is None:
        return Stretch(post.at_us - _duration_us(post), post.at_us, _part(post, None), None)
    if before.at_us >= post.at_us:
        raise ValueError(f"a post of {post.at_us} us cannot follow one of {before.at_us} us")
    part = _part(post, before)
    gap_s = (post.at_us - before.at_us) / US_PER_S
    if gap_s < part.duration_s + 1.0 + SLACK_S:
        return Stretch(before.at_us, post.at_us, part, None)
    return Stretch(post.at_us - _duration_us(part), post.at_us, part, before.at_us)


def _duration_us(post: Post) -> int:
    return max(round(post.duration_s * US_PER_S), 1)  # a span takes some time


def _part(post: Post, before: Post | None) -> Post:
    if not post.total or before is None or before.duration_s > post.duration_s:
        return post
    less = [max(getattr(post, name) - getattr(before, name), 0.0) for name in ("duration_s", *_ENERGIES)]
    return Post(post.at_us, *less)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a tracker says of the machine it runs on."""

    cpu_model: str = ""
    cpu_count: int = 0
    gpu_model: str = ""
    ram_gib: float = 0.0
    gpu_count: int = 0

    @property
    def host_name(self) -> str:
        """A name for a machine of this shape: the protocol tells none. Of two alike the names are one."""
        shape = f"{self.cpu_model}\n{self.cpu_count}\n{self.gpu_model}\n{self.ram_gib:.0f}"
        digest = blake2b(shape.encode(), digest_size=4).hexdigest()
        gpus = f"-{_gpus(self)[0]}gpu" if self.gpu_model else ""
        return f"codecarbon-{self.cpu_count}cpu-{self.ram_gib:.0f}gb{gpus}-{digest}"


def machine_of(said: Mapping[str, object]) -> Machine:
    """From the fields of a run, or of a line of emissions.csv; what cannot be read is left out."""
    return Machine(
        str(said.get("cpu_model") or ""),
        int(_number(said.get("cpu_count"))),
        str(said.get("gpu_model") or ""),
        _number(said.get("ram_total_size")),
        int(_number(said.get("gpu_count"))),
    )


def _number(value: object) -> float:
    try:
        number = float(str(value or 0))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and 0 <= number < 1e6 else 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one device drew, IT energy."""

    device: DeviceInfo
    energy_j: float
    status: Status


def drawn(post: Post, machine: Machine, *, pue: float, process: str = "") -> list[Drawn]:
    """A post's energy by device, with PUE taken out again.

    Args:
        pue: that the client put in.
        process: names the run where CPU and memory are one process's share of the machine: such shares add up, so each
            run has devices of its own. GPUs are told whole even then.
    """
    own = f"-{process}" if process else ""
    gpu_units, gpu_model = _gpus(machine)
    memory_bytes = round(machine.ram_gib * 2**30) or None
    found = [
        (_info("cpu", own, machine.cpu_model), post.cpu_kwh, "modelled"),
        (_info("memory", own, "", memory_bytes=memory_bytes), post.ram_kwh, "modelled"),
    ]
    if machine.gpu_model or post.gpu_kwh > 0:
        found.append((_info("gpu", "", gpu_model, units=gpu_units), post.gpu_kwh, "measured"))
    rest_kwh = post.energy_kwh - (post.cpu_kwh + post.gpu_kwh + post.ram_kwh)
    if rest_kwh > _SMALLEST_REST * post.energy_kwh:
        found.append((_info("other", own, ""), rest_kwh, "modelled"))
    return [Drawn(info, kwh / pue * J_PER_KWH, status) for info, kwh, status in found]  # type: ignore[arg-type]


def _info(kind: DeviceKind, own: str, model: str, *, units: int = 1, memory_bytes: int | None = None) -> DeviceInfo:
    total = kind != "other"
    return DeviceInfo(f"codecarbon-{kind}{own}", kind, model, memory_bytes=memory_bytes, units=units, total=total)


def _gpus(machine: Machine) -> tuple[int, str]:
    """`8 x NVIDIA H100` as (8, "NVIDIA H100"); models of several kinds stay as written, and their number is told."""
    told = machine.gpu_model
    found = _ONE_MODEL.fullmatch(told)
    units, model = (int(found[1]), found[2].strip()) if found else (machine.gpu_count, told)
    return min(max(units, 1), 10_000), model[:200]
