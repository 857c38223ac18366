"""CodeCarbon's protocol as its clients speak it, byte for byte as captured from 3.3.2."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounting.access import issue_token
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import (
    CodeCarbonEmission,
    CodeCarbonRun,
    Device,
    DirtyHour,
    EnergyHour,
    EnergySpan,
    Host,
    Job,
    LedgerHour,
    Project,
    Site,
    Team,
)

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 20, 23, 46, 38, tzinfo=UTC)
RUN = {
    "timestamp": "2026-11-20T23:46:38.524244+00:00", "experiment_id": "11111111-2222-4333-8444-555555555555",
    "os": "Linux-6.18.44", "python_version": "3.11.7", "codecarbon_version": "3.3.2", "cpu_count": 2,
    "cpu_model": "Intel(R) Xeon(R) Processor @ 2.50GHz", "gpu_count": 0, "gpu_model": "", "longitude": None,
    "latitude": None, "region": None, "provider": None, "ram_total_size": 23.54058837890625,
    "tracking_mode": "machine",
}  # fmt: skip
EMISSION = {
    "timestamp": "2026-11-20T23:46:38.531260+00:00", "duration": 1, "emissions_sum": 7.747302736407935e-07,
    "emissions_rate": 7.667077625638149e-07, "cpu_power": 18.847578959593058, "gpu_power": 0.0, "ram_power": 24.0,
    "cpu_energy": 7.147893944446616e-06, "gpu_energy": 0.0, "ram_energy": 6.676947213332672e-06,
    "energy_consumed": 1.3824841157779288e-05, "cpu_utilization_percent": 0.0, "gpu_utilization_percent": 0,
    "ram_utilization_percent": 3.3, "wue": 0.5,
}  # fmt: skip
GPU = {"gpu_count": 8, "gpu_model": "8 x NVIDIA H100 80GB HBM3"}


class Tracker:
    """The two calls of a tracker, with its header."""

    def __init__(self, secret: str, base: str = "/api/codecarbon") -> None:
        self.base, self.headers = base, {"x-api-token": secret}
        self.client = Client(raise_request_exception=False)

    def send(self, path: str, said: object, **headers: str) -> Any:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.client.post(f"{self.base}{path}", body, "application/json", headers=headers or self.headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"{self.base}{path}", headers=self.headers)

    def run(self, **changes: object) -> str:
        reply = self.send("/runs", RUN | changes)
        assert reply.status_code == 201, reply.content
        return json.loads(reply.content)["id"]

    def emit(self, run: str, after_s: float, duration: float, kwh: float = 1e-3, **changes: object) -> Any:
        at = (START + timedelta(seconds=after_s)).isoformat()
        energy = {"energy_consumed": kwh, "cpu_energy": kwh / 2, "ram_energy": kwh / 2, "gpu_energy": 0.0}
        return self.send(
            "/emissions", EMISSION | energy | {"timestamp": at, "run_id": run, "duration": duration} | changes
        )


@pytest.fixture
def tracker(team_secret: str) -> Tracker:
    return Tracker(team_secret)


def rebuilt() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    while DirtyHour.objects.exists():
        rebuild_dirty(now=now)


def ledger_kwh(**which: object) -> float:
    return sum(LedgerHour.objects.filter(**which).values_list("it_energy_kwh", flat=True))


class TestATracker:
    def test_is_answered_as_by_its_own_server(self, tracker: Tracker) -> None:
        reply = tracker.send("/runs", RUN)
        said = json.loads(reply.content)
        assert reply.status_code == 201 and {**RUN, "id": said["id"]} == said | {"timestamp": RUN["timestamp"]}
        reply = tracker.send("/emissions", EMISSION | {"run_id": said["id"]})
        assert reply.status_code == 201
        assert uuid.UUID(json.loads(reply.content))

    def test_may_end_its_address_with_a_slash(self, tracker: Tracker, team_secret: str) -> None:
        run = json.loads(Tracker(team_secret, "/api/codecarbon/").send("/runs", RUN).content)["id"]
        reply = Tracker(team_secret, "/api/codecarbon/").send("/emissions", EMISSION | {"run_id": run})
        assert reply.status_code == 201

    def test_is_known_by_a_bearer_token_too(self, tracker: Tracker, team_secret: str, site_secret: str) -> None:
        assert tracker.send("/runs", RUN, Authorization=f"Bearer {team_secret}").status_code == 201
        assert tracker.send("/runs", RUN, Authorization=f"Bearer {site_secret}").status_code == 201

    def test_becomes_a_job_of_the_team_with_the_energy_it_told(self, tracker: Tracker, team: Team) -> None:
        run = tracker.run()
        tracker.send("/emissions", EMISSION | {"run_id": run})
        rebuilt()
        job = Job.objects.get()
        assert (job.team, job.kind, job.key) == (team, "codecarbon", f"codecarbon-{run}")
        assert job.started_at == datetime.fromisoformat("2026-11-20T23:46:37.531260+00:00")
        assert ledger_kwh(job=job) == pytest.approx(EMISSION["energy_consumed"], rel=1e-9)
        told = {d.key: (d.kind, d.is_total, d.model) for d in Device.objects.all()}
        assert told == {
            "codecarbon-cpu": ("cpu", True, RUN["cpu_model"]), "codecarbon-memory": ("memory", True, ""),
        }  # fmt: skip

    def test_of_the_default_experiment_works_for_every_team_apart(self, tracker: Tracker, site_secret: str) -> None:
        default = {"experiment_id": "5b0fa12a-3dd7-45bb-9766-cc326314d9f1"}
        tracker.run(**default), tracker.run(**default), Tracker(site_secret).run(**default)
        runs = CodeCarbonRun.objects.select_related("experiment")
        assert sorted(run.experiment_id for run in runs)[0:3:2] == sorted({run.experiment_id for run in runs})
        assert {run.experiment.name for run in runs} == {"CodeCarbon"}

    def test_sent_twice_counts_once_under_one_id(self, tracker: Tracker) -> None:
        run = tracker.run()
        assert tracker.emit(run, 10, 9).content == tracker.emit(run, 10, 9).content
        assert (CodeCarbonEmission.objects.count(), EnergySpan.objects.count()) == (1, 2)

    def test_with_gpus_tells_of_as_many_as_it_names_and_they_are_measured(self, tracker: Tracker) -> None:
        run = tracker.run(**GPU)
        tracker.emit(run, 10, 9, 2e-3, gpu_energy=1e-3)
        device = Device.objects.get(kind="gpu")
        assert (device.units, device.model, device.is_total) == (8, "NVIDIA H100 80GB HBM3", True)
        assert set(EnergySpan.objects.values_list("device__kind", "measured")) == {
            ("cpu", False), ("memory", False), ("gpu", True),
        }  # fmt: skip

    def test_tells_of_a_rest_that_its_parts_do_not_hold(self, tracker: Tracker) -> None:
        # An older client: 3.6 MJ in all, no parts
        tracker.emit(tracker.run(), 10, 9, 1.0, cpu_energy=None, ram_energy=None, gpu_energy=None)
        rebuilt()
        assert ledger_kwh(device__key="codecarbon-other") == pytest.approx(1.0) == pytest.approx(ledger_kwh())


class TestTheAddress:
    def test_takes_the_pue_out_again(self, team_secret: str) -> None:
        # 1.2 kWh with a PUE of 1.2 inside are 1 kWh of IT energy
        tracker = Tracker(team_secret, "/api/codecarbon/pue/1.2")
        tracker.emit(tracker.run(), 10, 9, 1.2)
        rebuilt()
        assert ledger_kwh() == pytest.approx(1.0)

    def test_names_host_job_and_project(self, team_secret: str, team: Team) -> None:
        tracker = Tracker(team_secret, "/api/codecarbon/host/node-7/job/4711/project/resnet")
        tracker.emit(tracker.run(), 10, 9)
        assert Host.objects.get().name == "node-7"
        assert (Job.objects.get().key, Job.objects.get().project) == ("4711", Project.objects.get(slug="resnet"))

    def test_names_the_team_under_a_sites_token(self, site_secret: str, team: Team) -> None:
        tracker = Tracker(site_secret, "/api/codecarbon/team/vision")
        tracker.emit(tracker.run(), 10, 9)
        assert Job.objects.get().team == team
        assert Host.objects.get().site == Site.objects.get()

    @pytest.mark.parametrize(
        ("base", "status", "word"),
        [
            ("/api/codecarbon/pue/0.9", 422, "from 1 to 10"),
            ("/api/codecarbon/pue/nan", 422, "from 1 to 10"),
            ("/api/codecarbon/team/nobody", 422, "nobody"),
            ("/api/codecarbon/project/a b", 422, "slug"),
            ("/api/codecarbon/cluster/x", 404, "host, pue"),
            ("/api/codecarbon/host/x/emissions/a", 404, "Not Found"),
        ],
    )
    def test_is_refused_with_what_is_wrong_in_it(self, team_secret: str, base: str, status: int, word: str) -> None:
        reply = Tracker(team_secret, base).send("/runs", RUN)
        assert reply.status_code == status and word in json.loads(reply.content)["detail"]


class TestRefusals:
    def test_are_worded_as_the_client_shows_them(self, tracker: Tracker) -> None:
        assert tracker.send("/runs", RUN, **{"x-api-token": "api_key"}).status_code == 401
        read_only = issue_token(name="r", scopes=["read"], team=Team.objects.get())[1]
        reply = Tracker(read_only).send("/runs", RUN)
        assert reply.status_code == 403 and "ingest" in json.loads(reply.content)["detail"]
        reply = tracker.send("/emissions", EMISSION | {"run_id": str(uuid.uuid4())})
        assert reply.status_code == 404 and "/runs" in json.loads(reply.content)["detail"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"duration": 0}, "duration"),
            ({"duration": "x"}, "duration"),
            ({"energy_consumed": -1.0}, "energy_consumed"),
            ({"energy_consumed": 1e300}, "energy_consumed"),
            ({"cpu_utilization_percent": 101}, "cpu_utilization_percent"),
            ({"timestamp": "yesterday"}, "timestamp"),
            ({"timestamp": "2999-01-01T00:00:00+00:00"}, "timestamp"),
            ({"timestamp": "1999-01-01T00:00:00+00:00"}, "timestamp"),
            ({"run_id": "None"}, "run_id"),
        ],
    )
    def test_name_the_field_at_fault(self, tracker: Tracker, change: dict[str, object], field: str) -> None:
        reply = tracker.send("/emissions", EMISSION | {"run_id": tracker.run()} | change)
        assert reply.status_code == 422
        assert json.loads(reply.content)["detail"][0]["loc"] == ["body", field]

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"\xff", b"{" * 5000, b'{"a":' * 5000, b'{"timestamp": 1e999}', b"NaN"]
    )
    def test_never_are_a_server_error(self, tracker: Tracker, body: bytes) -> None:
        assert {tracker.send(path, body).status_code for path in ("/runs", "/emissions", "/totals")} == {422}

    @pytest.mark.parametrize("place", ["experiments/%00", "experiments/%00/runs", "projects/%00", "runs/%00/emissions"])
    def test_come_as_404_for_an_address_that_holds_nul(self, tracker: Tracker, place: str) -> None:
        assert tracker.get(f"/{place}").status_code == 404

    def test_do_not_come_for_odd_text_in_a_run(self, tracker: Tracker) -> None:
        run = tracker.run(cpu_model="Xeon\x00\x1b[31m " + "x" * 400, gpu_model="99999999999999999999 x \x00H100",
                          gpu_count=1e300, cpu_count=-5, ram_total_size=1e308, experiment_id="\x00odd")  # fmt: skip
        assert tracker.emit(run, 10, 9).status_code == 201
        rebuilt()
        assert ledger_kwh() == pytest.approx(1e-3)

    def test_hide_the_runs_of_others(self, tracker: Tracker, site_secret: str) -> None:
        run = tracker.run()
        assert Tracker(site_secret).emit(run, 10, 9).status_code == 404
        assert Tracker(site_secret).get(f"/runs/{run}").status_code == 404

    def test_come_as_503_only_where_the_database_does_not_answer(self, tracker: Tracker, monkeypatch) -> None:
        run, calls = tracker.run(), []

        def once(*args: object, **more: object) -> uuid.UUID:
            calls.append(1)
            raise OperationalError("deadlock")

        monkeypatch.setattr("accounting.api.codecarbon.take_emission", once)
        assert (tracker.emit(run, 10, 9).status_code, len(calls)) == (503, 2)


class TestTimeBetweenPosts:
    def spans(self, device: str = "codecarbon-cpu") -> list[tuple[float, float, bool]]:
        rows = EnergySpan.objects.filter(device__key=device).order_by("ended_at_us", "energy_j")
        zero = round(START.timestamp() * 1e6)
        return [((r.started_at_us - zero) / 1e6, (r.ended_at_us - zero) / 1e6, r.energy_j is not None) for r in rows]

    def test_belongs_to_the_later_post_where_its_duration_was_cut(self, tracker: Tracker) -> None:
        run = tracker.run()
        tracker.emit(run, 10, 9), tracker.emit(run, 11.99, 1), tracker.emit(run, 14.5, 2)
        assert self.spans() == [(1, 10, True), (10, 11.99, True), (11.99, 14.5, True)]

    def test_is_missing_where_a_post_got_lost(self, tracker: Tracker) -> None:
        # 120 s, a lost post of 120 s, 120 s: 3 kWh would be true, 2 are told, a third of the time is missing
        run = tracker.run()
        tracker.emit(run, 120.4, 120, 1.0), tracker.emit(run, 360.9, 120, 1.0)
        assert (240.9, 360.9, True) in self.spans()
        rebuilt()
        of = EnergyHour.objects.filter(device__key="codecarbon-cpu")
        assert sum(of.values_list("missing_s", flat=True)) == pytest.approx(120.5)
        assert ledger_kwh() == pytest.approx(2.0)

    def test_is_no_longer_missing_when_the_post_comes_late(self, tracker: Tracker) -> None:
        run = tracker.run()
        tracker.emit(run, 120.4, 120, 1.0), tracker.emit(run, 360.9, 120, 1.0), tracker.emit(run, 240.7, 120, 1.0)
        rebuilt()
        of = EnergyHour.objects.filter(device__key="codecarbon-cpu")
        assert sum(of.values_list("missing_s", flat=True)) == 0.0
        assert sum(of.values_list("covered_s", flat=True)) == pytest.approx(360.5)
        assert ledger_kwh() == pytest.approx(3.0)


class TestSeveralTrackersOnOneMachine:
    def test_that_each_tell_of_all_of_it_count_once(self, tracker: Tracker) -> None:
        """Four ranks of `srun --ntasks-per-node=4`: each tells 1 kWh of the same node."""
        for _ in range(4):
            run = tracker.run()
            tracker.emit(run, 3600, 3600, 1.0)
        rebuilt()
        assert (ledger_kwh(), Host.objects.count(), Device.objects.count()) == (pytest.approx(1.0), 1, 2)
        assert Job.objects.count() == 4

    def test_that_tell_of_their_process_add_up_and_no_machine_is_made(self, tracker: Tracker) -> None:
        for kwh in (1.0, 2.0, 3.0):
            tracker.emit(tracker.run(tracking_mode="process"), 3600, 3600, kwh)
        rebuilt()
        assert ledger_kwh() == pytest.approx(6.0)
        assert sum(LedgerHour.objects.values_list("embodied_g", flat=True)) == 0.0
        assert set(Device.objects.values_list("retired_at", flat=True)) == {START + timedelta(seconds=3600)}

    def test_of_one_process_tell_of_whole_gpus_which_count_once(self, tracker: Tracker) -> None:
        for _ in range(2):
            tracker.emit(tracker.run(tracking_mode="process", **GPU), 3600, 3600, 2.0, gpu_energy=1.0)
        rebuilt()
        assert ledger_kwh(device__kind="gpu") == pytest.approx(1.0)

    def test_count_only_where_the_hosts_own_agent_does_not(self, tracker: Tracker, team_secret: str) -> None:
        # The agent reads the CPU for the hour: 100 W. The process's share of it counts no more; its memory does
        tracker = Tracker(team_secret, "/api/codecarbon/host/node-1")
        tracker.emit(tracker.run(tracking_mode="process"), 3600, 3600, 1.0)
        start = START.replace(minute=46)
        samples = [
            {"device": "cpu-0", "measured_at": (start + timedelta(seconds=60 * k)).isoformat(), "power_w": 100.0}
            for k in range(62)
        ]
        batch = {"agent": {"id": "a", "host": "node-1", "boot_id": "b"}, "device_samples": samples,
                 "devices": [{"device": "cpu-0", "kind": "cpu"}]}  # fmt: skip
        headers = {"Authorization": f"Bearer {team_secret}"}
        Client().post("/api/v1/telemetry", json.dumps(batch), "application/json", headers=headers)
        rebuilt()
        assert Host.objects.count() == 1
        assert ledger_kwh(device__key__startswith="codecarbon-cpu") == pytest.approx(0.0, abs=1e-9)
        assert ledger_kwh(device__key__startswith="codecarbon-memory") == pytest.approx(0.5)


class TestTheGenericHook:
    BODY = {
        "timestamp": None, "project_name": "cap-proj", "run_id": "220161ca-a637-4cfa-b048-64806ca65dba",
        "experiment_id": "5b0fa12a-3dd7-45bb-9766-cc326314d9f1", "duration": 2.2, "emissions": 1.41e-6,
        "emissions_rate": 6.4e-7, "cpu_power": 40.5, "gpu_power": 0.0, "ram_power": 20.0, "cpu_energy": 1.2e-5,
        "gpu_energy": 0.0, "ram_energy": 1.2e-5, "energy_consumed": 2.4e-5, "water_consumed": 0.0,
        "country_name": "France", "country_iso_code": "FRA", "region": None, "cloud_provider": "", "cloud_region": "",
        "os": "Linux", "python_version": "3.11.7", "codecarbon_version": "3.3.2", "cpu_count": 2, "cpu_model": "Xeon",
        "gpu_count": 0, "gpu_model": "", "longitude": None, "latitude": None, "ram_total_size": 23.5,
        "tracking_mode": "machine", "cpu_utilization_percent": 50.6, "gpu_utilization_percent": 0,
        "ram_utilization_percent": 3.3, "ram_used_gb": 0.77, "on_cloud": "N", "pue": 1.2, "wue": 0.0, "user": "root",
    }  # fmt: skip

    def post(self, secret: str, **changes: object) -> Any:
        at = datetime.now(UTC) + timedelta(hours=5, minutes=30)  # a clock in India, which names no zone
        body = self.BODY | {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%S")} | changes
        return Tracker(secret, f"/api/codecarbon/token/{secret}").send("/totals", body, Accept="*/*")

    def test_is_known_by_its_address_and_posts_totals(self, team_secret: str) -> None:
        assert self.post(team_secret).status_code == 201
        later = datetime.now(UTC) + timedelta(hours=5, minutes=30, seconds=8)
        changes = {"timestamp": later.strftime("%Y-%m-%dT%H:%M:%S"), "duration": 10.3, "energy_consumed": 7.2e-5,
                   "cpu_energy": 3.6e-5, "ram_energy": 3.6e-5}  # fmt: skip
        assert self.post(team_secret, **changes).status_code == 201
        told_j = sum(EnergySpan.objects.values_list("energy_j", flat=True))
        assert told_j == pytest.approx(7.2e-5 * 3.6e6 / 1.2)
        end = datetime.fromtimestamp(max(EnergySpan.objects.values_list("ended_at_us", flat=True)) / 1e6, tz=UTC)
        assert abs(end - datetime.now(UTC)) < timedelta(seconds=10)

    def test_is_refused_without_a_token(self) -> None:
        assert Tracker("", "/api/codecarbon").send("/totals", self.BODY, Accept="*/*").status_code == 401


class TestTheCommandLine:
    """The calls of `codecarbon config`, in their order."""

    def test_finds_the_organisation_makes_a_project_an_experiment_and_a_token(self, team: Team) -> None:
        secret = issue_token(name="cli", scopes=["ingest", "read", "admin"], team=team)[1]
        tracker = Tracker(secret)
        assert tracker.get("/auth/check").status_code == 200
        organisation = json.loads(tracker.get("/organizations").content)[0]
        assert json.loads(tracker.get(f"/organizations/{organisation['id']}").content) == organisation
        assert json.loads(tracker.get(f"/organizations/{organisation['id']}/projects").content) == []
        said = {"name": "Res Net", "description": "d", "organization_id": organisation["id"]}
        reply = tracker.send("/projects", said)
        project = json.loads(reply.content)
        assert reply.status_code == 201 and Project.objects.get().slug == "res-net"
        assert json.loads(tracker.get(f"/projects/{project['id']}").content) == project
        made = {"timestamp": RUN["timestamp"], "name": "first", "description": "", "on_cloud": False,
                "project_id": project["id"], "country_iso_code": "FRA"}  # fmt: skip
        reply = tracker.send("/experiments", made)
        experiment = json.loads(reply.content)
        assert reply.status_code == 201 and experiment["country_iso_code"] == "FRA"
        assert json.loads(tracker.get(f"/experiments/{experiment['id']}").content) == experiment
        listed = json.loads(tracker.get(f"/projects/{project['id']}/experiments").content)
        assert [one["id"] for one in listed] == [experiment["id"]]
        asked = {"project_id": project["id"], "name": "api token", "x_token": "???"}
        key = json.loads(tracker.send(f"/projects/{project['id']}/api-tokens", asked).content)["token"]
        theirs = Tracker(key)
        run = theirs.run(experiment_id=experiment["id"])
        theirs.emit(run, 10, 9, 0.5), theirs.emit(run, 19.5, 9, 0.5)
        assert Job.objects.get().project == Project.objects.get()
        assert [one["id"] for one in json.loads(tracker.get("/runs").content)] == [run]
        page = json.loads(tracker.get(f"/runs/{run}/emissions").content)
        assert (page["total"], sum(one["energy_consumed"] for one in page["items"])) == (2, 1.0)
        sums = json.loads(tracker.get(f"/experiments/{experiment['id']}/runs/sums").content)[0]
        assert (sums["energy_consumed"], sums["emissions_count"]) == (1.0, 2)
        assert json.loads(tracker.get(f"/lastrun/project/{project['id']}").content)["id"] == run

    def test_may_not_make_an_organisation_or_a_token_without_the_scope(self, tracker: Tracker, team: Team) -> None:
        assert tracker.send("/organizations", {"name": "Mine", "description": ""}).status_code == 403
        project = json.loads(tracker.send("/projects", {"name": "p"}).content)["id"]
        assert tracker.send(f"/projects/{project}/api-tokens", {}).status_code == 403
        assert tracker.get("/nothing/at/all").status_code == 404
        assert tracker.get("/emissions").status_code == 405
