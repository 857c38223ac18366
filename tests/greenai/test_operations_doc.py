"""docs/operations.md names every setting that the code reads, and every command with its options."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"""env\.(?:str|bool|int|float|list|path)\(\s*"(\w+)"|environ\.get\("(GREENAI_\w+)""")


def read_by_the_code() -> set[str]:
    files = [ROOT / "greenai/settings.py", ROOT / "greenai/management/commands/up.py"]
    return {a or b for file in files for a, b in READ.findall(file.read_text())}


def commands() -> list[Path]:
    return [file for file in ROOT.glob("*/management/commands/*.py") if file.stem != "__init__"]


def options_of(file: Path) -> set[str]:
    return set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', file.read_text()))


class TestOperationsDoc:
    def test_lists_every_variable_in_its_table(self) -> None:
        documented = set(
            re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
        )
        assert read_by_the_code() - documented == set()

    def test_lists_no_variable_that_nothing_reads(self) -> None:
        documented = set(
            re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
        )
        everywhere = "\n".join(p.read_text() for app in ("greenai", "optimizer") for p in (ROOT / app).rglob("*.py"))
        assert {name for name in documented if name not in everywhere} == set()

    def test_lists_every_management_command_with_its_options_and_no_other(self) -> None:
        rows = re.findall(r"^\| `(\w+)( [^`]*)?` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
        told: dict[str, set[str]] = {}
        for name, arguments in rows:
            if name.islower():
                told.setdefault(name, set()).update(re.findall(r"--[a-z-]+", arguments))
        assert told == {file.stem: options_of(file) for file in commands()}
