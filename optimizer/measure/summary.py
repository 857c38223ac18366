"""What a run came to: the figures of each variant, and how each compares with the baseline. Pure numpy.

The records have the names of `optimizer.models.measurements`; the worker copies them into rows.

    energy        energy_j_per_unit    per round: (energy of the window - idle power x its duration) / units
    processor     cpu_s_per_unit       per round: processor time of the child / units
    latency       latency_p50_s, p95   over every unit run alone, resampled by rounds
    memory        peak_memory_bytes    smallest, median and largest of three fresh processes
    size          size_bytes           the saved file
    state         optimizer_state_bytes   training only
    quality       quality              mean score; compared example by example

Ratios of energy and processor time are medians over rounds of (variant / baseline in the same round). All intervals
follow `optimizer.measure.intervals`: a comparison's hold together over all variants.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from optimizer.measure.energy import MeterLog
from optimizer.measure.intervals import (
    confidence_for,
)
from optimizer.measure.protocol import Transcript

MEASURED = "MEASURED"
Verdict = Literal["lower", "higher", "no_difference"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One quantity of one variant with a 95 % interval. `repeats` are the single readings, in order."""

    position: int
    quantity: str
    low: float
    mid: float
    high: float
    repeats: tuple[float, ...]
    status: str
    method: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variant against baseline; `difference` is variant minus baseline in the quantity's unit."""

    position: int
    quantity: str
    ratio_low: float
    ratio: float
    ratio_high: float
    difference_low: float
    difference: float
    difference_high: float
    verdict: Verdict


@dataclass
class Results:
    """`one_off_energy_j`: position -> energy above idle of making the variant, None where the meter did not cover it.

    `idle_power_w`: the machine's draw while the child slept, before and after the rounds together.
    """

    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    one_off_energy_j: dict[int, float | None] = field(default_factory=dict)
    idle_power_w: float | None = None


def summarize(transcript: Transcript, log: MeterLog) -> Results:
    """Everything that the windows, timings and scores of one run say. Variants that failed are left out."""
    return _Summary(transcript, log).results


class _Summary:
    def __init__(self, transcript: Transcript, log: MeterLog) -> None:
        self.said, self.log, self.results = transcript, log, Results()
        self.rng = np.random.default_rng(transcript.plan.seed)
        self.baseline = transcript.plan.baseline
        self.positions = [
            v.position for v in transcript.plan.variants
            if v.position not in transcript.failures and transcript.work(v.position)
        ]  # fmt: skip
        self.others = [position for position in self.positions if position != self.baseline]
        self.confidence = confidence_for(len(self.others))
        self.results.idle_power_w = self._idle_power_w()
        self.results.one_off_energy_j = {w.position: self._net_j(w) for w in transcript.windows if w.kind == "build"}
        self._energy()
        cpu = {p: {r: w.cpu_s / w.units for r, w in transcript.work(p).items()} for p in self.positions}
        self._by_round("cpu_s_per_unit", cpu, MEASURED, "processor time of the process, all threads")
        self._latency()
        self._memory()
        self._exact(
            "size_bytes", {p: float(b.size_bytes) for p, b in transcript.built.items()}, "saved safetensors file"
        )
        states = {
            p: b.facts["optimizer_state_bytes"]
            for p, b in transcript.built.items()
            if "optimizer_state_bytes" in b.facts
        }
        self._exact("optimizer_state_bytes", states, "AdamW's two moments")
        self._quality()
