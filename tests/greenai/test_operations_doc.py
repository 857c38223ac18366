"""docs/operations.md names every setting that the code reads."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"""env\.(?:str|bool|int|float|list|path)\(\s*"(\w+)"|environ\.get\("(GREENAI_\w+)""")


def read_by_the_code() -> set[str]:
    files = [ROOT / "greenai/settings.py", ROOT / "greenai/management/commands/up.py"]
    return {a or b for file in files for a, b in READ.findall(file.read_text())}


class TestOperationsDoc:
    def test_lists_every_variable_in_its_table(self) -> None:
        documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
        assert read_by_the_code() - documented == set()

    def test_lists_no_variable_that_nothing_reads(self) -> None:
        documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
        everywhere = "\n".join(p.read_text() for app in ("greenai", "optimizer") for p in (ROOT / app).rglob("*.py"))
        assert {name for name in documented if name not in everywhere} == set()
