"""Names of nodes as Slurm compresses them: `gpu[01-04,07],rack[1-2]n[1-3]`. Pure."""

import re
from itertools import product

MOST_NODES = 20_000  # of one list: Slurm's own largest clusters have fewer
_PART = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


class NotAHostlist(ValueError):
    """The text is no list of nodes; the message holds it."""


def expand(text: str) -> list[str]:
    """Every name, in order, each once. Zeros in front stay: `n[08-10]` is n08, n09, n10.

    Raises:
        NotAHostlist: brackets do not match, a range is none or runs backwards, or there are too many names.
    """
    names: dict[str, None] = {}
    for item in _split(text.strip()):
        choices = [_numbers(part, text) if k % 2 else [part] for k, part in enumerate(_PART.split(item))]
        count = 1
        for some in choices:
            count *= len(some)
        if count + len(names) > MOST_NODES:
            raise NotAHostlist(f"{text[:60]!r} names more than {MOST_NODES} nodes")
        for parts in product(*choices):
            name = "".join(parts)
            if not name or "[" in name or "]" in name:
                raise NotAHostlist(f"{text[:60]!r} is no list of nodes like gpu[01-04,07],cpu-3")
            names[name] = None
    return list(names)


def _split(text: str) -> list[str]:
    """At commas outside brackets."""
    items, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if depth not in (0, 1):
            raise NotAHostlist(f"{text[:60]!r}: its brackets do not match")
        if sign == "," and not depth:
            items.append(text[start:at])
            start = at + 1
    if depth:
        raise NotAHostlist(f"{text[:60]!r}: its brackets do not match")
    return [*items, text[start:]]


def _numbers(inside: str, text: str) -> list[str]:
    numbers: list[str] = []
    for one in inside.split(","):
        found = _RANGE.fullmatch(one.strip())
        if found is None:
            raise NotAHostlist(f"{text[:60]!r}: {one[:20]!r} is no number or range")
        low, high = found[1], found[2] or found[1]
        if int(high) < int(low) or int(high) - int(low) >= MOST_NODES:
            raise NotAHostlist(f"{text[:60]!r}: {one[:20]!r} runs backwards, or over more than {MOST_NODES} nodes")
        numbers += [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1)]
    return numbers
