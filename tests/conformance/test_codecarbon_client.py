"""The real CodeCarbon client, unmodified, against this server: its tracker, decorator, hook, command line and CSV.

What the client adds up itself is in the emissions.csv that it writes beside: that is what the ledger is held to.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from codecarbon import EmissionsTracker, OfflineEmissionsTracker, track_emissions
from codecarbon.core.api_client import ApiClient
from codecarbon.core.schemas import ExperimentCreate, OrganizationCreate, ProjectCreate
from codecarbon.external.geography import CloudMetadata, GeoMetadata

from accounting.access import issue_token
from accounting.ingest.codecarbon_file import beside_live
from accounting.ingest.formats.codecarbon_csv import parse
from accounting.ingest.store import speaker, store
from accounting.models import CodeCarbonEmission, CodeCarbonRun, EnergySpan, FileImport, Job, Team

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore"),  # the client's own
]
EXPERIMENT = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Vision", slug="vision")


@pytest.fixture
def secret(team: Team) -> str:
    return issue_token(name="tracker", scopes=["ingest"], team=team)[1]


@pytest.fixture
def quiet(tmp_path: Path) -> dict[str, Any]:
    """A tracker that asks nobody else, on a machine with a fixed draw."""
    return {
        "measure_power_secs": 0.5, "output_dir": str(tmp_path), "log_level": "error", "country_iso_code": "FRA",
        "force_cpu_power": 60, "force_ram_power": 10, "allow_multiple_runs": True,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CODECARBON_")]:
        monkeypatch.delenv(name)
    yield


@pytest.fixture
def server(live_server: Any, secret: str) -> str:
    """The address below which clients are served; asked once, as the first request of a process loads everything."""
    address = f"{live_server.url}/api/codecarbon"
    requests.get(f"{address}/auth/check", headers={"x-api-token": secret}, timeout=30)
    return address


def run_of_tracker() -> CodeCarbonRun:
    """The one that told of energy: a client that waited two seconds in vain for the first answer begins another."""
    return CodeCarbonRun.objects.exclude(told_to_us=None).get()


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "emissions.csv").open() as file:
        return list(csv.DictReader(file))


def posted_kwh() -> float:
    return sum(CodeCarbonEmission.objects.values_list("energy_kwh", flat=True))


def booked_j() -> float:
    return sum(EnergySpan.objects.exclude(energy_j=None).values_list("energy_j", flat=True))


def brought(folder: Path, team: Team) -> FileImport:
    """As a person's import does it."""
    now = datetime.now(UTC)
    body = (folder / "emissions.csv").read_bytes()
    found = parse(body, stated={"time_zone": time.tzname[0] if time.tzname[0] == "UTC" else "UTC"})
    assert not found.wrong, found.errors
    row = FileImport.objects.create(kind="codecarbon", team=team, file_name="e", sha256="0", imported_at=now)
    batch = beside_live(found.batch, token=speaker(team=team), now=now)
    reply = store(batch, token=speaker(team=team), now=now, import_id=row.pk)
    assert (reply.rejected, reply.conflicts) == (0, 0), reply.errors
    return row


