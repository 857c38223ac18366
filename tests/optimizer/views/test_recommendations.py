import pytest

from accounting.models import AuditEntry
from optimizer.recommend import recommend_for_experiment
from tests.optimizer.rows import NOW, a_workload
from tests.optimizer.test_recommend import a_finished_experiment


@pytest.fixture
def row(people):
    return recommend_for_experiment(a_finished_experiment(workload=a_workload(people.team)).pk, now=NOW)


class TestDetail:
    def test_shows_the_reason_the_saving_the_alternatives_and_the_break_even(self, people, row):
        text = people.viewer.get(f"/recommendations/{row.pk}/").content.decode()
        for words in ("0.50 times the baseline", "150 <small>Wh", "30.0 <small>g", "10,000", "int4 linear layers",
                      "the floor allows a loss of 1", "modelled"):  # fmt: skip
            assert words in text

    def test_warns_where_an_energy_saving_is_not_shown(self, people):
        experiment = a_finished_experiment(workload=a_workload(people.team), saved_j=(-0.5, -0.1, 0.2))
        row = recommend_for_experiment(experiment.pk, now=NOW)
        text = people.member.get(f"/recommendations/{row.pk}/").content.decode()
        assert "An energy saving is not shown by these measurements" in text

    def test_is_not_there_for_another_team(self, people, row):
        assert people.stranger.get(f"/recommendations/{row.pk}/").status_code == 404
        assert people.auditor.get(f"/recommendations/{row.pk}/").status_code == 200


class TestDecide:
    def test_accepts_shows_who_did_and_leaves_a_trail(self, people, row):
        people.member.post(f"/recommendations/{row.pk}/decide/", {"state": "accepted", "note": "rolled out"})
        text = people.viewer.get(f"/recommendations/{row.pk}/").content.decode()
        assert "Accepted by member" in text
        assert "rolled out" in text
        assert AuditEntry.objects.get(action="recommendation.accepted").detail["note"] == "rolled out"

    def test_a_dismissal_needs_a_reason(self, people, row):
        address = f"/recommendations/{row.pk}/decide/"
        refused = people.member.post(address, {"state": "dismissed", "note": "  "})
        assert refused.status_code == 422
        assert "Say why" in refused.content.decode()
        people.member.post(address, {"state": "dismissed", "note": "needs a new runtime"})
        row.refresh_from_db()
        assert (row.state, row.decision_note) == ("dismissed", "needs a new runtime")

    def test_the_first_decision_stands(self, people, row):
        address = f"/recommendations/{row.pk}/decide/"
        people.member.post(address, {"state": "accepted", "note": ""})
        late = people.administrator.post(address, {"state": "dismissed", "note": "no"}, follow=True)
        assert "Someone has decided on it already" in late.content.decode()
        row.refresh_from_db()
        assert row.state == "accepted"
        assert AuditEntry.objects.filter(action__startswith="recommendation.").count() == 1

    def test_is_for_members_only(self, people, row):
        address = f"/recommendations/{row.pk}/decide/"
        accept = {"state": "accepted", "note": ""}
        assert people.viewer.post(address, accept).status_code == 403
        assert people.auditor.post(address, accept).status_code == 403
        assert people.stranger.post(address, accept).status_code == 404
        row.refresh_from_db()
        assert row.state == "open"
        assert "Dismiss</button>" not in people.viewer.get(f"/recommendations/{row.pk}/").content.decode()


class TestIndex:
    def test_lists_open_advice_first_and_the_decided_on_request(self, people, row):
        assert row.title in people.member.get("/recommendations/").content.decode()
        people.member.post(f"/recommendations/{row.pk}/decide/", {"state": "accepted", "note": ""})
        assert row.title not in people.member.get("/recommendations/").content.decode()
        assert row.title in people.member.get("/recommendations/?state=accepted").content.decode()
        assert row.title in people.member.get("/recommendations/?state=").content.decode()
        assert row.title not in people.stranger.get("/recommendations/?state=").content.decode()
