"""A question put to the optimizer: the experiment, its variants, and the job its own energy is booked under."""

import math
import uuid

from django.db import transaction

from accounting.models import Job, User
from optimizer.experiments.plan import PlannedVariant
from optimizer.models import Experiment, Variant, Workload

JOB_KIND = "experiment"
ROUNDS = range(5, 201)  # fewer tell nothing, more only cost energy


def fewest_rounds(variants: int) -> int:
    """With fewer rounds no difference is ever called between this many variants and the baseline.

    The rule of `optimizer.measure.intervals`, which this room may not import; a test holds both to the same numbers.
    """
    return math.ceil(math.log2(40 * max(1, variants)))


class SubmissionRefused(ValueError):
    """The experiment cannot be asked for like this; the message says why and what to do."""


@transaction.atomic
def submit(
    workload: Workload,
    *,
    goal: str,
    quality_floor_points: float,
    variants: list[PlannedVariant],
    created_by: User | None = None,
    quality_minimum: float | None = None,
    repeats: int = 20,
    seed: int = 0,
) -> Experiment:
    """Write an experiment with everything it needs, queued. The caller nudges a worker once this is committed.

    Raises:
        SubmissionRefused: no candidate to compare, or a figure out of its range.
    """
    _check(goal, quality_floor_points, quality_minimum, repeats, variants)
    key = uuid.uuid4()
    job = Job.objects.create(
        team=workload.team,
        project=workload.project,
        key=job_key(key),
        name=f"Optimize {workload.name}",
        kind=JOB_KIND,
        model=workload.builtin,
    )
    experiment = Experiment.objects.create(
        id=key,
        workload=workload,
        job=job,
        created_by=created_by,
        goal=goal,
        quality_floor_points=quality_floor_points,
        quality_minimum=quality_minimum,
        repeats=repeats,
        seed=seed,
    )
    Variant.objects.bulk_create(
        Variant(
            experiment=experiment,
            position=position,
            is_baseline=position == 0,
            technique=planned.technique,
            parameters=planned.parameters,
            label=planned.label,
        )
        for position, planned in enumerate(variants)
    )
    return experiment


def job_key(experiment_id: uuid.UUID) -> str:
    """The name under which worker and agent speak of this experiment on the wire."""
    return f"experiment-{experiment_id}"


def _check(goal: str, floor_points: float, minimum: float | None, repeats: int, variants: list[PlannedVariant]) -> None:
    if goal not in Experiment.Goal.values:
        raise SubmissionRefused(f"no such goal: {goal!r}; one of {', '.join(Experiment.Goal.values)}")
    if not 0.0 <= floor_points <= 100.0:
        raise SubmissionRefused(f"a loss of {floor_points} points is not between 0 and 100")
    if minimum is not None and not 0.0 <= minimum <= 1.0:
        raise SubmissionRefused(f"a minimum quality of {minimum} is not between 0 and 1")
    if repeats not in ROUNDS:
        raise SubmissionRefused(f"{repeats} rounds: choose between {ROUNDS[0]} and {ROUNDS[-1]}")
    if len(variants) < 2:
        raise SubmissionRefused("no technique applies to this workload: there is nothing to compare it with")
