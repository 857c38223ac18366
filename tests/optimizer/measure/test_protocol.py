"""What the parent takes from a child, and what it refuses."""

import json
from typing import Any

import pytest

from optimizer.measure.protocol import MAX_LINE_BYTES, Plan, PlannedVariant, ProtocolError, Transcript
from tests.optimizer.measure.runs import a_plan

NOW_NS = 10_000_000_000
WINDOW = {"kind": "work", "position": 1, "round": 0, "start_ns": 1, "end_ns": 5, "units": 3, "cpu_s": 0.1}
QUALITY = {"position": 0, "mean": 0.5, "scores": [0.0, 1.0]}


def line(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, "at_ns": NOW_NS, **fields})


@pytest.fixture
def transcript() -> Transcript:
    return Transcript(a_plan())


class TestPlan:
    def test_comes_out_of_json_as_it_went_in(self) -> None:
        plan = a_plan(3, repeats=7, seed=5, threads=2, window_s=0.25)
        assert Plan.from_json(plan.to_json()) == plan

    def test_knows_its_baseline_wherever_it_stands(self) -> None:
        variants = (PlannedVariant(4, "quantize", {"scheme": "dynamic"}), PlannedVariant(7, "none"))
        assert Plan("w", "/f", "/a", variants).baseline == 7

    @pytest.mark.parametrize(
        ("variants", "complaint"),
        [
            ([(0, "none"), (0, "quantize")], "positions repeat"),
            ([(0, "quantize")], "0 variants"),
            ([(0, "none"), (1, "none")], "2 variants"),
        ],
    )
    def test_refuses_a_plan_that_cannot_be_compared(self, variants: list[tuple[int, str]], complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            Plan("w", "/f", "/a", tuple(PlannedVariant(*v) for v in variants))


class TestTake:
    def test_remembers_what_it_is_told(self, transcript: Transcript) -> None:
        for said in (
            line("progress", step="building", percent=12.0),
            line("window", **WINDOW),
            line("built", position=1, artifact="1-x.safetensors", size_bytes=10, one_off_s=0.5, facts={"steps": 3}),
            line("quality", **QUALITY),
            line("latency", position=1, round=0, seconds=[0.1, 0.2]),
            line("memory", position=1, peak_bytes=[100, 101]),
            line("failed", position=1, step="building", reason="no"),
            line("done"),
        ):
            transcript.take(said, received_ns=NOW_NS)
        assert (transcript.step, transcript.percent, transcript.done) == ("building", 12.0, True)
        assert transcript.work(1)[0].units == 3
        assert transcript.built[1].facts == {"steps": 3.0}
        assert transcript.quality[0].scores == (0.0, 1.0)
        assert transcript.latencies == {1: {0: (0.1, 0.2)}}
        assert transcript.peaks == {1: (100.0, 101.0)}
        assert transcript.failures == {1: "building: no"}

    def test_never_lets_the_percentage_fall(self, transcript: Transcript) -> None:
        for percent in (40, 10):
            transcript.take(line("progress", step="x", percent=percent), received_ns=NOW_NS)
        assert transcript.percent == 40

    @pytest.mark.parametrize(
        "said",
        [
            "not json",
            "[]",
            "{}",
            '{"event": "done"}',
            "null",
            line("mischief"),
            line("progress", step="x", percent=101),
            line("progress", step="x", percent=float("nan")),
            line("window", **WINDOW | {"kind": "party"}),
            line("window", **WINDOW | {"position": 9}),
            line("window", **WINDOW | {"units": 0}),
            line("window", **WINDOW | {"units": -1}),
            line("window", **WINDOW | {"start_ns": 5}),
            line("window", **WINDOW | {"end_ns": NOW_NS + 1}),
            line("window", **WINDOW | {"cpu_s": "much"}),
            line("quality", **QUALITY | {"scores": [0.0, 1.5]}),
            line("quality", **QUALITY | {"scores": []}),
            line("quality", **QUALITY | {"scores": True}),
            line("latency", position=0, round=0, seconds=[-1.0]),
            line("latency", position=0, round=0, seconds=[]),
            line("memory", position=0, peak_bytes=[0]),
            line("memory", position=[], peak_bytes=[1]),
            line("built", position=1, artifact="../../etc/passwd", size_bytes=1, one_off_s=0, facts={}),
            line("built", position=1, artifact=".hidden", size_bytes=1, one_off_s=0, facts={}),
            line("built", position=1, artifact="a", size_bytes=1e400, one_off_s=0, facts={}),
            line("built", position=1, artifact="a", size_bytes=1, one_off_s=0, facts=[]),
            " " * (MAX_LINE_BYTES + 1),
            "[" * 100_000,
        ],
    )
    def test_refuses_what_no_plan_allows(self, transcript: Transcript, said: str) -> None:
        with pytest.raises(ProtocolError):
            transcript.take(said, received_ns=NOW_NS)

    def test_refuses_windows_that_overlap(self, transcript: Transcript) -> None:
        transcript.take(line("window", **WINDOW), received_ns=NOW_NS)
        with pytest.raises(ProtocolError, match="overlaps"):
            transcript.take(line("window", **WINDOW | {"round": 1, "start_ns": 4, "end_ns": 9}), received_ns=NOW_NS)

    def test_refuses_marks_from_the_future(self, transcript: Transcript) -> None:
        with pytest.raises(ProtocolError, match="in the future"):
            transcript.take(line("done"), received_ns=NOW_NS - 1_000_000_000)

    def test_refuses_scores_of_other_examples_than_the_first_variant_had(self, transcript: Transcript) -> None:
        transcript.take(line("quality", **QUALITY), received_ns=NOW_NS)
        with pytest.raises(ProtocolError, match="3 scores where there were 2"):
            transcript.take(line("quality", position=1, mean=1.0, scores=[1, 1, 1]), received_ns=NOW_NS)
