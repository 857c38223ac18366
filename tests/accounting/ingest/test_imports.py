"""Files of runs: what a preview tells, what comes in, what is passed over, and what a withdrawal leaves."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, EnergySpan, TelemetryBatch
from accounting.ingest import import_parts, imports
from accounting.ingest.formats import slurm
from accounting.ingest.formats.imported import ImportRefused
from accounting.ingest.import_kinds import kind_of
from accounting.ingest.store import store
from accounting.ledger import restate
from accounting.ledger.imported import ImportKeeper
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import (
    Device,
    DirtyHour,
    EnergyHour,
    FileImport,
    HeldFile,
    JobMark,
    LedgerHour,
    Restatement,
    Site,
    Team,
    TeamDay,
    User,
)
from accounting.models import EnergySpan as StoredSpan
from tests.accounting.ingest.formats.test_slurm import COLUMNS, line, text
from tests.accounting.ledger.rows import a_site

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def site() -> Site:
    return a_site(pue=1.0)


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="ML", slug="ml")


def keeper(reason: str = "sacct.txt was imported") -> ImportKeeper:
    return ImportKeeper(reason=reason, actor="ada", now=NOW)


def taken(body: bytes, site: Site, **stated: str) -> FileImport:
    found = imports.read("slurm", body, team=None, stated=stated)
    return imports.take(
        found, body, kind="slurm", team=None, site=site, file_name="sacct.txt", stated=stated, imported_by=None,
        keeper=keeper(), now=NOW,
    )  # fmt: skip


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW)
    restate.settle(now=NOW)


def kwh(**which: Any) -> float:
    return LedgerHour.objects.filter(**which).aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


def ledger() -> list[dict[str, Any]]:
    """Every figure of every row, but for when it was made."""
    left_out = {"id", "made_at", "revision", "updated_at", "created_at", "fingerprint"}
    rows = LedgerHour.objects.order_by("device", "hour", "job").values()
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def read_by_an_agent(site: Site, host: str = "gpu01", power_w: float = 300.0) -> None:
    token, _ = issue_token(name="site", scopes=["ingest"], site=site)
    readings = [DeviceSample("gpu-0", f"2026-03-02T08:{m:02}:00Z", power_w, seq=m + 1) for m in range(31)]
    batch = TelemetryBatch(
        agent=AgentInfo("a", host, "boot"), devices=[DeviceInfo("gpu-0", "gpu")], device_samples=readings
    )
    assert store(batch, token=token, now=NOW).rejected == 0


class TestTake:
    def test_gives_the_ledger_the_files_own_total_and_its_jobs(self, site: Site, team: Team) -> None:
        # 7.2 MJ on two nodes and 3.6 MJ on one: 2 kWh + 1 kWh
        body = text(line("1", NodeList="gpu[01-02]"), line("2", "3600000", NodeList="gpu03", Account="x"))
        brought = taken(body, site, accounts="physics = ml/vision")
        rebuilt()
        assert kwh() == pytest.approx(3.0) == pytest.approx(brought.brought["energy_kwh"])
        assert kwh(job__key="1", project__slug="vision", team=team) == pytest.approx(2.0)
        assert kwh(job__key="2", team=None) == pytest.approx(1.0)

    def test_of_jobs_that_shared_a_node_counts_its_energy_once_and_shares_it(self, site: Site) -> None:
        # A sensor of gpu01 tells 1 kW from 8 to 10 to both jobs: 2 kWh each, which is 2 kWh in all. Each answers for 1
        taken(text(line("1"), line("2")), site)
        rebuilt()
        assert kwh() == pytest.approx(2.0)
        assert (kwh(job__key="1"), kwh(job__key="2")) == (pytest.approx(1.0), pytest.approx(1.0))

    def test_of_jobs_that_overlap_shares_only_what_both_ran_in(self, site: Site) -> None:
        # 1 kW from 8 to 10 for job 1, from 9 to 11 for job 2: 3 kWh in all; from 9 to 10 each has half: 1.5 and 1.5
        late = line("2", Start="2026-03-02T09:00:00", End="2026-03-02T11:00:00")
        taken(text(line("1"), late), site)
        rebuilt()
        assert kwh() == pytest.approx(3.0)
        assert (kwh(job__key="1"), kwh(job__key="2")) == (pytest.approx(1.5), pytest.approx(1.5))

    def test_again_or_in_pieces_changes_nothing(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        body = text(*(line(str(k), "1000", NodeList=f"n[{k}-{k + 2}]") for k in range(1, 8)))
        monkeypatch.setattr(import_parts, "PART", 4)
        first = taken(body, site, nodes="whole")
        rebuilt()
        once = ledger()
        again = taken(body, site, nodes="whole")
        rebuilt()
        assert (first.brought["accepted"], again.brought["accepted"], again.brought["duplicates"]) == (21, 0, 21)
        assert ledger() == once
        assert not again.energy_spans.exists() and not again.marks.exists()

    def test_that_broke_off_goes_on_when_it_is_repeated(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
    ) -> None:
        monkeypatch.setattr(import_parts, "PART", 1)
        body = text(line("1", "1000"), line("2", "2000", NodeList="n2"), line("3", "3000", NodeList="n3"))
        by = User.objects.create(username="ada")
        held = imports.hold(body, kind="slurm", team=None, site=site, file_name="s", stated={}, by=by, now=NOW)
        assert imports.confirm(held, now=NOW) == imports.confirm(held, now=NOW)
        held.refresh_from_db()
        whole, count = imports.store, iter(range(9))

        def breaks(*args: Any, **more: Any) -> Any:
            if next(count) == 2:
                raise RuntimeError("the power went")
            return whole(*args, **more)

        monkeypatch.setattr(imports, "store", breaks)
        with pytest.raises(RuntimeError):
            imports.go_on(held, keeper=keeper(), now=NOW)
        assert StoredSpan.objects.count() == 2
        brought = imports.go_on(held, keeper=keeper(), now=NOW)
        assert StoredSpan.objects.filter(file_import=brought).count() == 3
        assert (brought.brought["state"], HeldFile.objects.count()) == ("done", 0)
        imports.withdraw(brought, keeper=keeper(), now=NOW)
        assert not Device.objects.filter(retired_at=None).exists()

    def test_without_energy_gives_what_others_read_of_the_host_to_the_job(self, site: Site) -> None:
        # The agent reads 300 W for half an hour, 0.15 kWh, of a host that job 1 had whole
        read_by_an_agent(site)
        brought = taken(text(line("1", "0"), line("2", "0", NodeList="nobody-knows")), site, nodes="whole")
        rebuilt()
        assert kwh(job__key="1") == pytest.approx(0.15)
        assert (brought.brought["without_energy"], brought.brought["unplaced_marks"]) == (2, 1)
        assert not Device.objects.filter(host__name="nobody-knows").exists()

    def test_restates_hours_that_were_reported(self, site: Site) -> None:
        read_by_an_agent(site)
        rebuilt()
        taken(text(line("1")), site)
        assert Restatement.objects.get().state == "pending"
        rebuilt()
        kept = Restatement.objects.get()
        assert (kept.state, kept.cause) == ("done", "file_import")
        day = kept.days.get(after=False, team=None)
        assert day.it_energy_kwh == pytest.approx(0.15)

    def test_of_years_ago_is_taken(self, site: Site) -> None:
        taken(text(line("1", Start="2015-03-02T08:00:00", End="2015-03-02T10:00:00")), site)
        assert StoredSpan.objects.count() == 1

    def test_refuses_a_file_with_a_wrong_line_whole(self, site: Site) -> None:
        with pytest.raises(ImportRefused, match="1 wrong lines"):
            taken(text(line("1"), "2|3"), site)
        assert not FileImport.objects.exists() and not StoredSpan.objects.exists()


class TestWithdraw:
    def test_gives_the_ledger_back_to_the_last_digit(self, site: Site) -> None:
        read_by_an_agent(site)
        rebuilt()
        before, days = ledger(), list(TeamDay.objects.order_by("pk").values_list("it_energy_kwh", "co2e_location_g"))
        body = text(line("1", NodeList="gpu[01-02]"), line("2", Start="2026-03-01T08:00:00", ElapsedRaw="93600"))
        brought = taken(body, site, nodes="whole")
        rebuilt()
        assert ledger() != before
        imports.withdraw(brought, keeper=keeper("sacct.txt was withdrawn"), now=NOW)
        rebuilt()
        assert ledger() == before
        assert [
            d for d in TeamDay.objects.order_by("pk").values_list("it_energy_kwh", "co2e_location_g") if d[0]
        ] == days
        assert not StoredSpan.objects.exists() and not JobMark.objects.exists()
        brought.refresh_from_db()
        assert brought.withdrawn_at == NOW

    def test_and_taking_again_gives_the_same_as_taking_once(self, site: Site) -> None:
        body = text(line("1", NodeList="gpu[01-02]"))
        taken(body, site)
        rebuilt()
        once = ledger()
        imports.withdraw(FileImport.objects.get(), keeper=keeper("back"), now=NOW)
        rebuilt()
        assert ledger() == []
        taken(body, site)
        rebuilt()
        assert ledger() == once

    def test_leaves_what_others_brought(self, site: Site) -> None:
        token, _ = issue_token(name="site", scopes=["ingest"], site=site)
        own = EnergySpan("slurm-node", "2026-03-02T09:00:00Z", "2026-03-02T09:30:00Z", 5.0, source="slurm", run="live")
        brought = taken(text(line("1")), site)
        store(TelemetryBatch(agent=AgentInfo("a", "gpu01", "b"), energy_spans=[own]), token=token, now=NOW)
        imports.withdraw(brought, keeper=keeper("back"), now=NOW)
        assert StoredSpan.objects.get().energy_j == 5.0
        device = Device.objects.get(key="slurm-node")
        assert (device.acquired_at, device.retired_at) == (datetime(2026, 3, 2, 9, tzinfo=UTC), None)


class TestPreview:
    def test_counts_runs_that_are_here_already(self, site: Site) -> None:
        taken(text(line("1")), site)
        found = imports.read("slurm", text(line("1"), line("2")), team=None, stated={})
        seen = imports.preview(found, team=None, site=site)
        assert (seen.already, seen.may_be_taken) == (1, True)

    def test_names_teams_that_are_not_there_or_not_the_importers(self, site: Site, team: Team) -> None:
        stated = {"accounts": "physics = nobody"}
        found = imports.read("slurm", text(line("1")), team=None, stated=stated)
        assert imports.preview(found, team=None, site=site).faults == (
            "there is no team nobody: make it first, or state another",
        )
        found = imports.read("slurm", text(line("1")), team=team, stated=stated)
        assert not imports.preview(found, team=team, site=None).may_be_taken

    def test_takes_no_file_without_a_run(self, site: Site) -> None:
        found = imports.read("slurm", text(), team=None, stated={})
        assert not imports.preview(found, team=None, site=site).may_be_taken

    def test_knows_a_file_by_its_first_line(self) -> None:
        assert kind_of(COLUMNS.encode()) == "slurm"
        for body in (b"", b"\xff\xfe\x00", b"a,b,c\n"):
            with pytest.raises(ImportRefused):
                kind_of(body)


class TestWhatItSays:
    def test_can_be_kept_as_json(self, site: Site) -> None:
        assert json.loads(json.dumps(taken(text(line("1")), site).brought))["runs"] == 1


class TestWithdrawingWhatIsSealed:
    def test_is_refused_and_takes_nothing_back(self, site: Site) -> None:
        brought = taken(text(line()), site)
        rebuilt()
        EnergyHour.objects.update(sealed=True)
        before = StoredSpan.objects.count()
        with pytest.raises(imports.Sealed, match="retired"):
            imports.withdraw(brought, keeper=keeper("withdrawn"), now=NOW)
        brought.refresh_from_db()
        assert StoredSpan.objects.count() == before > 0 and brought.withdrawn_at is None


class TestAFileOfTooManyStretches:
    def test_is_refused_before_it_fills_the_memory(self, site: Site, monkeypatch) -> None:
        monkeypatch.setattr(slurm, "MOST_STRETCHES", 3)
        with pytest.raises(ImportRefused, match="3 jobs times nodes"):
            taken(text(line(NodeList="n[1-4]")), site)
