"""Rows that the optimizer's tests start from."""

import uuid
from datetime import UTC, datetime, timedelta

from accounting.models import Host, Membership, Site, Team, User
from optimizer.experiments.plan import PlannedVariant
from optimizer.experiments.submit import submit
from optimizer.models import Comparison, Experiment, Hardware, Measurement, Variant, Workload

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAN = [
    PlannedVariant("none", "Unchanged"),
    PlannedVariant("int8", "int8 linear layers"),
    PlannedVariant("int4", "int4 linear layers"),
]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_team(name: str = "Vision") -> Team:
    return Team.objects.create(name=name, slug=name.lower())


def a_user(name: str, team: Team | None = None, role: str = Membership.Role.MEMBER, **fields: object) -> User:
    user = User.objects.create(username=name, **fields)
    if team is not None:
        Membership.objects.create(user=user, team=team, role=role)
    return user


def a_machine(key: str = "box-1", *, heartbeat_at: datetime | None = NOW, **fields: object) -> Hardware:
    site, _ = Site.objects.get_or_create(slug="paris", defaults={"name": "Paris"})
    host, _ = Host.objects.get_or_create(name=key, site=site)
    given = {"name": key, "host": host, "state": Hardware.State.APPROVED, "heartbeat_at": heartbeat_at, **fields}
    return Hardware.objects.create(key=key, **given)


def a_workload(team: Team | None = None, **fields: object) -> Workload:
    given = {
        "name": "Digits",
        "builtin": "digits-classifier",
        "quality_metric": "accuracy",
        "functional_unit": "inference",
        **fields,
    }
    return Workload.objects.create(team=team or a_team(), **given)


def an_experiment(
    *, hardware: Hardware | None = None, workload: Workload | None = None, plan: list[PlannedVariant] = PLAN,
    goal: str = "size", **fields: object,
) -> Experiment:  # fmt: skip
    experiment = submit(workload or a_workload(), goal=goal, quality_floor_points=1.0, variants=plan)
    Experiment.objects.filter(pk=experiment.pk).update(hardware=hardware, **fields)
    experiment.refresh_from_db()
    return experiment


def measured(variant: Variant, quantity: str, mid: float, *, spread: float = 0.0, status: str = "MEASURED") -> None:
    Measurement.objects.create(
        variant=variant, quantity=quantity, low=mid - spread, mid=mid, high=mid + spread, status=status,
        method="counted", repeats=[mid],
    )  # fmt: skip


def compared(
    variant: Variant, quantity: str, ratio: tuple[float, float, float], difference: tuple[float, float, float]
) -> None:
    verdict = "lower" if ratio[2] < 1 else "higher" if ratio[0] > 1 else "no_difference"
    Comparison.objects.create(
        experiment=variant.experiment, variant=variant, quantity=quantity, verdict=verdict,
        ratio_low=ratio[0], ratio=ratio[1], ratio_high=ratio[2],
        difference_low=difference[0], difference=difference[1], difference_high=difference[2],
    )  # fmt: skip


UNKNOWN_ID = uuid.UUID(int=7)
