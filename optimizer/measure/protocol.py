"""What the parent and the measured child say to each other, as JSON lines. The parent meters, the child marks.

The worker (parent) starts `python -m optimizer.measure.child` in a sandbox, writes one plan to its stdin, closes it,
and reads one JSON object a line from its stdout; stderr is free text for logs. Both sides stamp with
`time.monotonic_ns()`, one clock for every process of a Linux machine, so that the parent can lay the marked windows
over its own meter readings (`optimizer.measure.energy.Recorder`).

Plan (`Plan.to_json`), the keys with their defaults:

    {"workload": "digits-classifier",      key of optimizer.training.data
     "folder": "/data/workloads",          kept between runs: trained built-in models
     "artifacts": "/data/experiments/42",  this run's saved models
     "variants": [{"position": 0, "technique": "none", "parameters": {}},
                  {"position": 1, "technique": "quantize", "parameters": {"scheme": "dynamic"}}],
     "repeats": 20, "seed": 0,
     "threads": null,                      torch threads; null: one less than the cores it may use
     "window_s": null}                     shortest window; null: the workload's own

Exactly one variant has technique "none": the baseline, whatever its position.

Events, each `{"event": ..., "at_ns": ..., ...}`, in the order a run sends them:

    started   pid, threads, torch, workload, kind ("inference" or "training"), unit, quality_metric
    progress  step (a sentence for people), percent (0..100, of the whole run, never falling); at any time
    window    kind, position, round, start_ns, end_ns, units, cpu_s: a stretch of time whose energy is to be told apart
              kind "build": position was made, round null, units 0: its one-off cost
              kind "idle": position and round null, units 0: the child slept; before and after all rounds
              kind "work": one of `repeats` rounds; units of work done; cpu_s is the child's processor time
    built     position, artifact (a file name inside `artifacts`), size_bytes, one_off_s, facts (name -> number)
    quality   position, mean (0..1), scores (one per example, the same examples in the same order for every variant)
    latency   position, round, seconds: one figure per unit, each unit run alone, the same units for every variant
    memory    position, peak_bytes: peak resident memory of fresh processes that held only this variant
    failed    position, step, reason: this variant is given up, the others go on
    done      the last line; the exit status is 0
    aborted   reason: the run as a whole could not go on (the baseline failed); the exit status is 1

Nothing the child says is trusted beyond its own figures: `Transcript` refuses lines that are not such events, windows
that overlap or lie in the future, and positions that the plan does not hold.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

BASELINE = "none"  # the technique of the unchanged model
MAX_LINE_BYTES = 1 << 20
CLOCK_SLACK_NS = 50_000_000

WindowKind = Literal["build", "idle", "work"]


class ProtocolError(ValueError):
    """The child said something that no plan allows: stop it and discard the run."""


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    position: int
    technique: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: which variants of which workload, how often, and where files may be written.

    Raises:
        ValueError: positions repeat, or not exactly one variant is the baseline.
    """

    workload: str
    folder: str
    artifacts: str
    variants: tuple[PlannedVariant, ...]
    repeats: int = 20
    seed: int = 0
    threads: int | None = None
    window_s: float | None = None

    def __post_init__(self) -> None:
        positions = [variant.position for variant in self.variants]
        if len(set(positions)) != len(positions):
            raise ValueError(f"positions repeat in {positions}: give each variant its own")
        if (found := [v.technique for v in self.variants].count(BASELINE)) != 1:
            raise ValueError(f'{found} variants have technique "{BASELINE}": exactly one must be the baseline')
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}: at least 1 round is needed")

    @property
    def baseline(self) -> int:
        """Position of the unchanged model."""
        return next(v.position for v in self.variants if v.technique == BASELINE)

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        raw = json.loads(text)
        return cls(**{**raw, "variants": tuple(PlannedVariant(**v) for v in raw["variants"])})


@dataclass(frozen=True, slots=True)
class Window:
    """A marked stretch of time. `cpu_s` is processor time of the child, all threads."""

    kind: WindowKind
    position: int | None
    round: int | None
    start_ns: int
    end_ns: int
    units: float
    cpu_s: float

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Built:
    """A saved variant: its file (a name inside the plan's `artifacts`), that file's size, what making it took."""

    artifact: str
    size_bytes: int
    one_off_s: float
    facts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Quality:
    mean: float
    scores: tuple[float, ...]


