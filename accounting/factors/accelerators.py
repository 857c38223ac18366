"""Which accelerator a name means: drivers, clouds and people each write `NVIDIA H100 80GB HBM3` in their own way."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# A name with one of these is another product than the same name without it.
_QUALIFIERS = frozenset(("laptop", "max", "mobile", "pro", "super", "ti", "ultra"))
_GLUED = re.compile(r"\b(rtx|gtx|tpu|gaudi|trainium|trn|inferentia|inf|mi|hl)(?=v?\d)")  # RTX4090, TPUv4, MI300X
ASSUMED = "~"  # before an alias that names a family: its commonest product is assumed


@dataclass(frozen=True, slots=True)
class Accelerator:
    key: str  # as the catalogue's rows name it, for example `nvidia-h100-sxm`
    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """What a name means. `family` holds every product it may mean where it is not exact; `key` is the commonest."""

    key: str
    alias: str
    family: tuple[str, ...] = ()


def match_accelerator(name: str) -> Match | None:
    """The product whose longest alias has all its words in the name; None where nothing or two products fit."""
    words = _words(name)
    fits = [
        (len(alias_words), accelerator.key, alias)
        for accelerator in accelerators()
        for alias in accelerator.aliases
        if (alias_words := _words(alias)) <= words and not (words - alias_words) & _QUALIFIERS
    ]
    longest = max((length for length, _, _ in fits), default=0)
    best = {key: alias for length, key, alias in fits if length == longest}
    if len(best) != 1:
        return None
    key, alias = best.popitem()
    if not alias.startswith(ASSUMED):
        return Match(key, alias)
    return Match(key, alias.removeprefix(ASSUMED), _family(_words(alias)))


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """Every known product with its names. Read once per process."""
    text = (files("accounting.factors") / "data" / "names" / "accelerators.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Accelerator(row["key"], row["name"], tuple(row["aliases"].split(";"))) for row in rows)


def _family(words: frozenset[str]) -> tuple[str, ...]:
    return tuple(a.key for a in accelerators() if any(words <= _words(alias) for alias in a.aliases))


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", _GLUED.sub(r"\1 ", name.casefold())))
