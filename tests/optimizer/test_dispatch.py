import pytest

from optimizer.dispatch import place
from optimizer.models import Experiment, Hardware
from tests.optimizer.rows import NOW, a_machine, a_team, a_workload, an_experiment, later

pytestmark = pytest.mark.django_db
SILENT_AFTER_S = 40.0


def placed(experiment, now=NOW):
    return place(experiment.pk, now=now, silent_after_s=SILENT_AFTER_S)


class TestPlace:
    def test_gives_the_experiment_to_a_living_machine_with_the_rates_of_its_site(self):
        machine, experiment = a_machine(), an_experiment()
        assert placed(experiment).hardware == machine
        experiment.refresh_from_db()
        assert (experiment.hardware, experiment.nudged_at) == (machine, NOW)
        assert experiment.carbon_context["intensity_g_per_kwh"]["status"] == "DEFAULT"  # Paris has no grid zone yet
        assert experiment.carbon_context["pue"]["mid"] >= 1

    def test_chooses_the_machine_with_the_fewest_experiments_before_it(self):
        busy, free = a_machine("a-busy"), a_machine("b-free")
        workload = a_workload()
        an_experiment(hardware=busy, workload=workload)
        assert placed(an_experiment(workload=workload)).hardware == free

    def test_placing_again_does_not_count_the_experiment_against_its_own_machine(self):
        first, _ = a_machine("a"), a_machine("b")
        experiment = an_experiment()
        assert placed(experiment).hardware == placed(experiment, now=later(5)).hardware == first

    def test_leaves_a_silent_machine_for_one_that_lives(self):
        silent, alive = a_machine("a", heartbeat_at=later(-41)), a_machine("b")
        experiment = an_experiment(hardware=silent)
        assert placed(experiment).hardware == alive

    def test_prefers_no_machine_of_another_team(self):
        machine, experiment = a_machine(), an_experiment()
        machine.teams.add(a_team("Speech"))
        assert "No machine is open to this team" in placed(experiment).reason

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"state": Hardware.State.PENDING}, "No machine is approved yet"),
            ({"heartbeat_at": later(-41)}, "No machine answers: box-1"),
            ({"heartbeat_at": None}, "No machine answers: box-1"),
            ({"capabilities": {"memory_bytes": 1 << 29}}, "box-1 has 0.5 GiB of memory, 1.0 are needed"),
            ({"state": Hardware.State.RETIRED}, "No machine has registered"),
        ],
    )
    def test_says_visibly_why_it_has_to_wait(self, fields, reason):
        a_machine(**fields)
        experiment = an_experiment()
        assert reason in placed(experiment).reason
        experiment.refresh_from_db()
        assert reason in experiment.step
        assert (experiment.state, experiment.hardware) == (Experiment.State.QUEUED, None)

    @pytest.mark.parametrize("state", ["running", "finished", "cancelled"])
    def test_leaves_alone_what_does_not_wait(self, state):
        a_machine()
        experiment = an_experiment(state=state)
        assert placed(experiment).hardware is None
        experiment.refresh_from_db()
        assert (experiment.state, experiment.nudged_at) == (state, None)
