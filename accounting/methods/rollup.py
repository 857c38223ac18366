"""Sums that come out the same to the last bit, in whatever order their parts arrive."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from accounting.methods.records import Status

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Part(Generic[Key]):
    """One row to add up: its group, its columns in a fixed order, how well it is known and by which factors."""

    key: Key
    columns: Sequence[float]
    status: Status
    factor_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Total(Generic[Key]):
    key: Key
    columns: tuple[float, ...]
    status: Status
    factor_ids: tuple[str, ...] = ()  # of all parts, sorted


def add_up(parts: Iterable[Part[Key]]) -> list[Total[Key]]:
    """Sum every column per key, correctly rounded (fsum), so that the order of the parts cannot show.

    Keys come out in the order in which they were first seen.
    """
    groups: dict[Key, list[Part[Key]]] = {}
    for part in parts:
        groups.setdefault(part.key, []).append(part)
    return [
        Total(
            key,
            tuple(map(math.fsum, zip(*(p.columns for p in rows), strict=True))),
            Status.worst(p.status for p in rows),
            tuple(sorted({factor_id for p in rows for factor_id in p.factor_ids})),
        )
        for key, rows in groups.items()
    ]
