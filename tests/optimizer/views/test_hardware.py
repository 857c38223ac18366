import pytest

from accounting.models import AuditEntry
from optimizer.models import Hardware
from tests.optimizer.rows import a_machine

ABLE = {"cpu": "EPYC 9654", "cores": 8, "memory_bytes": 64 << 30, "gpus": [], "sensors": ["rapl"]}


@pytest.fixture
def machine(people):
    return a_machine(state=Hardware.State.PENDING, capabilities=ABLE)


class TestHardware:
    def test_everyone_sees_the_machines_and_administrators_the_buttons(self, people, machine):
        text = people.member.get("/hardware/").content.decode()
        for words in ("box-1", "Waiting for approval", "EPYC 9654", "68.7 GB", "rapl", "every team"):
            assert words in text
        assert "Approve</button>" not in text
        assert "Approve</button>" in people.administrator.get("/hardware/").content.decode()

    def test_an_administrator_approves_and_retires(self, people, machine):
        people.administrator.post(f"/hardware/{machine.pk}/state/", {"state": "approved"})
        machine.refresh_from_db()
        assert (machine.state, machine.approved_by.username) == ("approved", "administrator")
        people.administrator.post(f"/hardware/{machine.pk}/state/", {"state": "retired"})
        machine.refresh_from_db()
        assert machine.state == "retired"
        actions = AuditEntry.objects.filter(action__startswith="hardware.").values_list("action", flat=True)
        assert sorted(actions) == ["hardware.approved", "hardware.retired"]

    def test_an_administrator_says_which_teams_may_use_it(self, people, machine):
        people.administrator.post(f"/hardware/{machine.pk}/", {"teams": [people.team.pk]})
        assert list(machine.teams.all()) == [people.team]
        people.administrator.post(f"/hardware/{machine.pk}/", {})
        assert not machine.teams.exists()

    def test_nobody_else_changes_anything(self, people, machine):
        for client in (people.member, people.viewer, people.auditor):
            assert client.post(f"/hardware/{machine.pk}/state/", {"state": "approved"}).status_code == 403
            assert client.post(f"/hardware/{machine.pk}/", {"teams": []}).status_code == 403
            assert client.get(f"/hardware/{machine.pk}/").status_code == 200
        machine.refresh_from_db()
        assert machine.state == "pending"

    def test_refuses_a_state_that_cannot_be_chosen(self, people, machine):
        assert people.administrator.post(f"/hardware/{machine.pk}/state/", {"state": "pending"}).status_code == 400
