"""The child's rounds: fair order, whole passes, honest marks."""

import time
from collections import Counter
from typing import Any

import pytest

from optimizer.measure import rounds
from optimizer.measure.rounds import Arm, Windows, run_rounds


@pytest.fixture(autouse=True)
def _short_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "IDLE_S", 0.01)


class Said(list[tuple[str, dict[str, Any]]]):
    def say(self, event: str, **fields: Any) -> None:
        self.append((event, fields))

    def of(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        return [f for name, f in self if name == event and wanted.items() <= f.items()]


def an_arm(position: int, done: list[tuple[int, str]], *, breaks_at: int | None = None) -> Arm:
    def work(batch: str) -> None:
        done.append((position, batch))
        if breaks_at is not None and sum(p == position for p, _ in done) > breaks_at:
            raise RuntimeError("worn out")
        time.sleep(0.001)

    return Arm(position, work, ["a", "b"], 4, ["one", "two", "three"])


def measure(arms: list[Arm], said: Said, *, count: int = 6, seed: int = 0, failed: Any = None) -> None:
    run_rounds(
        arms,
        rounds=count,
        seed=seed,
        window_s=0.005,
        say=said.say,
        failed=failed or (lambda position, error: said.say("failed", position=position, error=str(error))),
        progress=lambda fraction, text: said.say("progress", fraction=fraction),
    )


class TestRunRounds:
    def test_gives_every_variant_one_window_a_round_between_two_idle_ones(self) -> None:
        said, done = Said(), []
        measure([an_arm(0, done), an_arm(1, done)], said)
        windows = said.of("window")
        assert [w["kind"] for w in (windows[0], windows[-1])] == ["idle", "idle"]
        assert Counter((w["position"], w["round"]) for w in windows[1:-1]) == Counter(
            (position, number) for position in (0, 1) for number in range(6)
        )

    def test_draws_the_order_anew_each_round_and_the_same_for_one_seed(self) -> None:
        def order(seed: int) -> list[list[int]]:
            said, done = Said(), []
            measure([an_arm(i, done) for i in range(3)], said, count=8, seed=seed)
            return [[w["position"] for w in said.of("window", kind="work", round=n)] for n in range(8)]

        assert order(1) == order(1)
        assert len({tuple(round) for round in order(1)}) > 1

    def test_does_whole_passes_so_that_every_window_holds_the_same_mixture(self) -> None:
        said, done = Said(), []
        measure([an_arm(0, done)], said)
        assert all(w["units"] % 8 == 0 and w["units"] > 0 for w in said.of("window", kind="work"))
        assert all(w["end_ns"] - w["start_ns"] >= 5_000_000 for w in said.of("window", kind="work"))

    def test_warms_every_variant_up_before_the_first_mark(self) -> None:
        said, done = Said(), []
        arm = an_arm(0, done)
        counted_at_first_mark: list[int] = []
        first = said.say
        said.say = lambda event, **f: (
            counted_at_first_mark.append(len(done)) if event == "window" else None,
            first(event, **f),
        )  # type: ignore[method-assign]
        measure([arm], said)
        assert counted_at_first_mark[0] == rounds.WARM_UP_PASSES * 2

    def test_times_each_unit_alone(self) -> None:
        said, done = Said(), []
        measure([an_arm(0, done)], said)
        assert all(len(latency["seconds"]) == 3 for latency in said.of("latency"))
        assert all(0.001 <= s < 1 for latency in said.of("latency") for s in latency["seconds"])

    def test_times_the_batches_of_the_first_pass_where_each_is_one_unit(self) -> None:
        said, done = Said(), []
        arm = an_arm(0, done)
        measure([Arm(0, arm.work, arm.batches, 1, None)], said)
        assert all(len(latency["seconds"]) == 2 for latency in said.of("latency"))

    def test_goes_on_without_a_variant_that_breaks(self) -> None:
        said, done = Said(), []
        measure([an_arm(0, done), an_arm(1, done, breaks_at=20)], said)
        assert said.of("failed") == [{"position": 1, "error": "worn out"}]
        assert len(said.of("window", kind="work", position=0)) == 6
        assert len(said.of("window", kind="work", position=1)) < 6

    def test_ends_when_the_failure_is_not_to_be_survived(self) -> None:
        def give_up(position: int, error: Exception) -> None:
            raise RuntimeError("no baseline") from error

        with pytest.raises(RuntimeError, match="no baseline"):
            measure([an_arm(0, [], breaks_at=3)], Said(), failed=give_up)

    def test_tells_its_progress_up_to_one(self) -> None:
        said = Said()
        measure([an_arm(0, [])], said)
        assert said.of("progress")[-1]["fraction"] == 1.0


class TestWindows:
    def test_counts_the_processor_time_of_its_block(self) -> None:
        said = Said()
        with Windows(said.say).mark("work", position=0, round=0) as mark:
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            time.sleep(0.05)
            mark.units = 1.0
        (window,) = said.of("window")
        assert 0.05 <= window["cpu_s"] < 0.09
        assert window["end_ns"] - window["start_ns"] >= 95_000_000

    def test_a_block_that_raises_is_no_window(self) -> None:
        said = Said()
        with pytest.raises(RuntimeError), Windows(said.say).mark("work"):
            raise RuntimeError
        assert said == []
