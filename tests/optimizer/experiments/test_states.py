import pytest

from optimizer.experiments.states import FINAL, OPEN, State, before, may_follow


class TestStates:
    def test_every_state_is_either_open_or_final(self):
        assert set(State) == OPEN | FINAL
        assert not OPEN & FINAL

    @pytest.mark.parametrize("final", sorted(FINAL))
    def test_nothing_follows_a_final_state(self, final):
        assert not any(may_follow(final, after) for after in State)

    def test_every_final_state_but_those_of_a_run_can_be_reached_from_the_queue(self):
        assert {after for after in FINAL if may_follow(State.QUEUED, after)} == {State.CANCELLED, State.QUARANTINED}

    def test_before_is_the_transition_table_read_backwards(self):
        assert before(State.QUEUED) == {State.RUNNING}
        assert before(State.CANCELLED) == {State.QUEUED, State.RUNNING}

    def test_refuses_a_state_it_does_not_know(self):
        with pytest.raises(ValueError, match="paused"):
            may_follow("paused", State.RUNNING)
