"""The measured child as a process: its lines, its files, its ends."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from optimizer.measure.energy import Recorder, find_meter
from optimizer.measure.protocol import Plan, PlannedVariant, Transcript
from optimizer.measure.summary import Results, summarize

pytestmark = pytest.mark.torch_training


def run_child(plan: Plan) -> tuple[Transcript, Results, int]:
    """Start the child, feed every line to a transcript as it comes, meter meanwhile."""
    transcript = Transcript(plan)
    command = [sys.executable, "-m", "optimizer.measure.child"]
    with (
        Recorder(find_meter()) as recorder,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child,
    ):
        assert child.stdin and child.stdout
        child.stdin.write(plan.to_json())
        child.stdin.close()
        for line in child.stdout:
            transcript.take(line, received_ns=time.monotonic_ns())
    return transcript, summarize(transcript, recorder.log), child.wait()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transcript, Results, int]:
    folder = tmp_path_factory.mktemp("child")
    variants = (
        PlannedVariant(0, "quantize", {"scheme": "dynamic"}),
        PlannedVariant(1, "none"),
        PlannedVariant(2, "quantize", {"scheme": "sorcery"}),
        PlannedVariant(3, "lora"),
    )
    paths = str(folder / "kept"), str(folder / "run")
    return run_child(Plan("digits-classifier", *paths, variants, repeats=8, window_s=0.02, threads=1))


class TestWholeRun:
    def test_ends_well_and_says_so_last(self, run: tuple[Transcript, Results, int]) -> None:
        transcript, _, status = run
        assert (transcript.done, transcript.percent, status) == (True, 100.0, 0)
        assert (transcript.started["unit"], transcript.started["threads"]) == ("image", 1)

    def test_reports_variants_that_cannot_be_built_and_goes_on(self, run: tuple[Transcript, Results, int]) -> None:
        failures = run[0].failures
        assert set(failures) == {2, 3}
        assert failures[2] == "building: ParameterError: scheme: 'sorcery' is not one of dynamic, weight_only"
        assert failures[3] == "building: WrongKind: LoRA fine-tuning is for training, digits-classifier is inference"

    def test_leaves_a_file_of_the_told_size_for_each_variant(self, run: tuple[Transcript, Results, int]) -> None:
        transcript = run[0]
        for built in transcript.built.values():
            assert (Path(transcript.plan.artifacts) / built.artifact).stat().st_size == built.size_bytes
        assert transcript.built[0].size_bytes < 0.3 * transcript.built[1].size_bytes

    def test_measures_everything_of_the_variants_that_work(self, run: tuple[Transcript, Results, int]) -> None:
        _, results, _ = run
        quantities = {
            "energy_j_per_unit", "cpu_s_per_unit", "latency_p50_s", "latency_p95_s", "peak_memory_bytes", "size_bytes",
            "quality",
        }  # fmt: skip
        for position in (0, 1):
            assert {m.quantity for m in results.measurements if m.position == position} == quantities
        assert {c.position for c in results.comparisons} == {0}
        assert results.one_off_energy_j.keys() >= {0, 1}

    def test_finds_a_quarter_of_the_size_at_the_same_quality(self, run: tuple[Transcript, Results, int]) -> None:
        found = {c.quantity: c for c in run[1].comparisons}
        assert found["size_bytes"].verdict == "lower"
        assert found["size_bytes"].ratio == pytest.approx(0.267, abs=0.01)
        assert abs(found["quality"].difference) < 0.01

    def test_says_modelled_unless_a_sensor_was_read(self, run: tuple[Transcript, Results, int]) -> None:
        (status,) = {m.status for m in run[1].measurements if m.quantity == "energy_j_per_unit"}
        assert status == find_meter().status
        assert {m.status for m in run[1].measurements if m.quantity != "energy_j_per_unit"} == {"MEASURED"}


class TestAbortedRun:
    def test_says_why_and_ends_with_one(self, tmp_path: Path) -> None:
        plan = Plan("chess", str(tmp_path), str(tmp_path), (PlannedVariant(0, "none"),))
        transcript, _, status = run_child(plan)
        assert status == 1 and not transcript.done
        assert "no built-in workload 'chess'" in transcript.aborted
