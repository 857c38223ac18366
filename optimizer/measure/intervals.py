"""Intervals by resampling (Efron 1979): how far a figure could have come out otherwise. Pure numpy, seeded.

Two rules against false findings. Over m variants each interval is drawn at 1 - 0.05/m (Bonferroni), so that all of an
experiment's intervals for one quantity hold together with 95 %, and the best of them may be named. And n rounds cannot
carry a confidence above 1 - 2/2^n, that of the widest interval a median has, from its smallest to its largest reading:
with fewer rounds than that takes, no difference is ever called.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FAMILY_CONFIDENCE = 0.95
RESAMPLES = 4000

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    mid: float
    high: float

    def excludes(self, value: float) -> bool:
        return not self.low <= value <= self.high


def confidence_for(variants: int) -> float:
    """Confidence of each of `variants` intervals that are to hold together."""
    return 1.0 - (1.0 - FAMILY_CONFIDENCE) / max(1, variants)


def fewest_rounds(confidence: float) -> int:
    """Fewest paired rounds from which a difference may be called at this confidence."""
    return math.ceil(math.log2(2.0 / (1.0 - confidence)))


def resampled(
    rounds: int, statistic: Callable[[NDArray[np.intp]], Numbers], *, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """An interval that holds with `confidence`, from a statistic over resampled rounds.

    `statistic` takes indices of rounds (resamples, rounds) and answers one number per resample.
    """
    draws = rng.integers(0, rounds, size=(RESAMPLES, rounds))
    tail = _tail(confidence, rounds)
    low, high = np.quantile(statistic(draws), [tail, 1.0 - tail])
    return float(low), float(high)


def _tail(confidence: float, rounds: int) -> float:
    """Share of resamples to cut off at each end.

    Plain percentiles of few readings are too narrow by sqrt((n - 1) / n) and by normal instead of t quantiles; cutting
    at Phi(-sqrt(n / (n - 1)) t) repairs both (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"). The t
    quantile is the Cornish-Fisher series in 1 / degrees of freedom.
    """
    normal, degrees = NormalDist(), max(1, rounds - 1)
    z = normal.inv_cdf(0.5 + confidence / 2.0)
    t = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    return normal.cdf(-math.sqrt((degrees + 1) / degrees) * t)


def median_interval(readings: Sequence[float], *, confidence: float, rng: np.random.Generator) -> Interval:
    """The median of readings, one a round."""
    values = np.asarray(readings, dtype=np.float64)
    low, high = resampled(len(values), lambda draws: np.median(values[draws], axis=1), confidence=confidence, rng=rng)
    mid = float(np.median(values))
    return Interval(min(low, mid), mid, max(high, mid))


def quantile_interval(
    rounds: Sequence[Sequence[float]], q: float, *, confidence: float, rng: np.random.Generator
) -> Interval:
    """The q-quantile of all readings together, resampling whole rounds: readings of one round share its conditions."""
    values = np.asarray(rounds, dtype=np.float64)  # (rounds, readings)
    low, high = resampled(len(values), lambda draws: _pooled(values, draws, q), confidence=confidence, rng=rng)
    mid = float(np.quantile(values, q))
    return Interval(min(low, mid), mid, max(high, mid))


def paired_quantiles(
    variant: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], q: float, *, confidence: float,
    rng: np.random.Generator,
) -> tuple[Interval, Interval]:  # fmt: skip
    """(ratio, difference) of the q-quantiles of two variants over the same rounds, resampled together."""
    ours, theirs = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    seed = int(rng.integers(2**63))

    def interval(combine: Callable[[Numbers, Numbers], Numbers]) -> Interval:
        low, high = resampled(
            len(ours),
            lambda draws: combine(_pooled(ours, draws, q), _pooled(theirs, draws, q)),
            confidence=confidence,
            rng=np.random.default_rng(seed),
        )
        mid = float(combine(np.quantile(ours, q, keepdims=True), np.quantile(theirs, q, keepdims=True)).item())
        return Interval(min(low, mid), mid, max(high, mid))

    return interval(np.divide), interval(np.subtract)


def _pooled(values: Numbers, draws: NDArray[np.intp], q: float) -> Numbers:
    picked = values[draws]  # (resamples, rounds, readings)
    pooled: Numbers = np.quantile(picked.reshape(len(draws), -1), q, axis=1)
    return pooled