@dataclass
class Transcript:
    """Everything a child has said so far, checked. Feed it each line of the child's stdout as it comes."""

    plan: Plan
    started: dict[str, Any] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    built: dict[int, Built] = field(default_factory=dict)
    quality: dict[int, Quality] = field(default_factory=dict)
    latencies: dict[int, dict[int, tuple[float, ...]]] = field(default_factory=dict)  # position -> round -> seconds
    peaks: dict[int, tuple[float, ...]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    step: str = ""
    percent: float = 0.0
    aborted: str = ""
    done: bool = False

    def take(self, line: str | bytes, *, received_ns: int) -> dict[str, Any]:
        """Check one line, remember it, and return it as a dict. `received_ns` is the parent's monotonic clock.

        Raises:
            ProtocolError: the line is not an event of this plan.
        """
        try:
            event = _decode(line)
            if event["at_ns"] > received_ns + CLOCK_SLACK_NS:
                raise ProtocolError(f"event {event['event']!r} is stamped in the future: {event['at_ns']}")
            self._remember(event["event"], event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, ProtocolError):
                raise
            raise ProtocolError(f"not an event ({type(error).__name__}: {error}): {line[:200]!r}") from error
        return event

    def work(self, position: int) -> dict[int, Window]:
        """Round -> work window of one variant."""
        return {w.round: w for w in self.windows if w.kind == "work" and w.position == position and w.round is not None}

    def _remember(self, name: str, event: dict[str, Any]) -> None:
        match name:
            case "started":
                self.started = event
            case "progress":
                self.step, self.percent = (
                    str(event["step"])[:200],
                    max(self.percent, _between(event["percent"], 0, 100)),
                )
            case "window":
                self.windows.append(self._window(event))
            case "built":
                facts = {str(k): _number(v) for k, v in event["facts"].items()}
                built = Built(
                    _file_name(event["artifact"]), int(event["size_bytes"]), _number(event["one_off_s"]), facts
                )
                self.built[self._position(event)] = built
            case "quality":
                scores = tuple(_between(s, 0, 1) for s in event["scores"])
                self._same_length("scores", scores, (q.scores for q in self.quality.values()))
                self.quality[self._position(event)] = Quality(_between(event["mean"], 0, 1), scores)
            case "latency":
                seconds = tuple(_between(s, 0, math.inf) for s in event["seconds"])
                self._same_length("seconds", seconds, (s for r in self.latencies.values() for s in r.values()))
                self.latencies.setdefault(self._position(event), {})[int(event["round"])] = seconds
            case "memory":
                self.peaks[self._position(event)] = tuple(_between(b, 1, math.inf) for b in event["peak_bytes"])
            case "failed":
                self.failures[self._position(event)] = f"{event['step']}: {event['reason']}"[:2000]
            case "aborted":
                self.aborted = str(event["reason"])[:2000]
            case "done":
                self.done = True
            case _:
                raise ProtocolError(f"unknown event {name!r}")

    def _same_length(self, what: str, given: tuple[float, ...], earlier: Iterable[tuple[float, ...]]) -> None:
        expected = len(next(iter(earlier), given))
        if not given or len(given) != expected:
            raise ProtocolError(f"{len(given)} {what} where there were {expected}: every variant gets the same ones")

    def _position(self, event: dict[str, Any]) -> int:
        position = event["position"]
        if position not in {v.position for v in self.plan.variants}:
            raise ProtocolError(f"position {position!r} is not in the plan")
        return int(position)

    def _window(self, event: dict[str, Any]) -> Window:
        if (kind := event["kind"]) not in ("build", "idle", "work"):
            raise ProtocolError(f"unknown window kind {kind!r}")
        window = Window(
            kind=kind,
            position=None if kind == "idle" else self._position(event),
            round=int(event["round"]) if kind == "work" else None,
            start_ns=int(event["start_ns"]),
            end_ns=int(event["end_ns"]),
            units=_between(event["units"], 0, math.inf),
            cpu_s=_between(event["cpu_s"], 0, math.inf),
        )
        after = self.windows[-1].end_ns if self.windows else 0
        if not after <= window.start_ns < window.end_ns <= event["at_ns"]:
            raise ProtocolError(f"window [{window.start_ns}, {window.end_ns}) overlaps, is empty or not yet over")
        if kind == "work" and window.units <= 0:
            raise ProtocolError(f"work window of position {window.position} did {window.units} units")
        return window


def _decode(line: str | bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f"a line of {len(line)} bytes: {MAX_LINE_BYTES} at most")
    event = json.loads(line)
    if not isinstance(event, dict) or not isinstance(event.get("at_ns"), int):
        raise ProtocolError(f"not an event: {line[:200]!r}")
    return event


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ProtocolError(f"{value!r} is not a finite number")
    return float(value)


def _between(value: object, low: float, high: float) -> float:
    if not low <= (number := _number(value)) <= high:
        raise ProtocolError(f"{number} is outside {low} to {high}")
    return number


def _file_name(value: object) -> str:
    name = str(value)
    if not name or name != name.rsplit("/", 1)[-1] or name.startswith("."):
        raise ProtocolError(f"artifact {name!r} is not a plain file name")
    return name
