import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounting.models import Agent
from accounting.reports.queries import carbon_rate
from optimizer.experiments.claim import claim, request_cancel
from optimizer.experiments.sweep import sweep_expired
from optimizer.models import Experiment
from optimizer.recommend import recommend_for_experiment
from optimizer.worker import run, watch
from tests.optimizer.rows import an_experiment
from tests.optimizer.worker.conftest import GOOD, WAITS

pytestmark = pytest.mark.django_db
State = Experiment.State


@pytest.fixture
def experiment(machine):
    context = {name: {"mid": mid} for name, mid in (("pue", 1.5), ("intensity_g_per_kwh", 200.0))}
    return an_experiment(hardware=machine, carbon_context=context, repeats=8)


def started(experiment, machine):
    state = run.run_experiment(experiment.pk, hardware_key=machine.key, clock=timezone.now)
    experiment.refresh_from_db()
    return state


def when(condition, then):
    """Do `then` in a thread as soon as `condition` holds."""

    def wait():
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


class TestRunExperiment:
    def test_measures_every_variant_and_writes_it_once(self, experiment, machine, child_says, posted):
        child_says(GOOD)
        assert started(experiment, machine) == experiment.state == State.FINISHED
        baseline, half, third = experiment.variants.all()
        size = half.comparisons.get(quantity="size_bytes")
        assert (size.ratio, size.verdict) == (0.5, "lower")
        loss = third.comparisons.get(quantity="quality")
        assert loss.difference == pytest.approx(-0.15)  # 30 of 200
        assert baseline.measurements.get(quantity="latency_p50_s").mid == 0.001
        # per unit: the same 30 ms of work, twice as many units
        assert half.comparisons.get(quantity="cpu_s_per_unit").ratio == pytest.approx(0.5)
        energy = half.measurements.get(quantity="energy_j_per_unit")
        assert (energy.status, len(energy.repeats)) == ("MODELLED", 8)
        assert third.one_off_energy_j is not None
        assert experiment.percent == 100
        assert experiment.energy_j > 0
        assert experiment.co2e_g == pytest.approx(experiment.energy_j * 1.5 * 200 / 3.6e6)

    def test_its_measurements_make_a_recommendation(self, experiment, machine, child_says, posted):
        child_says(GOOD)
        full = carbon_rate(None, now=timezone.now()).as_json()
        Experiment.objects.update(carbon_context=full)
        started(experiment, machine)
        row = recommend_for_experiment(experiment.pk, now=timezone.now())
        assert row.variant.position == 1
        assert "loses 15.00 points of accuracy" in row.alternatives[0]["reason"]

    def test_keeps_the_saved_models_of_the_candidates(self, experiment, machine, child_says, posted, settings):
        child_says(GOOD)
        started(experiment, machine)
        baseline, half, _ = experiment.variants.all()
        assert baseline.artifact == ""
        assert half.artifact == f"artifacts/{experiment.pk}/variant-1.safetensors"
        assert (settings.DATA_DIR / half.artifact).read_bytes() == bytes(500)

    def test_a_repeated_message_runs_nothing(self, experiment, machine, child_says, posted):
        child_says(GOOD)
        started(experiment, machine)
        before = Experiment.objects.values().get()
        assert started(experiment, machine) is None
        assert Experiment.objects.values().get() == before

    def test_a_variant_that_fails_is_given_up_and_the_others_go_on(self, experiment, machine, child_says, posted):
        child_says(
            'say("failed", position=2, step="building", reason="RuntimeError: no such kernel")\n'
            'plan["variants"] = plan["variants"][:2]\n' + GOOD
        )
        assert started(experiment, machine) == State.FINISHED
        _, half, third = experiment.variants.all()
        assert third.failure == "building: RuntimeError: no such kernel"
        assert not third.measurements.exists()
        assert half.measurements.exists()

    def test_says_where_neither_an_agent_nor_a_sensor_meters_the_machine(self, experiment, machine, child_says, posted):
        child_says(GOOD)
        started(experiment, machine)
        assert "not in the ledger: no sensor works on this machine" in experiment.explanation

    def test_has_nothing_to_remark_where_one_does(self, experiment, machine, child_says, posted):
        now = timezone.now()
        Agent.objects.create(host=machine.host, key="a", first_seen_at=now, last_seen_at=now)
        child_says(GOOD)
        started(experiment, machine)
        assert "ledger" not in experiment.explanation