class TestATracker:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_posts_what_the_ledger_then_holds_and_its_file_brings_the_lost_tail(
        self, server: str, secret: str, team: Team, quiet: dict[str, Any], tmp_path: Path, slash: str
    ) -> None:
        tracker = OfflineEmissionsTracker(
            save_to_api=True, api_endpoint=f"{server}{slash}", api_key=secret,
            experiment_id=EXPERIMENT, api_call_interval=3, **quiet,
        )  # fmt: skip
        tracker.start()
        time.sleep(3.4)
        tracker.stop()
        row = written(tmp_path)[0]
        run = run_of_tracker()
        posts = CodeCarbonEmission.objects.filter(run=run).count()
        assert (run.experiment.key, row["run_id"], posts >= 2) == (EXPERIMENT, "None", True)
        assert booked_j() == pytest.approx(posted_kwh() * 3.6e6, rel=1e-9)
        lost = 1 - posted_kwh() / float(row["energy_consumed"])
        assert -1e-12 < lost < 0.5  # what the client never sends: a last part shorter than a second
        assert Job.objects.get().team == team

        brought(tmp_path, team)
        assert booked_j() == pytest.approx(float(row["energy_consumed"]) * 3.6e6, rel=1e-9)
        before = EnergySpan.objects.count()
        brought(tmp_path, team)
        assert EnergySpan.objects.count() == before and Job.objects.count() == 1

    def test_that_is_a_decorator_posts_too(
        self, server: str, secret: str, quiet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del quiet["country_iso_code"]  # offline decorators post nothing; an online one asks where this machine stands
        here = GeoMetadata(country_iso_code="FRA", country_name="France", region=None)
        monkeypatch.setattr(EmissionsTracker, "_get_geo_metadata", lambda self: here)
        monkeypatch.setattr(EmissionsTracker, "_get_cloud_metadata", lambda self: CloudMetadata(None, None))

        @track_emissions(
            save_to_api=True, api_endpoint=f"{server}/pue/1.2/host/node-7",
            api_key=secret, pue=1.2, api_call_interval=-1, **quiet,
        )  # fmt: skip
        def train() -> None:
            time.sleep(1.2)

        train()
        row = written(tmp_path)[0]
        assert booked_j() == pytest.approx(float(row["energy_consumed"]) / 1.2 * 3.6e6, rel=1e-9)
        assert (run_of_tracker().host_name, row["pue"]) == ("node-7", "1.2")

    def test_that_was_offline_is_brought_by_its_file_alone(
        self, team: Team, quiet: dict[str, Any], tmp_path: Path
    ) -> None:
        for _ in range(2):  # two runs, the first flushed in between: three lines
            tracker = OfflineEmissionsTracker(save_to_file=True, **quiet)
            tracker.start()
            time.sleep(1.1)
            if not (tmp_path / "emissions.csv").exists():
                tracker.flush()
                time.sleep(1.1)
            tracker.stop()
        rows = written(tmp_path)
        total_kwh = float(rows[1]["energy_consumed"]) + float(rows[2]["energy_consumed"])
        assert len(rows) == 3 and rows[0]["run_id"] == rows[1]["run_id"]
        brought(tmp_path, team)
        assert booked_j() == pytest.approx(total_kwh * 3.6e6, rel=1e-9)
        assert Job.objects.count() == 2

    def test_posts_to_the_generic_hook(
        self, server: str, secret: str, team: Team, quiet: dict[str, Any], tmp_path: Path
    ) -> None:
        tracker = OfflineEmissionsTracker(emissions_endpoint=f"{server}/token/{secret}/totals", **quiet)
        tracker.start()
        time.sleep(1.1)
        tracker.flush()
        time.sleep(1.1)
        tracker.stop()
        total_j = float(written(tmp_path)[-1]["energy_consumed"]) * 3.6e6
        assert booked_j() == pytest.approx(total_j, rel=1e-9)
        assert run_of_tracker().pk.hex == written(tmp_path)[-1]["run_id"].replace("-", "")


class TestTheCommandLine:
    def test_monitors_until_it_is_stopped(self, server: str, secret: str, tmp_path: Path) -> None:
        (tmp_path / ".codecarbon.config").write_text(
            f"[codecarbon]\napi_endpoint={server}\napi_key={secret}\n"
            f"experiment_id={EXPERIMENT}\nforce_cpu_power=60\nforce_ram_power=10\nallow_multiple_runs=true\n"
        )
        command = [sys.executable, "-c", _NO_WEB, "monitor", "--measure-power-secs", "1", "--api-call-interval", "1"]
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)})
        until = time.monotonic() + 15
        while time.monotonic() < until and not CodeCarbonEmission.objects.exists():
            time.sleep(0.1)
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert CodeCarbonEmission.objects.count() >= 1
        assert booked_j() == pytest.approx(posted_kwh() * 3.6e6, rel=1e-9)

    def test_makes_project_experiment_and_token_as_its_wizard_does(self, server: str, team: Team) -> None:
        secret = issue_token(name="cli", scopes=["ingest", "read", "admin"], team=team)[1]
        api = ApiClient(endpoint_url=f"{server}")
        api.set_access_token(secret)  # what `codecarbon login` keeps in credentials.json
        assert api.check_auth()["speaks_for"] == "Vision"
        organisation = api.create_organization(OrganizationCreate("GreenAI", ""))
        assert api.get_organization(organisation["id"]) == organisation
        project = api.create_project(ProjectCreate("ResNet", "", organisation["id"]))
        assert api.list_projects_from_organization(organisation["id"]) == [project] == [api.get_project(project["id"])]
        made = api.add_experiment(
            ExperimentCreate(datetime.now(UTC).isoformat(), "first", "", False, project["id"])  # type: ignore[arg-type]
        )
        assert api.list_experiments_from_project(project["id"]) == [made] == [api.get_experiment(made["id"])]

    def test_shows_what_was_refused(self, server: str, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(Exception, match="401"):
            ApiClient(endpoint_url=f"{server}", api_key="api_key").check_auth()


# The command line as installed; only its question to the internet where this machine stands is answered here.
_NO_WEB = """
import codecarbon.emissions_tracker as e
from codecarbon.external.geography import GeoMetadata
e.EmissionsTracker._get_geo_metadata = lambda self: GeoMetadata("FRA", "France", None)
from codecarbon.cli.main import main
main()
"""
