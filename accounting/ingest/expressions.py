"""Regular expressions that people write into label rules: which are safe to run on labels that strangers send. Pure.

Python's matcher backtracks, so a careless expression can take for ever. Refused is what makes that possible: a
repetition within a repetition, alternatives within one, look-around and back-references, and more free repetitions than
a label of `LONGEST_VALUE` characters can be tried against at once.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Any

from accounting.ingest.naming import LONGEST_VALUE

LONGEST_EXPRESSION = 200
MOST_TRIES = 200_000  # ways to lay one expression over the longest label: a millisecond or two
_WIDE = 16  # a repetition with more freedom than this is taken for one without limit
_parse: Any = re._parser.parse  # type: ignore[attr-defined]
_SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
_NOT_HERE = {
    "ASSERT": "look-around is not for labels",
    "ASSERT_NOT": "look-around is not for labels",
    "GROUPREF": "back-references are not for labels",
    "GROUPREF_EXISTS": "conditions on groups are not for labels",
    "ATOMIC_GROUP": "atomic groups are not for labels",
}


class _Refused(ValueError):
    """Why an expression is not taken."""


def fault_of(expression: str) -> str | None:
    """What is wrong with an expression, for people; None: it may be used."""
    if not expression:
        return "empty: .+ matches any label that is there"
    if len(expression) > LONGEST_EXPRESSION:
        return f"{len(expression)} characters: {LONGEST_EXPRESSION} at most"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(expression)
            tree = _parse(expression)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    except Warning as doubt:
        return f"not clear: {doubt}; write \\[ for a bracket"
    try:
        tries = _tries(tree)
    except _Refused as why:
        return str(why)
    if tries > MOST_TRIES:
        return "too many ways to match: use .* or .+ at most twice, and fewer ? and {…}"
    return None


def _tries(sequence: Iterable[tuple[Any, Any]]) -> int:
    """At most how many ways there are to lay it over a label."""
    tries, wide = 1, 0
    for op, of in sequence:
        name = str(op)
        if name in _NOT_HERE:
            raise _Refused(_NOT_HERE[name])
        if name in _REPEATS:
            least, most, inner = of
            freedom = int(most) - int(least)
            if int(most) > 1 and not _is_fixed(inner):
                raise _Refused("a repetition within a repetition, or alternatives within one: write it flat")
            if freedom > _WIDE:
                wide += 1
                tries *= LONGEST_VALUE
            else:
                tries *= (freedom + 1) * _tries(inner)
        elif name == "SUBPATTERN":
            tries *= _tries(of[-1])
        elif name == "BRANCH":
            tries *= sum(_tries(branch) for branch in of[1])
        elif name not in _SINGLE and name != "AT":
            raise _Refused(f"{name.lower()} is not for labels")
    return tries // (2 if wide == 2 else 1)


def _is_fixed(sequence: Iterable[tuple[Any, Any]]) -> bool:
    """Whether it can match in one way and one length only."""
    for op, of in sequence:
        name = str(op)
        if name in _SINGLE or name == "AT":
            continue
        if name == "SUBPATTERN" and _is_fixed(of[-1]):
            continue
        if name in _REPEATS and int(of[0]) == int(of[1]) and _is_fixed(of[2]):
            continue
        return False
    return True
