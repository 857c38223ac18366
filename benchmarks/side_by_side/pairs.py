"""One comparison: the same input, a peer's answer, ours, and why they differ."""

from dataclasses import dataclass

from accounting.methods.records import Figure, Range, Status


@dataclass(frozen=True, slots=True)
class Pair:
    """`theirs` and `ours` in `unit`; ours may be a range. `why` is one sentence, shown beside them."""

    peer: str
    what: str
    theirs: float
    ours: Range
    unit: str
    why: str

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours.mid / self.theirs

    @property
    def line(self) -> str:
        """As the benchmark prints it."""
        return (
            f"{self.ratio:>9.5g}  {self.what}: theirs {self.theirs:.6g}, ours {said(self.ours)} {self.unit}. {self.why}"
        )

    @property
    def row(self) -> str:
        """As docs/peers.md shows it."""
        return f"| {self.what} | {self.theirs:.6g} | {said(self.ours)} | {self.unit} | {self.ratio:.5g} | {self.why} |"


def said(r: Range) -> str:
    """The middle to six digits, and the ends where there is a width."""
    return f"{r.mid:.6g}" if r.low == r.high else f"{r.mid:.6g} ({r.low:.4g} to {r.high:.4g})"


def known(value: float, unit: str) -> Figure:
    """An input that both sides are given."""
    return Figure(Range.exact(value), unit, Status.MEASURED)
