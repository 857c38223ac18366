"""Which state may follow which. The guarded updates in `claim` and `sweep` filter by this table and nothing else."""

from optimizer.models import Experiment

State = Experiment.State

FOLLOWS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.QUARANTINED}),
    # Back to the queue: the lease ran out, the child was lost, or the machine was told to stop.
    State.RUNNING: frozenset({State.QUEUED, State.FINISHED, State.FAILED, State.CANCELLED, State.QUARANTINED}),
    State.FINISHED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.QUARANTINED: frozenset(),
}
OPEN = frozenset(state for state, following in FOLLOWS.items() if following)
FINAL = frozenset(FOLLOWS) - OPEN


def may_follow(before: str, after: str) -> bool:
    """Whether an experiment in `before` may become `after`."""
    return State(after) in FOLLOWS[State(before)]


def before(after: str) -> frozenset[State]:
    """The states from which `after` may be reached: the filter of a guarded update."""
    return frozenset(state for state, following in FOLLOWS.items() if State(after) in following)
