import pytest

from optimizer.experiments.claim import LeaseLost, finish, request_cancel
from optimizer.experiments.sweep import sweep_expired, waiting_for_a_nudge, without_outcome
from optimizer.models import Experiment
from tests.optimizer.experiments.test_claim import State, experiment, machine, state_of, take
from tests.optimizer.rows import NOW, an_experiment, later

__all__ = ["experiment", "machine"]


class TestSweepExpired:
    def test_leaves_a_living_lease_alone(self, experiment, machine):
        take(experiment, machine)
        assert sweep_expired(now=later(59), max_attempts=3) == {"requeued": 0, "cancelled": 0, "quarantined": 0}
        assert state_of(experiment) == State.RUNNING

    def test_requeues_a_silent_workers_experiment_and_voids_its_fence(self, experiment, machine):
        lease = take(experiment, machine, owner="box-1:77")
        assert sweep_expired(now=later(60), max_attempts=3)["requeued"] == 1
        assert state_of(experiment) == State.QUEUED
        assert "box-1:77 fell silent" in experiment.explanation
        with pytest.raises(LeaseLost):
            finish(lease, now=later(61))
        assert take(experiment, machine, at=later(62)).fence == 2

    def test_sweeping_twice_changes_nothing_more(self, experiment, machine):
        take(experiment, machine)
        sweep_expired(now=later(60), max_attempts=3)
        before = Experiment.objects.values().get()
        sweep_expired(now=later(75), max_attempts=3)
        assert Experiment.objects.values().get() == before

    def test_sets_poison_aside_after_the_last_attempt(self, experiment, machine):
        for n in range(2):
            take(experiment, machine, at=later(100 * n), max_attempts=2)
            sweep_expired(now=later(100 * n + 60), max_attempts=2)
        assert state_of(experiment) == State.QUARANTINED
        assert "2 attempts" in experiment.explanation
        assert experiment.finished_at == experiment.job.ended_at == later(160)

    def test_cancels_what_was_to_be_cancelled_when_its_worker_died(self, experiment, machine):
        take(experiment, machine)
        request_cancel(experiment.pk, now=later(5))
        assert sweep_expired(now=later(60), max_attempts=3)["cancelled"] == 1
        assert state_of(experiment) == State.CANCELLED


class TestWaitingForANudge:
    def test_names_the_queued_oldest_first_once_per_interval(self, experiment, machine):
        second = an_experiment(hardware=machine, workload=experiment.workload)
        assert waiting_for_a_nudge(now=NOW, not_nudged_for_s=30) == [experiment.pk, second.pk]
        Experiment.objects.filter(pk=experiment.pk).update(nudged_at=later(-29))
        assert waiting_for_a_nudge(now=NOW, not_nudged_for_s=30) == [second.pk]
        assert waiting_for_a_nudge(now=later(1), not_nudged_for_s=30) == [experiment.pk, second.pk]

    def test_leaves_those_alone_whose_machine_is_busy(self, experiment, machine):
        second = an_experiment(hardware=machine, workload=experiment.workload)
        unplaced = an_experiment(workload=experiment.workload)
        take(experiment, machine)
        assert waiting_for_a_nudge(now=later(1), not_nudged_for_s=30) == [unplaced.pk]
        sweep_expired(now=later(60), max_attempts=3)
        assert second.pk in waiting_for_a_nudge(now=later(61), not_nudged_for_s=30)


class TestWithoutOutcome:
    def test_names_finished_experiments_that_nobody_concluded_from(self, experiment, machine):
        assert without_outcome() == []
        finish(take(experiment, machine), now=later(5))
        assert without_outcome() == [experiment.pk]
        Experiment.objects.update(outcome=Experiment.Outcome.NOTHING_QUALIFIES)
        assert without_outcome() == []
