"""What an experiment measured, into rows: one transaction that a worker without its lease cannot commit."""

import math
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime

import structlog
from django.db import transaction

from optimizer.experiments.claim import Lease, fail, finish
from optimizer.measure import summary
from optimizer.models import Comparison, Measurement, Variant

METHOD_CHARACTERS = 120

log = structlog.get_logger()


@transaction.atomic
def save_results(
    lease: Lease,
    results: summary.Results,
    *,
    failures: Mapping[int, str],
    artifacts: Mapping[int, str],
    remarks: str,
    now: datetime,
) -> None:
    """Close the experiment as finished and write everything that was measured.

    Raises:
        LeaseLost: another worker has it by now; nothing was written.
    """
    finish(lease, remarks=remarks, now=now)
    variants = _describe(lease, failures, artifacts, results.one_off_energy_j)
    Measurement.objects.bulk_create(
        Measurement(
            variant=variants[row.position],
            quantity=row.quantity,
            low=row.low,
            mid=row.mid,
            high=row.high,
            repeats=list(row.repeats),
            status=row.status,
            method=row.method[:METHOD_CHARACTERS],
        )
        for row in results.measurements
        if _is_finite(row.position, row.quantity, (row.low, row.mid, row.high, *row.repeats))
    )
    Comparison.objects.bulk_create(
        Comparison(
            experiment_id=lease.experiment_id,
            variant=variants[row.position],
            quantity=row.quantity,
            ratio_low=row.ratio_low,
            ratio=row.ratio,
            ratio_high=row.ratio_high,
            difference_low=row.difference_low,
            difference=row.difference,
            difference_high=row.difference_high,
            verdict=row.verdict,
        )
        for row in results.comparisons
        if _is_finite(row.position, row.quantity, astuple(row)[2:8])
    )


@transaction.atomic
def save_failure(lease: Lease, *, failures: Mapping[int, str], reason: str, now: datetime) -> None:
    """Close the experiment as failed, with what is known of each variant."""
    fail(lease, reason=reason, now=now)
    _describe(lease, failures, {}, {})


def _describe(
    lease: Lease, failures: Mapping[int, str], artifacts: Mapping[int, str], one_off_j: Mapping[int, float | None]
) -> dict[int, Variant]:
    variants = {variant.position: variant for variant in Variant.objects.filter(experiment=lease.experiment_id)}
    for position, variant in variants.items():
        variant.failure = failures.get(position, "")
        variant.artifact = artifacts.get(position, "")
        variant.one_off_energy_j = one_off_j.get(position)
    Variant.objects.bulk_update(variants.values(), ["failure", "artifact", "one_off_energy_j"])
    return variants


def _is_finite(position: int, quantity: str, figures: tuple[float, ...]) -> bool:
    """A ratio to nothing (no energy above idle) is no figure: it is left out, and shown as not measured."""
    if all(map(math.isfinite, figures)):
        return True
    log.warning("a figure that is not finite is left out", position=position, quantity=quantity, figures=figures)
    return False
