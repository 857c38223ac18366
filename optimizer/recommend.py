"""From an experiment's measurements to a recommendation, or to the plain word that nothing qualifies."""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounting.methods.records import Range, Status
from accounting.methods.units import J_PER_KWH
from accounting.models import User
from accounting.reports.queries import carbon_rate
from optimizer.advice.explain import why_it_lost, why_nothing_qualifies, why_recommended
from optimizer.advice.rank import rank
from optimizer.advice.records import Candidate, Judged, Question, Rates, Saving
from optimizer.advice.savings import break_even_units, expected_saving, negated
from optimizer.models import Comparison, Experiment, Measurement, Recommendation, Variant
from optimizer.models.measurements import Quantity

GOAL_QUANTITY = {
    Experiment.Goal.ENERGY: Quantity.ENERGY,
    Experiment.Goal.LATENCY: Quantity.LATENCY_P50,
    Experiment.Goal.MEMORY: Quantity.PEAK_MEMORY,
    Experiment.Goal.SIZE: Quantity.SIZE,
}
GOAL_WORDS = {
    Experiment.Goal.ENERGY: "energy per unit of work",
    Experiment.Goal.LATENCY: "median latency",
    Experiment.Goal.MEMORY: "peak memory",
    Experiment.Goal.SIZE: "size on disk",
}
UNITS_WITHOUT_VOLUME = 1e6
POINTS = 100.0  # percentage points in a quality of 1


class DecisionRefused(ValueError):
    """The recommendation was decided before, or the decision is none."""


@transaction.atomic
def recommend_for_experiment(experiment_id: uuid.UUID, *, now: datetime) -> Recommendation | None:
    """Draw the conclusion from a finished experiment, once; later calls change nothing and answer the same row."""
    rows = Experiment.objects.select_for_update(of=("self",)).select_related("workload__team", "hardware__host__site")
    experiment = rows.filter(pk=experiment_id, state=Experiment.State.FINISHED).first()
    if experiment is None:
        return None
    if experiment.outcome != Experiment.Outcome.NONE:
        return Recommendation.objects.filter(experiment=experiment).first()
    question = question_of(experiment)
    variants = list(experiment.variants.filter(is_baseline=False))
    judged = rank([candidate_of(variant, experiment.goal) for variant in variants], question)
    remarks = experiment.explanation
    if not any(one.qualifies for one in judged):
        outcome, text = Experiment.Outcome.NOTHING_QUALIFIES, why_nothing_qualifies(judged, question)
        recommendation = None
    else:
        best = next(variant for variant in variants if variant.position == judged[0].candidate.position)
        recommendation = _write(experiment, judged, best, question, now)
        outcome, text = Experiment.Outcome.RECOMMENDED, recommendation.reason
    text = "\n".join(filter(None, [text, remarks]))
    Experiment.objects.filter(pk=experiment.pk).update(outcome=outcome, explanation=text)
    return recommendation


@transaction.atomic
def decide(recommendation_id: int, *, state: str, note: str, by: User | None, now: datetime) -> Recommendation:
    """Accept or dismiss, once. `by` None: a program did; the audit trail names its token.

    Raises:
        DecisionRefused: it was decided already, or the state is no decision.
    """
    if state not in (Recommendation.State.ACCEPTED, Recommendation.State.DISMISSED):
        raise DecisionRefused(f"{state!r} is no decision: accepted or dismissed")
    rows = Recommendation.objects.filter(pk=recommendation_id)
    if not rows.filter(state=Recommendation.State.OPEN).update(
        state=state, decision_note=note, decided_by=by, decided_at=now
    ):
        raise DecisionRefused(f"recommendation {recommendation_id} is not open any more")
    return rows.get()


def question_of(experiment: Experiment) -> Question:
    return Question(
        goal=GOAL_WORDS[Experiment.Goal(experiment.goal)],
        quality_metric=experiment.workload.quality_metric,
        quality_floor_points=experiment.quality_floor_points,
        quality_minimum=experiment.quality_minimum,
    )


