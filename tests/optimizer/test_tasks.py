from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from optimizer import tasks
from optimizer.experiments.claim import claim
from optimizer.models import Experiment
from tests.optimizer.rows import a_machine, a_workload, an_experiment

pytestmark = pytest.mark.django_db
State = Experiment.State


@pytest.fixture
def machine():
    return a_machine(heartbeat_at=timezone.now())


@pytest.fixture
def sent(monkeypatch):
    """Messages instead of a broker: (experiment id, queue)."""
    messages = []
    monkeypatch.setattr(
        tasks.run_experiment, "apply_async", lambda *, kwargs, queue: messages.append((kwargs["experiment_id"], queue))
    )
    return messages


def take(experiment, machine, *, ago_s=0.0):
    now = timezone.now() - timedelta(seconds=ago_s)
    return claim(experiment.pk, hardware=machine, owner="w", now=now, lease_s=60, max_attempts=3)


class TestNudge:
    def test_sends_one_message_to_the_queue_of_the_machine(self, machine, sent):
        experiment = an_experiment()
        tasks.nudge(experiment.pk)
        assert sent == [(str(experiment.pk), "hardware.box-1")]

    def test_sends_nothing_where_no_machine_fits_or_nothing_waits(self, sent):
        tasks.nudge(an_experiment().pk)
        assert sent == []

    def test_waits_for_the_commit(self, machine, sent, django_capture_on_commit_callbacks):
        experiment = an_experiment()
        with django_capture_on_commit_callbacks(execute=True):
            tasks.nudge_on_commit(experiment.pk)
            assert sent == []
        assert len(sent) == 1

    def test_a_broker_that_is_away_loses_nothing(self, machine, monkeypatch):
        def refuse(**_):
            raise OperationalError("connection refused")

        monkeypatch.setattr(tasks.run_experiment, "apply_async", refuse)
        experiment = an_experiment()
        tasks.nudge(experiment.pk)
        experiment.refresh_from_db()
        assert (experiment.state, experiment.hardware) == (State.QUEUED, machine)


class TestSweepExperiments:
    def test_sends_a_lost_message_again_but_not_at_every_sweep(self, machine, sent):
        experiment = an_experiment()
        tasks.sweep_experiments()
        tasks.sweep_experiments()
        assert sent == [(str(experiment.pk), "hardware.box-1")]
        Experiment.objects.update(nudged_at=timezone.now() - timedelta(seconds=61))
        tasks.sweep_experiments()
        assert len(sent) == 2

    def test_requeues_and_nudges_what_a_lost_worker_held(self, machine, sent):
        experiment = an_experiment(hardware=machine)
        take(experiment, machine, ago_s=61)
        tasks.sweep_experiments()
        experiment.refresh_from_db()
        assert experiment.state == State.QUEUED
        assert sent == [(str(experiment.pk), "hardware.box-1")]

    def test_draws_the_conclusion_that_a_lost_worker_owed(self, sent):
        experiment = an_experiment(state=State.FINISHED, finished_at=timezone.now())
        tasks.sweep_experiments()
        experiment.refresh_from_db()
        assert experiment.outcome == Experiment.Outcome.NOTHING_QUALIFIES
        assert "could not be measured" in experiment.explanation

    def test_sends_nothing_to_a_busy_machine(self, machine, sent):
        workload = a_workload()
        running = an_experiment(hardware=machine, workload=workload)
        take(running, machine)
        an_experiment(hardware=machine, workload=workload)
        tasks.sweep_experiments()
        assert sent == []


class TestRunExperiment:
    @pytest.mark.parametrize("state", [State.FINISHED, State.CANCELLED, State.QUARANTINED, State.FAILED])
    def test_a_late_or_repeated_message_changes_nothing(self, machine, state):
        experiment = an_experiment(hardware=machine, state=state)
        before = Experiment.objects.values().get()
        tasks.run_experiment(experiment_id=str(experiment.pk), hardware_key=machine.key)
        assert Experiment.objects.values().get() == before

    def test_a_message_for_a_machine_that_lost_the_experiment_changes_nothing(self, machine):
        experiment = an_experiment(hardware=a_machine("box-2"))
        before = Experiment.objects.values().get()
        tasks.run_experiment(experiment_id=str(experiment.pk), hardware_key=machine.key)
        assert Experiment.objects.values().get() == before
