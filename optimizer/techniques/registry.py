"""Which techniques there are: every folder here that holds a spec. A new one is found without touching this file."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from optimizer.techniques.base import TechniqueSpec


class UnknownTechnique(KeyError):
    """No folder holds a technique of this key."""


@cache
def all_techniques() -> dict[str, TechniqueSpec]:
    """Key -> spec, sorted by key. Imports no torch.

    Raises:
        ValueError: a folder's name is not its technique's key; without this rule two could share one key.
    """
    found: dict[str, TechniqueSpec] = {}
    for folder in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda module: module.name):
        if not folder.ispkg:
            continue
        spec = importlib.import_module(f"optimizer.techniques.{folder.name}.spec").SPEC
        if spec.key != folder.name:
            raise ValueError(f"optimizer/techniques/{folder.name} holds the key {spec.key!r}: they must agree")
        found[spec.key] = spec
    return found


def technique(key: str) -> TechniqueSpec:
    """
    Raises:
        UnknownTechnique: no such technique.
    """
    try:
        return all_techniques()[key]
    except KeyError:
        raise UnknownTechnique(f"no technique {key!r}; there are {', '.join(all_techniques())}") from None


def code_of(key: str) -> ModuleType:
    """The technique's `apply` module, as `base` describes it. Loads torch: only the measured child calls this."""
    return importlib.import_module(f"optimizer.techniques.{technique(key).key}.apply")
