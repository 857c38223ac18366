import pytest
from django.utils import timezone

from accounting.models import AuditEntry
from optimizer.experiments.builtin import BUILTIN
from optimizer.experiments.plan import candidates
from optimizer.models import Experiment, Workload
from tests.optimizer.rows import a_machine, a_workload

KEYS = [variant.key for variant in candidates("inference", "digits-classifier")]
QUESTION = {"goal": "size", "quality_floor_points": "1", "quality_minimum": "", "repeats": "20", "variants": KEYS}


@pytest.fixture
def workload(people):
    return a_workload(people.team)


class TestIndex:
    def test_offers_what_the_team_does_not_have_yet_and_adds_it_with_one_click(self, people):
        assert people.member.get("/workloads/").content.decode().count("Add</button>") == len(BUILTIN)
        form = {"builtin": "digits-classifier", "team": people.team.pk}
        answer = people.member.post("/workloads/add/", form)
        added = Workload.objects.get()
        assert answer.url == f"/workloads/{added.pk}/"
        assert (added.team, added.builtin, added.kind) == (people.team, "digits-classifier", "inference")
        assert people.member.get("/workloads/").content.decode().count("Add</button>") == len(BUILTIN) - 1

    def test_adding_twice_adds_once(self, people):
        form = {"builtin": "digits-classifier", "team": people.team.pk}
        for _ in range(2):
            people.member.post("/workloads/add/", form)
        assert Workload.objects.count() == 1

    def test_offers_a_viewer_nothing_and_adds_nothing_to_another_team(self, people):
        assert "Add</button>" not in people.viewer.get("/workloads/").content.decode()
        people.member.post("/workloads/add/", {"builtin": "digits-classifier", "team": people.other_team.pk})
        assert not Workload.objects.exists()

    def test_shows_only_the_teams_of_the_reader(self, people, workload):
        page = f'href="/workloads/{workload.pk}/"'
        assert page in people.viewer.get("/workloads/").content.decode()
        assert page in people.auditor.get("/workloads/").content.decode()
        assert page not in people.stranger.get("/workloads/").content.decode()


class TestOptimize:
    def test_asks_the_question_and_sends_a_machine_on_its_way(
        self, people, workload, sent, django_capture_on_commit_callbacks
    ):
        a_machine(heartbeat_at=timezone.now())
        with django_capture_on_commit_callbacks(execute=True):
            answer = people.member.post(f"/workloads/{workload.pk}/", QUESTION)
        experiment = Experiment.objects.get()
        assert answer.url == f"/experiments/{experiment.pk}/"
        assert (experiment.goal, experiment.quality_floor_points, experiment.repeats) == ("size", 1.0, 20)
        assert experiment.created_by.username == "member"
        assert experiment.variants.first().technique == "none"
        assert experiment.variants.count() == 1 + len(KEYS)
        assert (experiment.job.key, experiment.job.kind) == (f"experiment-{experiment.pk}", "experiment")
        assert (experiment.job.team, experiment.job.started_at) == (people.team, None)
        assert sent == [(str(experiment.pk), "hardware.box-1")]
        assert AuditEntry.objects.filter(action="experiment.submitted", actor="member").exists()

    def test_tries_only_what_was_chosen(self, people, workload, sent):
        people.member.post(f"/workloads/{workload.pk}/", {**QUESTION, "variants": KEYS[:1]})
        assert Experiment.objects.get().variants.count() == 2

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"variants": []}, "This field is required"),
            ({"variants": ["magic: 100x"]}, "not one of the available choices"),
            ({"quality_floor_points": "-1"}, "greater than or equal to 0"),
            ({"quality_minimum": "95"}, "less than or equal to 1"),
            ({"repeats": "3"}, "greater than or equal to 5"),
            ({"repeats": "5"}, "5 rounds cannot show a difference"),
            ({"goal": "beauty"}, "not one of the available choices"),
        ],
    )
    def test_refuses_a_question_that_cannot_be_answered(self, people, workload, change, words):
        answer = people.member.post(f"/workloads/{workload.pk}/", {**QUESTION, **change})
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert not Experiment.objects.exists()

    def test_is_for_members_only(self, people, workload):
        address = f"/workloads/{workload.pk}/"
        assert people.viewer.post(address, QUESTION).status_code == 403
        assert people.auditor.post(address, QUESTION).status_code == 403
        assert people.stranger.post(address, QUESTION).status_code == 404
        assert not Experiment.objects.exists()
        assert "Only members of Vision can start" in people.viewer.get(address).content.decode()

    def test_strangers_find_nothing_and_visitors_sign_in(self, people, workload, client):
        assert people.stranger.get(f"/workloads/{workload.pk}/").status_code == 404
        assert client.get(f"/workloads/{workload.pk}/").url.startswith("/login/")


class TestVolume:
    def test_keeps_how_often_the_work_is_done(self, people, workload):
        people.member.post(f"/workloads/{workload.pk}/volume/", {"units_per_month": "2000000"})
        workload.refresh_from_db()
        assert workload.units_per_month == 2e6
        people.member.post(f"/workloads/{workload.pk}/volume/", {"units_per_month": ""})
        workload.refresh_from_db()
        assert workload.units_per_month is None

    def test_refuses_a_volume_that_saves_nothing_and_people_who_only_look(self, people, workload):
        address = f"/workloads/{workload.pk}/volume/"
        assert people.member.post(address, {"units_per_month": "0"}).status_code == 422
        assert people.viewer.post(address, {"units_per_month": "5"}).status_code == 403
        workload.refresh_from_db()
        assert workload.units_per_month is None
