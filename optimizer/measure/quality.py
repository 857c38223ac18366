"""Quality: the mean of per-example scores, and the paired difference between two models on the same examples."""

from collections.abc import Sequence

import numpy as np

from optimizer.measure.intervals import Interval, resampled


class DifferentExamples(ValueError):
    """Two models were scored on different numbers of examples: they cannot be compared."""


def mean_score(scores: Sequence[float], *, confidence: float, rng: np.random.Generator) -> Interval:
    values = np.asarray(scores, dtype=np.float64)
    mid = float(values.mean())
    low, high = resampled(len(values), lambda draws: values[draws].mean(axis=1), confidence=confidence, rng=rng)
    return Interval(min(low, mid), mid, max(high, mid))


def score_difference(
    variant: Sequence[float], baseline: Sequence[float], *, confidence: float, rng: np.random.Generator
) -> Interval:
    """Variant minus baseline, in 0..1, from the differences example by example.

    Where the two agree on every one of n examples, resampling would claim certainty. The interval is then what such
    an agreement still leaves open: a share of examples d with (1 - d)^n = (1 - confidence) / 2 may differ unseen.

    Raises:
        DifferentExamples: not the same number of scores.
    """
    if len(variant) != len(baseline):
        raise DifferentExamples(f"{len(variant)} scores against {len(baseline)}: score the same examples")
    differences = np.asarray(variant, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if not differences.any():
        unseen = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / len(differences))
        return Interval(-unseen, 0.0, unseen)
    return mean_score(differences.tolist(), confidence=confidence, rng=rng)
