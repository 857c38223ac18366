"""How wide a result is, and which input makes it so.

Each source is moved to its low and its high end while the others stay at their middle. What that does to the logarithm
of the result is combined in quadrature: independent sources partly cancel. Inputs of one source are moved together, so
what they do to the result adds up: nothing cancels there (JCGM 100:2008, 5.1.2 and 5.2.2, note 1). For a pure product
of independent inputs this is exact for log-normal spreads; for other results it is the first order, which for wide
inputs of a sum reaches too far: no end lies beyond the result of all sources at their worst ends together.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from accounting.methods.records import Figure, Range, Status, Width

Results = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A number above or at zero that a result depends on. Equal `source` means: wrong together, the same way."""

    range: Range
    source: str


@dataclass(frozen=True, slots=True)
class Spread:
    """A result's range, and the share of its squared log width that each source makes, the largest first."""

    range: Range
    drivers: tuple[tuple[str, float], ...]  # (source, share); shares add up to 1, none where the result is exact


def spread(results: Callable[[Results], Results], inputs: Mapping[str, Uncertain]) -> dict[str, Spread]:
    """The spread of every result.

    `results` is called once, twice for each source that has a width, and at most twice for each result: with all
    sources at the ends that lower it, and at those that raise it.

    Raises:
        ValueError: an input or a result is below zero.
    """
    if below := {name: u.range.low for name, u in inputs.items() if u.range.low < 0}:
        raise ValueError(f"inputs below zero have no logarithmic width: {below}")
    mids = {name: u.range.mid for name, u in inputs.items()}
    middle = results(mids)
    sources = sorted({u.source for u in inputs.values() if u.range.low < u.range.high})
    moved = {source: _both_ends(results, inputs, mids, source) for source in sources}

    @cache
    def all_at_an_end(high: frozenset[str]) -> Results:
        return results({n: u.range.high if u.source in high else u.range.low for n, u in inputs.items()})

    def one(name: str, mid: float) -> Spread:
        ends = {source: (low[name], high[name]) for source, (low, high) in moved.items()}
        raising = frozenset(source for source, (low, high) in ends.items() if low <= high)
        worst = (all_at_an_end(raising.symmetric_difference(sources))[name], all_at_an_end(raising)[name])
        return _spread_of(mid, ends, worst)

    return {name: one(name, mid) for name, mid in middle.items()}


def product(inputs: Mapping[str, Uncertain]) -> Spread:
    """The spread of the product of all inputs."""
    return spread(lambda values: {"product": math.prod(values.values())}, inputs)["product"]


def total(inputs: Mapping[str, Uncertain]) -> Spread:
    """The spread of the sum of all inputs."""
    return spread(lambda values: {"total": math.fsum(values.values())}, inputs)["total"]


Stages = Sequence[tuple[str, Range]]  # of a product: each input's source, and the range once it is multiplied in


def what_drives(products: Iterable[Stages]) -> tuple[tuple[str, float], ...]:
    """Which source drives the range of a sum of products, from the ranges that each of their stages came to.

    What a stage adds to the squared log width is its input's: inputs combined in quadrature. Over the products equal
    sources err together, each weighed by what it moves; products of nought drive nothing.

    Returns:
        (source, share), the largest first; shares add up to 1, none where the sum is exact.

    Raises:
        ValueError: a product without a stage.
    """
    figures = [_of_stages(stages) for stages in products]
    moving = [figure for figure in figures if figure.range.mid > 0]
    return moving[0].plus(*moving[1:]).drivers if moving else ()


def _of_stages(stages: Stages) -> Figure:
    if not stages:
        raise ValueError("a product needs at least one stage: name its first input and range")
    widths, down, up = [], 0.0, 0.0
    for source, r in stages:
        if r.mid > 0:
            further_down = math.log(r.mid / r.low) if r.low > 0 else math.inf
            further_up = math.log(r.high / r.mid)
            widths.append(Width(source, -_beyond(down, further_down), _beyond(up, further_up)))
            down, up = max(down, further_down), max(up, further_up)
    last = stages[-1][1]
    known = tuple(width for width in widths if width.at_low < 0 or width.at_high > 0)
    return Figure(last, "1", Status.MEASURED, (), known or (Width("", 0.0, 0.0),))


def _beyond(before: float, after: float) -> float:
    """The width that makes `after` out of `before` in quadrature; none where it is no wider."""
    if after <= before:
        return 0.0
    return math.inf if math.isinf(after) else math.sqrt(after**2 - before**2)


def _both_ends(
    results: Callable[[Results], Results], inputs: Mapping[str, Uncertain], mids: Results, source: str
) -> tuple[Results, Results]:
    of_source = {name: u.range for name, u in inputs.items() if u.source == source}
    low = results({**mids, **{name: r.low for name, r in of_source.items()}})
    high = results({**mids, **{name: r.high for name, r in of_source.items()}})
    return low, high


def _spread_of(mid: float, ends: Mapping[str, tuple[float, float]], worst: tuple[float, float]) -> Spread:
    """The spread from what one source does at a time, and what all do together.

    Args:
        ends: for each source the result with its inputs low, and with them high; either may be the larger.
        worst: the result with every source where it lowers it, and where it raises it.
    """
    downs = {source: min(mid, *pair) for source, pair in ends.items()}
    ups = {source: max(mid, *pair) for source, pair in ends.items()}
    if mid < 0 or any(down < 0 for down in downs.values()):
        raise ValueError(f"a result below zero has no logarithmic width: {mid}, {downs}")
    if mid == 0:  # no logarithm: the distances themselves in quadrature
        distances = {source: up for source, up in ups.items() if up > 0}
        return Spread(Range(0.0, 0.0, math.hypot(*distances.values())), _shares(distances))
    down = {source: math.log(mid / d) if d else math.inf for source, d in downs.items()}
    up = {source: math.log(u / mid) for source, u in ups.items()}
    low = max(mid * math.exp(-math.hypot(*down.values())), worst[0])
    high = min(mid * math.exp(math.hypot(*up.values())), worst[1])
    # A source that may be nought counts downwards as much as the widest other one, and at least like a halving.
    nought = max([math.log(2), *(width for width in down.values() if math.isfinite(width))])
    widths = {source: up[source] + min(down[source], nought) for source in ends}
    return Spread(Range(min(low, mid, *downs.values()), mid, max(high, mid, *ups.values())), _shares(widths))


def _shares(widths: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    squares = {source: width**2 for source, width in widths.items() if width > 0}
    whole = math.fsum(squares.values())
    if whole == 0:
        return ()
    return tuple(
        sorted(((s, square / whole) for s, square in squares.items()), key=lambda share: (-share[1], share[0]))
    )
