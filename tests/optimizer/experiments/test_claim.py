import threading

import pytest
from django.db import connection

from accounting.models import Job
from optimizer.experiments.claim import (
    LeaseLost,
    Progress,
    cancel_running,
    claim,
    fail,
    finish,
    give_back,
    renew,
    report,
    request_cancel,
)
from optimizer.models import Experiment, Hardware
from tests.optimizer.rows import NOW, UNKNOWN_ID, a_machine, a_team, a_workload, an_experiment, later

State = Experiment.State
LEASE_S = 60.0


@pytest.fixture
def machine(db):
    return a_machine()


@pytest.fixture
def experiment(machine):
    return an_experiment(hardware=machine)


def take(experiment, machine, *, at=NOW, owner="worker-1", max_attempts=3):
    return claim(
        experiment.pk, hardware=machine, owner=owner, now=at, lease_s=LEASE_S, max_attempts=max_attempts
    )  # fmt: skip


def state_of(experiment):
    experiment.refresh_from_db()
    return experiment.state


class TestClaim:
    def test_takes_a_queued_experiment_and_raises_fence_and_attempt(self, experiment, machine):
        lease = take(experiment, machine)
        assert (lease.fence, lease.attempt) == (1, 1)
        assert state_of(experiment) == State.RUNNING
        assert experiment.lease_expires_at == later(60)
        assert experiment.started_at == experiment.job.started_at == NOW

    def test_a_repeated_message_claims_nothing(self, experiment, machine):
        take(experiment, machine)
        assert take(experiment, machine, owner="worker-2", at=later(59)) is None
        assert experiment.lease_owner == ""
        assert state_of(experiment) == State.RUNNING
        assert experiment.fence == 1

    def test_takes_over_once_the_lease_ran_out_and_keeps_the_first_start(self, experiment, machine):
        take(experiment, machine)
        lease = take(experiment, machine, owner="worker-2", at=later(60))
        assert (lease.fence, lease.attempt) == (2, 2)
        experiment.refresh_from_db()
        assert experiment.started_at == NOW

    def test_leaves_an_experiment_whose_attempts_are_used_up(self, experiment, machine):
        take(experiment, machine, max_attempts=1)
        assert take(experiment, machine, at=later(61), max_attempts=1) is None

    def test_leaves_what_is_not_there_not_this_machines_or_not_approved(self, experiment, machine):
        assert claim(UNKNOWN_ID, hardware=machine, owner="w", now=NOW, lease_s=1, max_attempts=3) is None
        assert take(experiment, a_machine("box-2")) is None
        Hardware.objects.update(state=Hardware.State.RETIRED)
        assert take(experiment, machine) is None

    def test_leaves_an_experiment_of_a_team_that_may_not_use_the_machine(self, experiment, machine):
        machine.teams.add(a_team("Speech"))
        assert take(experiment, machine) is None
        machine.teams.add(experiment.workload.team)
        assert take(experiment, machine) is not None

    @pytest.mark.parametrize("state", [State.FINISHED, State.FAILED, State.CANCELLED, State.QUARANTINED])
    def test_leaves_what_is_over(self, experiment, machine, state):
        Experiment.objects.update(state=state)
        assert take(experiment, machine) is None
        assert state_of(experiment) == state

    def test_runs_one_experiment_at_a_time_on_one_machine(self, experiment, machine):
        second = an_experiment(hardware=machine, workload=experiment.workload)
        lease = take(experiment, machine)
        assert take(second, machine) is None
        finish(lease, now=later(5))
        assert take(second, machine, at=later(6)) is not None


