"""CodeCarbon's posts in the database: in whatever order and however often they come."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.ingest.codecarbon import Told, UnknownRun, UnknownTeam, begin_run, take_emission
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import (
    ApiToken,
    CodeCarbonEmission,
    CodeCarbonRun,
    DirtyHour,
    EnergyHour,
    EnergySpan,
    LedgerHour,
    SampleConflict,
    Team,
)

pytestmark = pytest.mark.django_db
START_US = 1_763_640_000_000_000  # 2025-11-20T12:00:00Z
NOW = datetime(2025, 11, 22, tzinfo=UTC)
Posts = list[tuple[int, int, float]]  # when in ms, seconds, kWh


def a_token() -> ApiToken:
    team, _ = Team.objects.get_or_create(slug="vision", defaults={"name": "Vision"})
    return ApiToken.objects.filter(team=team).first() or issue_token(name="t", scopes=["ingest"], team=team)[0]


def a_run(token: ApiToken, told: Told | None = None, run_id: uuid.UUID | None = None) -> CodeCarbonRun:
    said = {"timestamp": NOW, "experiment_id": "x", "cpu_model": "Xeon", "ram_total_size": 64.0}
    return begin_run(said, told or Told(), token=token, now=NOW, run_id=run_id)


def tell(run: CodeCarbonRun, token: ApiToken, at_ms: int, duration_s: float, kwh: float) -> uuid.UUID:
    row = CodeCarbonEmission(
        id=uuid.uuid4(), at_us=START_US + at_ms * 1000, duration_s=duration_s, energy_kwh=kwh, cpu_kwh=kwh / 2,
        gpu_kwh=0.0, ram_kwh=kwh / 2, emissions_kg=0.0,
    )  # fmt: skip
    return take_emission(run.pk, row, token=token, now=NOW)


def spans() -> list[tuple[str, int, int, float]]:
    rows = EnergySpan.objects.exclude(energy_j=None).values_list(
        "device__kind", "started_at_us", "ended_at_us", "energy_j"
    )
    return sorted(rows)


def hours() -> list[tuple[object, ...]]:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW)
    rows = EnergyHour.objects.filter(covered_s__gt=0) | EnergyHour.objects.filter(missing_s__gt=0)
    return sorted(rows.values_list("device__kind", "hour", "device_energy_j", "covered_s", "missing_s"), key=repr)


def wipe() -> None:
    for table in (CodeCarbonRun, EnergySpan, LedgerHour, EnergyHour, DirtyHour, SampleConflict):
        table.objects.all().delete()


@st.composite
def posts(draw: st.DrawFn) -> Posts:
    gaps = draw(st.lists(st.integers(1, 400_000), min_size=1, max_size=6))
    at_ms, found = 0, []
    for gap in gaps:
        at_ms += gap
        found.append((at_ms, draw(st.integers(1, 200)), draw(st.sampled_from([0.0, 0.001, 0.25, 3.0]))))
    return found


class TestAnyDelivery:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
    @given(st.data())
    def test_of_a_runs_posts_gives_the_same_spans_and_the_same_ledger(self, data: st.DataObject) -> None:
        told = data.draw(posts())
        delivery = data.draw(st.permutations(told * 2))
        totals = data.draw(st.booleans())
        token, run_id = a_token(), uuid.UUID(int=7) if totals else None
        wipe()
        run = a_run(token, run_id=run_id)
        for post in told:
            tell(run, token, *post)
        once, in_hours = spans(), hours()
        assert once and not SampleConflict.objects.exists()
        wipe()
        run = a_run(token, run_id=run_id)
        for number, post in enumerate(delivery):
            tell(run, token, *post)
            if number % 3 == 0:
                hours()
        assert spans() == once and not SampleConflict.objects.exists()
        assert hours() == in_hours
        if not totals:
            booked_j = sum(energy_j for *_, energy_j in once)
            assert booked_j == pytest.approx(sum(kwh for *_, kwh in told) * 3.6e6, rel=1e-9)


class TestTwoOfOneInstant:
    def test_that_differ_add_up(self) -> None:
        token = a_token()
        run = a_run(token)
        first, second = tell(run, token, 9000, 5, 1.0), tell(run, token, 9000, 5, 2.0)
        assert first != second
        assert sum(energy_j for *_, energy_j in spans()) == pytest.approx(3.0 * 3.6e6)


class TestWhoMay:
    def test_tell_of_a_run_is_whoever_began_it(self) -> None:
        token = a_token()
        other = issue_token(name="o", scopes=["ingest"], team=Team.objects.create(name="NLP", slug="nlp"))[0]
        run = a_run(token)
        with pytest.raises(UnknownRun, match=str(run.pk)):
            tell(run, other, 9000, 5, 1.0)

    def test_name_a_team_is_who_speaks_for_it(self) -> None:
        with pytest.raises(UnknownTeam, match="nlp"):
            a_run(a_token(), Told(team="nlp"))


class TestCost:
    def test_of_a_post_stays_the_same_however_long_the_run(self, connection_queries) -> None:
        token = a_token()
        run = a_run(token)
        for k in range(3):
            tell(run, token, 10_000 * (k + 1), 9, 1e-3)
        few = connection_queries(lambda: tell(run, token, 40_000, 9, 1e-3))
        for k in range(60):
            tell(run, token, 10_000 * (k + 5), 9, 1e-3)
        assert connection_queries(lambda: tell(run, token, 900_000, 9, 1e-3)) <= few + 1
        assert few <= 26
