"""emissions.csv beside what the same runs posted: nothing twice, and what got lost comes in."""

import uuid
from datetime import UTC, datetime

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.ingest.codecarbon import Told, begin_run, take_emission
from accounting.ingest.codecarbon_file import beside_live
from accounting.ingest.formats.codecarbon_csv import parse
from accounting.ingest.store import speaker, store
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import (
    ApiToken,
    CodeCarbonEmission,
    CodeCarbonRun,
    Device,
    DirtyHour,
    EnergyHour,
    EnergySpan,
    Job,
    LedgerHour,
    Team,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2025, 11, 22, tzinfo=UTC)
NOON_US = 1_763_640_000_000_000  # 2025-11-20T12:00:00Z
MACHINE = {"cpu_model": "Xeon", "cpu_count": 8, "ram_total_size": 64.0}
HEAD = (
    "timestamp,run_id,experiment_id,duration,cpu_energy,gpu_energy,ram_energy,energy_consumed,cpu_count,cpu_model,"
    "gpu_model,ram_total_size,tracking_mode"
)


@pytest.fixture
def token(team: Team) -> ApiToken:
    return issue_token(name="t", scopes=["ingest"], team=team)[0]


def a_run(token: ApiToken, **said: object) -> CodeCarbonRun:
    return begin_run({"timestamp": NOW, "experiment_id": "exp-1", **MACHINE, **said}, Told(), token=token, now=NOW)


def tell(run: CodeCarbonRun, token: ApiToken, at_s: float, duration_s: int, kwh: float) -> None:
    row = CodeCarbonEmission(id=uuid.uuid4(), at_us=NOON_US + round(at_s * 1e6), duration_s=duration_s, energy_kwh=kwh,
                             cpu_kwh=kwh / 2, gpu_kwh=0.0, ram_kwh=kwh / 2, emissions_kg=0.0)  # fmt: skip
    take_emission(run.pk, row, token=token, now=NOW)


def line(clock: str, duration: float, kwh: float, run_id: str = "None", mode: str = "machine") -> str:
    return f"2025-11-20T{clock},{run_id},exp-1,{duration},{kwh / 2},0.0,{kwh / 2},{kwh},8,Xeon,,64.0,{mode}"


def brought(team: Team, *lines: str) -> None:
    found = parse("\n".join((HEAD, *lines)).encode(), stated={})
    assert not found.wrong, found.errors
    batch = beside_live(found.batch, token=speaker(team=team), now=NOW)
    reply = store(batch, token=speaker(team=team), now=NOW)
    assert (reply.rejected, reply.conflicts) == (0, 0), reply.errors


def ledger() -> tuple[float, float, float]:
    """kWh, and the CPU's time covered and missing."""
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW)
    kwh = LedgerHour.objects.aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0
    of = EnergyHour.objects.filter(device__kind="cpu").aggregate(covered=Sum("covered_s"), missing=Sum("missing_s"))
    return kwh, of["covered"], of["missing"]


class TestAFileOfARunThatWasPosted:
    def test_brings_the_lost_tail_and_the_lost_post_and_nothing_else(self, token: ApiToken, team: Team) -> None:
        # Posted: twice 1 kWh in 120 s, a post of 120 s lost between; the tracker's total is 3.01 kWh in 360.9 s
        run = a_run(token)
        tell(run, token, 120.2, 120, 1.0)
        tell(run, token, 360.4, 120, 1.0)
        kwh, _, missing_s = ledger()
        assert (kwh, missing_s) == (pytest.approx(2.0), pytest.approx(120.2))
        brought(team, line("12:06:00", 360.9, 3.01))
        kwh, covered_s, missing_s = ledger()
        assert (kwh, missing_s) == (pytest.approx(3.01, rel=1e-9), 0.0)
        assert covered_s == pytest.approx(361.9)  # from the file's start to the end of its last second
        job = Job.objects.get()
        assert job.key == run.job_key and LedgerHour.objects.filter(it_energy_kwh__gt=0).exclude(job=job).count() == 0

    @pytest.mark.parametrize("by_id", [True, False])
    def test_changes_nothing_when_it_comes_again(self, token: ApiToken, team: Team, by_id: bool) -> None:
        run = a_run(token)
        tell(run, token, 120.2, 120, 1.0)
        for _ in range(2):
            brought(team, line("12:02:00", 120.9, 1.01, str(run.pk) if by_id else "None"))
        assert ledger()[0] == pytest.approx(1.01, rel=1e-9)
        assert (Job.objects.count(), Device.objects.count()) == (1, 2)

    def test_that_holds_no_more_than_was_posted_brings_nothing(self, token: ApiToken, team: Team) -> None:
        run = a_run(token)
        tell(run, token, 120.2, 120, 1.0)
        before = EnergySpan.objects.count()
        brought(team, line("12:02:00", 120.4, 1.0))
        assert EnergySpan.objects.count() == before

    def test_of_a_process_fills_the_devices_that_it_posted(self, token: ApiToken, team: Team) -> None:
        run = a_run(token, tracking_mode="process")
        tell(run, token, 120.2, 120, 1.0)
        brought(team, line("12:02:00", 120.9, 1.25, mode="process"))
        assert ledger()[0] == pytest.approx(1.25, rel=1e-9)
        assert Device.objects.count() == 2


class TestAFileOfOtherRuns:
    def test_comes_in_whole(self, token: ApiToken, team: Team) -> None:
        tell(a_run(token), token, 120.2, 120, 1.0)
        brought(team, line("13:00:00", 600.0, 2.0))
        assert ledger()[0] == pytest.approx(3.0)
        assert Job.objects.count() == 2

    def test_of_another_team_is_none_of_theirs(self, token: ApiToken) -> None:
        tell(a_run(token), token, 120.2, 120, 1.0)
        other = Team.objects.create(name="NLP", slug="nlp")
        brought(other, line("12:02:00", 120.9, 1.01))
        assert ledger()[0] == pytest.approx(2.01)

    def test_of_processes_adds_up_and_carries_no_making(self, team: Team) -> None:
        brought(team, *(line("12:02:00", 100.0 + k, 1.0, str(uuid.uuid4()), "process") for k in range(3)))
        assert ledger()[0] == pytest.approx(3.0)
        assert (LedgerHour.objects.aggregate(g=Sum("embodied_g"))["g"] or 0.0) == 0.0

    def test_of_ranks_on_one_machine_counts_once(self, team: Team) -> None:
        brought(team, *(line("12:10:00", 600.0, 1.0, str(uuid.uuid4())) for _ in range(4)))
        assert ledger()[0] == pytest.approx(1.0)