@pytest.mark.django_db(transaction=True)
class TestClaimRaces:
    def race(self, attempts):
        """Run the calls at the same moment, each in a thread with its own connection; their results."""
        results, gate = [None] * len(attempts), threading.Barrier(len(attempts))

        def run(index, attempt):
            gate.wait()
            try:
                results[index] = attempt()
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=item) for item in enumerate(attempts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_one_of_eight_workers_gets_the_experiment(self):
        machine = a_machine()
        experiment = an_experiment(hardware=machine)
        leases = self.race([lambda n=n: take(experiment, machine, owner=f"worker-{n}") for n in range(8)])
        assert sum(lease is not None for lease in leases) == 1
        experiment.refresh_from_db()
        assert (experiment.fence, experiment.attempt) == (1, 1)

    def test_two_experiments_never_run_on_one_machine_at_once(self):
        machine, workload = a_machine(), a_workload()
        waiting = [an_experiment(hardware=machine, workload=workload) for _ in range(6)]
        leases = self.race([lambda e=e: take(e, machine) for e in waiting])
        assert sum(lease is not None for lease in leases) == 1
        assert Experiment.objects.filter(state=State.RUNNING).count() == 1

    def test_cancelling_and_claiming_at_once_leaves_one_of_the_two(self):
        machine, workload = a_machine(), a_workload()
        for _ in range(5):
            experiment = an_experiment(hardware=machine, workload=workload)
            lease, _ = self.race(
                [lambda e=experiment: take(e, machine), lambda e=experiment: request_cancel(e.pk, now=NOW)]
            )
            if lease is None:
                assert state_of(experiment) == State.CANCELLED
            else:
                assert report(lease, Progress("Warm-up", 1.0), now=later(1)) is (
                    state_of(experiment) == State.RUNNING and experiment.cancel_requested_at is not None
                )
                cancel_running(lease, now=later(2))


class TestFence:
    WRITES = (
        lambda lease: renew(lease, now=later(70)),
        lambda lease: report(lease, Progress("Round 3", 30.0), now=later(70)),
        lambda lease: finish(lease, now=later(70)),
        lambda lease: fail(lease, reason="broken", now=later(70)),
        lambda lease: cancel_running(lease, now=later(70)),
        lambda lease: give_back(lease, reason="lost", now=later(70), max_attempts=3),
    )

    @pytest.mark.parametrize("write", WRITES)
    def test_a_worker_that_lost_its_lease_changes_nothing(self, experiment, machine, write):
        old = take(experiment, machine)
        take(experiment, machine, at=later(61), owner="worker-2")
        before = Experiment.objects.values().get()
        with pytest.raises(LeaseLost, match="fence 1 is outdated"):
            write(old)
        assert Experiment.objects.values().get() == before

    def test_a_late_worker_may_still_finish_while_nobody_took_over(self, experiment, machine):
        lease = take(experiment, machine)
        finish(lease, now=later(300))
        assert state_of(experiment) == State.FINISHED


class TestReport:
    def test_writes_what_people_see_and_extends_the_lease(self, experiment, machine):
        lease = take(experiment, machine)
        report(lease, Progress("Round 3 of 20", 40.0, 12.5, 31.0, 620.0, 0.02), now=later(10))
        experiment.refresh_from_db()
        assert (experiment.step, experiment.percent, experiment.eta_s) == ("Round 3 of 20", 40.0, 12.5)
        assert (experiment.power_w, experiment.energy_j, experiment.co2e_g) == (31.0, 620.0, 0.02)
        assert experiment.lease_expires_at == later(70)

    def test_says_when_someone_wants_it_cancelled(self, experiment, machine):
        lease = take(experiment, machine)
        assert renew(lease, now=later(1)) is False
        request_cancel(experiment.pk, now=later(2))
        assert renew(lease, now=later(3)) is True


class TestRequestCancel:
    def test_cancels_a_waiting_experiment_at_once(self, experiment):
        assert request_cancel(experiment.pk, now=NOW)
        assert state_of(experiment) == State.CANCELLED
        assert experiment.finished_at == NOW
        assert experiment.job.ended_at is None  # it never began

    def test_asks_a_running_one_to_stop_and_the_worker_closes_it(self, experiment, machine):
        lease = take(experiment, machine)
        assert request_cancel(experiment.pk, now=later(5))
        assert state_of(experiment) == State.RUNNING
        cancel_running(lease, now=later(7))
        assert state_of(experiment) == State.CANCELLED
        assert Job.objects.get().ended_at == later(7)

    @pytest.mark.parametrize("state", [State.FINISHED, State.FAILED, State.CANCELLED, State.QUARANTINED])
    def test_changes_nothing_where_it_is_over(self, experiment, state):
        Experiment.objects.update(state=state)
        assert request_cancel(experiment.pk, now=NOW) is False
        assert state_of(experiment) == state


class TestGiveBack:
    def test_puts_a_failed_attempt_back_in_the_queue_with_its_reason(self, experiment, machine):
        lease = take(experiment, machine)
        assert give_back(lease, reason="killed by signal 9", now=later(5), max_attempts=3) == State.QUEUED
        experiment.refresh_from_db()
        assert (experiment.attempt, experiment.explanation) == (1, "killed by signal 9")
        assert take(experiment, machine, at=later(6)).attempt == 2

    def test_does_not_count_an_attempt_that_the_machine_broke_off(self, experiment, machine):
        give_back(take(experiment, machine), reason="stopped", now=later(5), max_attempts=1, counts=False)
        experiment.refresh_from_db()
        assert (experiment.state, experiment.attempt) == (State.QUEUED, 0)

    def test_sets_the_experiment_aside_after_the_last_attempt_and_says_why(self, experiment, machine):
        for n in range(3):
            lease = take(experiment, machine, at=later(n))
            after = give_back(lease, reason="killed by signal 11", now=later(n), max_attempts=3)
        assert after == state_of(experiment) == State.QUARANTINED
        assert "3 attempts" in experiment.explanation
        assert "killed by signal 11" in experiment.explanation
        assert experiment.job.ended_at == later(2)

    def test_cancels_instead_where_that_was_asked_for(self, experiment, machine):
        lease = take(experiment, machine)
        request_cancel(experiment.pk, now=later(1))
        assert give_back(lease, reason="killed", now=later(2), max_attempts=3) == State.CANCELLED