def candidate_of(variant: Variant, goal: str) -> Candidate:
    """What was measured of a variant, as the reasoning reads it; None for what was not."""
    comparisons = {row.quantity: row for row in variant.comparisons.all()}
    quality = variant.measurements.filter(quantity=Quantity.QUALITY).first()
    ratio, loss = comparisons.get(GOAL_QUANTITY[Experiment.Goal(goal)]), comparisons.get(Quantity.QUALITY)
    return Candidate(
        position=variant.position,
        label=variant.label,
        goal_ratio=Range(ratio.ratio_low, ratio.ratio, ratio.ratio_high) if ratio else None,
        goal_verdict=ratio.verdict if ratio else "",
        quality=_measured(quality) if quality else None,
        quality_loss_points=negated(_difference(loss).scaled(POINTS)) if loss else None,
        failure=variant.failure,
    )


def context_of(experiment: Experiment, *, now: datetime) -> dict[str, dict[str, Any]]:
    """What a kWh brought with it where and when the experiment was placed; world defaults where nobody knows."""
    if experiment.carbon_context:
        return experiment.carbon_context
    host = experiment.hardware.host if experiment.hardware else None
    return carbon_rate(host.site if host else None, now=now).as_json()


def rates_of(context: dict[str, dict[str, Any]]) -> Rates:
    ends = ("low", "mid", "high")
    names = ("pue", "intensity_g_per_kwh", "price_per_kwh")
    known = [context[name] for name in names]  # the price may be unknown
    return Rates(*(Range(*(rate[end] for end in ends)) if rate else None for rate in known))  # type: ignore[arg-type]


def defaults_in(context: dict[str, dict[str, Any]]) -> list[str]:
    """Which of the rates are stand-ins, in words."""
    words = {"pue": "PUE", "intensity_g_per_kwh": "grid intensity", "price_per_kwh": "electricity price"}
    return [word for name, word in words.items() if context[name] and context[name]["status"] == Status.DEFAULT]


def _write(
    experiment: Experiment, judged: list[Judged], variant: Variant, question: Question, now: datetime
) -> Recommendation:
    best, *others = judged
    units = experiment.workload.units_per_month or UNITS_WITHOUT_VOLUME
    per = "month" if experiment.workload.units_per_month else f"million {experiment.workload.functional_unit}s"
    difference = variant.comparisons.filter(quantity=Quantity.ENERGY).first()
    saved_j = negated(_difference(difference)) if difference else Range.exact(0.0)
    context = context_of(experiment, now=now)
    rates = rates_of(context)
    saving = expected_saving(saved_j, units=units, rates=rates)
    energy = Measurement.objects.filter(variant__experiment=experiment, quantity=Quantity.ENERGY).first()
    return Recommendation.objects.create(
        team=experiment.workload.team,
        experiment=experiment,
        variant=variant,
        title=f"{experiment.workload.name}: {variant.label}"[:200],
        reason=why_recommended(
            best, saving, per=per, currency=settings.GREENAI["currency"], defaults=defaults_in(context)
        ),
        evidence="modelled" if energy is None or energy.status != "MEASURED" else "measured",
        per=per,
        alternatives=[
            {"label": other.candidate.label, "qualifies": other.qualifies, "reason": why_it_lost(other, best)}
            for other in others
        ],
        one_off_kwh=experiment.energy_j / J_PER_KWH * rates.pue.mid,
        break_even_units=break_even_units(experiment.energy_j, saved_j),
        created_at=now,
        **_columns(saving),
    )


def _columns(saving: Saving) -> dict[str, float | None]:
    figures = {
        "energy_saving_kwh": saving.facility_energy_kwh,
        "co2e_saving_g": saving.co2e_g,
        "cost_saving": saving.cost,
    }
    ends = (("_low", "low"), ("", "mid"), ("_high", "high"))
    return {
        f"{name}{suffix}": None if figure is None else getattr(figure, end)
        for name, figure in figures.items()
        for suffix, end in ends
    }


def _measured(row: Measurement) -> Range:
    return Range(row.low, row.mid, row.high)


def _difference(row: Comparison) -> Range:
    return Range(row.difference_low, row.difference, row.difference_high)