class TestEndings:
    def test_a_child_that_dies_costs_one_attempt_and_says_how_it_died(self, experiment, machine, child_says, posted):
        child_says('print("segfault ahead", file=sys.stderr, flush=True); os.kill(os.getpid(), 11)')
        assert started(experiment, machine) == State.QUEUED
        assert experiment.attempt == 1
        assert "killed by SIGSEGV; last words: segfault ahead" in experiment.explanation

    def test_poison_is_set_aside_after_the_last_attempt(self, experiment, machine, child_says, posted, settings):
        child_says("sys.exit(3)")
        states = [started(experiment, machine) for _ in range(settings.GREENAI["max_attempts"] + 1)]
        assert states == [State.QUEUED, State.QUEUED, State.QUARANTINED, None]
        assert "exit status 3" in experiment.explanation

    def test_nonsense_from_the_child_is_not_believed(self, experiment, machine, child_says, posted):
        child_says('say("quality", position=99, mean=1.0, scores=[1.0])\n' + GOOD)
        assert started(experiment, machine) == State.QUEUED
        assert "position 99 is not in the plan" in experiment.explanation
        assert not experiment.comparisons.exists()

    def test_a_baseline_that_fails_fails_the_experiment_for_good(self, experiment, machine, child_says, posted):
        child_says(
            'say("failed", position=1, step="building", reason="no"); say("aborted", reason="the baseline failed")\n'
            "sys.exit(1)"
        )
        assert started(experiment, machine) == State.FAILED
        assert experiment.explanation == "the baseline failed"
        assert experiment.variants.get(position=1).failure == "building: no"

    def test_a_link_in_place_of_a_model_is_not_followed(self, experiment, machine, child_says, posted, settings):
        child_says(
            GOOD.replace(
                '    say("built"', '    os.remove(file.name); os.symlink("/etc/hostname", file.name)\n    say("built"'
            )
        )
        assert started(experiment, machine) == State.QUEUED
        assert "variant-" in experiment.explanation
        assert "cannot be taken" in experiment.explanation

    def test_a_hanging_child_is_given_up(self, experiment, machine, child_says, posted, monkeypatch):
        monkeypatch.setattr(watch, "MAX_SILENCE_S", 0.5)
        child_says(WAITS)
        assert started(experiment, machine) == State.QUEUED
        assert "said nothing for" in experiment.explanation

    def test_stopping_the_machine_hands_the_experiment_back_uncounted(self, experiment, machine, child_says, posted):
        child_says(WAITS)
        when(lambda: posted, run.STOP.set)
        began = time.monotonic()
        assert started(experiment, machine) == State.QUEUED
        assert time.monotonic() - began < 5
        assert experiment.attempt == 0
        assert experiment.nudged_at is None

    def test_a_fault_of_the_worker_itself_is_shown_and_raised(
        self, experiment, machine, child_says, posted, monkeypatch
    ):
        child_says(GOOD)
        monkeypatch.setattr(run, "summarize", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            started(experiment, machine)
        experiment.refresh_from_db()
        assert experiment.state == State.QUEUED
        assert "failed in the worker: ZeroDivisionError" in experiment.explanation


class TestMeanwhile:
    """What happens to the row while the child runs: the worker looks up within a second."""

    def during(self, monkeypatch, action):
        """Do `action` in the worker's own thread, right before its first report."""
        real, done = watch.report, []

        def report(*args, **options):
            if not done:
                done.append(action())
            return real(*args, **options)

        monkeypatch.setattr(watch, "report", report)

    def test_honours_a_cancellation_within_seconds(self, experiment, machine, child_says, posted, monkeypatch):
        child_says(WAITS)
        self.during(monkeypatch, lambda: request_cancel(experiment.pk, now=timezone.now()))
        began = time.monotonic()
        assert started(experiment, machine) == State.CANCELLED
        assert time.monotonic() - began < 5

    def test_stops_and_writes_nothing_once_its_lease_was_swept(
        self, experiment, machine, child_says, posted, monkeypatch
    ):
        child_says(WAITS)
        much_later = timezone.now() + timedelta(hours=1)
        self.during(monkeypatch, lambda: sweep_expired(now=much_later, max_attempts=3))
        assert started(experiment, machine) is None
        assert experiment.state == State.QUEUED
        assert "fell silent" in experiment.explanation

    def test_a_zombie_that_comes_back_leaves_the_new_runner_alone(
        self, experiment, machine, child_says, posted, monkeypatch
    ):
        child_says(WAITS)
        much_later = timezone.now() + timedelta(hours=1)

        def overtake():
            return claim(experiment.pk, hardware=machine, owner="new", now=much_later, lease_s=60, max_attempts=3)

        self.during(monkeypatch, overtake)
        assert started(experiment, machine) is None
        assert (experiment.state, experiment.lease_owner, experiment.fence) == (State.RUNNING, "new", 2)
        assert experiment.step == "Starting"


class TestMarks:
    def test_names_the_job_its_team_and_the_whole_host_from_start_to_end(
        self, experiment, machine, child_says, posted, settings
    ):
        child_says(GOOD)
        before = timezone.now()
        started(experiment, machine)
        opened, closed = (batch.job_marks[0] for batch in posted)
        assert posted[0].jobs[0].job == opened.job == f"experiment-{experiment.pk}"
        assert (opened.team, opened.host, opened.device, opened.ended_at) == ("vision", "box-1", None, None)
        assert opened.started_at == closed.started_at
        assert before.isoformat() <= closed.started_at < closed.ended_at <= timezone.now().isoformat()
        assert not list((settings.DATA_DIR / "worker" / "box-1").glob("*.json"))

    def test_ends_the_mark_also_when_the_attempt_fails(self, experiment, machine, child_says, posted):
        child_says("sys.exit(3)")
        started(experiment, machine)
        assert posted[-1].job_marks[0].ended_at is not None
