"""docs/architecture.md names calls between rooms and writers of tables: each of them is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs/architecture.md").read_text()
CONTRACTS = DOC.split("## Contracts between rooms\n", 1)[1]
WRITERS = DOC.split("## Who writes what\n", 1)[1].split("\n## ", 1)[0]
DOTTED = re.compile(r"`((?:accounting|optimizer|greenai)(?:\.\w+)+)`")


def is_there(dotted: str) -> bool:
    """Whether a module, or a name that a module defines or hands on, is so called. Nothing is imported."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        file = next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.exists()), None)
        if file is not None:
            return parts[length:] == [] or (len(parts) == length + 1 and parts[-1] in names_of(file))
    return False


@cache
def names_of(file: Path) -> frozenset[str]:
    """What is defined or imported at the top of a module."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


def tables() -> set[str]:
    files = [path for app in ("accounting", "optimizer") for path in (ROOT / app / "models").glob("*.py")]
    pattern = re.compile(r"^class (\w+)\((?:models\.Model|AbstractUser|Quantities)\)", re.MULTILINE)
    return {name for file in files for name in pattern.findall(file.read_text())} - {"Quantities"}  # abstract


class TestContracts:
    @pytest.mark.parametrize("dotted", sorted(set(DOTTED.findall(CONTRACTS + WRITERS))))
    def test_name_what_is_there(self, dotted: str) -> None:
        assert is_there(dotted)

    def test_would_notice_a_name_that_is_gone(self) -> None:
        assert not is_there("accounting.access.no_such_call") and not is_there("accounting.nowhere.at_all")


class TestWriters:
    def test_are_named_for_every_table_and_for_no_other(self) -> None:
        assert set(re.findall(r"`([A-Z]\w+)`", WRITERS)) == tables()
