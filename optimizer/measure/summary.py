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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from optimizer.measure import quality
from optimizer.measure.energy import MeterLog
from optimizer.measure.intervals import (
    FAMILY_CONFIDENCE,
    Interval,
    confidence_for,
    fewest_rounds,
    median_interval,
    paired_quantiles,
    quantile_interval,
)
from optimizer.measure.latency import P50, P95
from optimizer.measure.memory import RESOLUTION
from optimizer.measure.protocol import Transcript, Window

MEASURED = "MEASURED"
PEAK_MEMORY, QUALITY = "peak_memory_bytes", "quality"
METHOD_LENGTH = 120  # what a row holds
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
        planned = [variant.position for variant in transcript.plan.variants]
        self.positions = [p for p in planned if p not in transcript.failures and transcript.work(p)]
        self.others = [p for p in self.positions if p != self.baseline]
        self.confidence = confidence_for(len(self.others))

        self._idle()
        self._energy()
        self._cpu_time()
        self._latency()
        self._memory()
        self._exact("size_bytes", {p: b.size_bytes for p, b in transcript.built.items()}, "the saved file")
        facts = {p: built.facts for p, built in transcript.built.items()}
        state = {p: f["optimizer_state_bytes"] for p, f in facts.items() if "optimizer_state_bytes" in f}
        self._exact("optimizer_state_bytes", state, "AdamW: two fp32 moments per trained parameter")
        self._quality()

    def _idle(self) -> None:
        idle = [(w, self.log.of(w)) for w in self.said.windows if w.kind == "idle"]
        covered = [(w.duration_s, energy_j) for w, energy_j in idle if energy_j is not None]
        if covered:
            self.results.idle_power_w = sum(e for _, e in covered) / sum(s for s, _ in covered)
        for window in self.said.windows:
            if window.kind == "build" and window.position is not None:
                net_j = self._net_j(window)
                self.results.one_off_energy_j[window.position] = None if net_j is None else max(0.0, net_j)

    def _net_j(self, window: Window) -> float | None:
        """Energy of a window above what the machine draws when idle; None where either is not known."""
        gross_j, idle_w = self.log.of(window), self.results.idle_power_w
        return None if gross_j is None or idle_w is None else gross_j - idle_w * window.duration_s

    def _energy(self) -> None:
        net, gross = self._per_unit(self._net_j), self._per_unit(self.log.of)
        if any(value <= 0 for rounds in net.values() for value in rounds.values()):
            # Work that does not rise above idle in every round has no ratio; whole draw has, and says less.
            readings, about_idle = gross, "idle not subtracted: not resolved above it"
        else:
            idle_w = self.results.idle_power_w or 0.0
            base = gross.get(self.baseline, {})
            whole = f", {np.median(list(base.values())):.3g} J with it (baseline)" if base else ""
            readings, about_idle = net, f"idle {idle_w:.2f} W subtracted{whole}"
        self._by_round("energy_j_per_unit", readings, self.log.status, f"{self.log.method}; {about_idle}")

    def _cpu_time(self) -> None:
        readings = self._per_unit(lambda window: window.cpu_s)
        self._by_round("cpu_s_per_unit", readings, MEASURED, "processor time of the process, all threads")

    def _per_unit(self, quantity: Callable[[Window], float | None]) -> dict[int, dict[int, float]]:
        """Position -> round -> quantity per unit of work, where it is known."""
        found: dict[int, dict[int, float]] = {}
        for position in self.positions:
            windows = self.said.work(position).items()
            known = {r: (w, value) for r, w in windows if (value := quantity(w)) is not None}
            found[position] = {r: value / w.units for r, (w, value) in known.items()}
        return found

    def _by_round(self, quantity: str, readings: dict[int, dict[int, float]], status: str, method: str) -> None:
        for position, rounds in readings.items():
            if rounds:
                values = tuple(rounds.values())
                figure = median_interval(values, confidence=FAMILY_CONFIDENCE, rng=self.rng)
                self._measured(position, quantity, figure, values, status, f"{len(values)} rounds, {method}")
        base = readings.get(self.baseline, {})
        for position in self.others:
            paired = [(readings[position][r], base[r]) for r in sorted(base.keys() & readings[position].keys())]
            if not paired or min(b for _, b in paired) <= 0:
                continue
            ratio = median_interval([v / b for v, b in paired], confidence=self.confidence, rng=self.rng)
            difference = median_interval([v - b for v, b in paired], confidence=self.confidence, rng=self.rng)
            self._compared(position, quantity, ratio, difference, rounds=len(paired))

    def _latency(self) -> None:
        said = self.said.latencies
        for quantity, q in (("latency_p50_s", P50), ("latency_p95_s", P95)):
            for position in self.positions:
                rounds = list(said.get(position, {}).values())
                if rounds:
                    figure = quantile_interval(rounds, q, confidence=FAMILY_CONFIDENCE, rng=self.rng)
                    method = f"{len(rounds)} rounds of {len(rounds[0])} units, each run alone"
                    each = tuple(float(np.quantile(seconds, q)) for seconds in rounds)
                    self._measured(position, quantity, figure, each, MEASURED, method)
            for position in self.others:
                both = sorted(said.get(position, {}).keys() & said.get(self.baseline, {}).keys())
                if both:
                    ours, theirs = ([said[p][r] for r in both] for p in (position, self.baseline))
                    pair = paired_quantiles(ours, theirs, q, confidence=self.confidence, rng=self.rng)
                    self._compared(position, quantity, *pair, rounds=len(both))

    def _memory(self) -> None:
        figures = {p: Interval(min(b), float(np.median(b)), max(b)) for p, b in self.said.peaks.items() if b}
        for position in self.positions:
            if (figure := figures.get(position)) is not None:
                method = f"VmHWM of {len(self.said.peaks[position])} fresh processes: least, median, most"
                self._measured(position, PEAK_MEMORY, figure, self.said.peaks[position], MEASURED, method)
        base = figures.get(self.baseline)
        for position in self.others:
            if base is not None and (figure := figures.get(position)) is not None:
                least, most = figure.low / base.high, figure.high / base.low
                ratio = Interval(least * (1 - RESOLUTION), figure.mid / base.mid, most * (1 + RESOLUTION))
                difference = Interval(figure.low - base.high, figure.mid - base.mid, figure.high - base.low)
                self._compared(position, PEAK_MEMORY, ratio, difference)

    def _exact(self, quantity: str, figures: Mapping[int, float], method: str) -> None:
        """A quantity that comes out the same every time: counted once, compared without an interval."""
        for position in self.positions:
            if position in figures:
                figure = Interval(*[float(figures[position])] * 3)
                self._measured(position, quantity, figure, (figure.mid,), MEASURED, method)
        for position in self.others:
            if position in figures and figures.get(self.baseline):
                base = figures[self.baseline]
                ratio, difference = figures[position] / base, float(figures[position] - base)
                self._compared(position, quantity, Interval(*[ratio] * 3), Interval(*[difference] * 3))

    def _quality(self) -> None:
        said = {p: q.scores for p, q in self.said.quality.items() if p in self.positions and q.scores}
        figures = {p: quality.mean_score(s, confidence=FAMILY_CONFIDENCE, rng=self.rng) for p, s in said.items()}
        for position, figure in figures.items():
            scores = said[position]
            self._measured(position, QUALITY, figure, (figure.mid,), MEASURED, f"{len(scores)} held-out examples")
        base = figures.get(self.baseline)
        for position in self.others:
            if base is None or position not in said or base.mid == 0:
                continue
            paired = (said[position], said[self.baseline])
            difference = quality.score_difference(*paired, confidence=self.confidence, rng=self.rng)
            ratio = Interval(*(1 + d / base.mid for d in (difference.low, difference.mid, difference.high)))
            self._compared(position, QUALITY, ratio, difference)

    def _measured(
        self, position: int, quantity: str, figure: Interval, repeats: Sequence[float], status: str, method: str
    ) -> None:
        self.results.measurements.append(
            Measurement(
                position, quantity, figure.low, figure.mid, figure.high, tuple(repeats), status, method[:METHOD_LENGTH]
            )
        )

    def _compared(
        self, position: int, quantity: str, ratio: Interval, difference: Interval, *, rounds: int | None = None
    ) -> None:
        """`rounds`: how many paired rounds the intervals were resampled from, where they were."""
        enough = rounds is None or rounds >= fewest_rounds(self.confidence)
        verdict: Verdict = "no_difference"
        if enough and ratio.excludes(1.0):
            verdict = "lower" if ratio.mid < 1.0 else "higher"
        self.results.comparisons.append(
            Comparison(
                position, quantity, ratio.low, ratio.mid, ratio.high,
                difference.low, difference.mid, difference.high, verdict,
            )
        )  # fmt: skip
