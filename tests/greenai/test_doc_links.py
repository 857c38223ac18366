"""README, docs and decisions point at what is there: files, headings, tests, benchmarks; and their tables are whole."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/*/*.md"))]
ROOMS = ("accounting", "benchmarks", "docs", "greenai", "optimizer", "templates", "tests")


def text_of(page: Path) -> str:
    """Without code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """As a forge makes it of a heading."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestEveryPage:
    def test_links_to_files_and_headings_that_exist(self, page: Path) -> None:
        linked = re.findall(r"\]\(([^)\s]+)\)", text_of(page)) + re.findall(r'src="([^"]+)"', text_of(page))
        for link in linked:
            if link.startswith(("http://", "https://")):
                continue
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not heading or heading in anchors(target), link

    def test_names_files_that_exist(self, page: Path) -> None:
        for name in re.findall(rf"\b(?:{'|'.join(ROOMS)})/[\w/.-]+\.(?:py|md|sh|yml|json)\b", text_of(page)):
            assert (ROOT / name).exists() or (page.parent / name).exists(), name

    def test_has_a_head_on_every_table(self, page: Path) -> None:
        lines = ["", *text_of(page).splitlines(), ""]
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
            if line.startswith("|") and not before.startswith("|"):
                assert after.startswith("|-"), line


def test_decisions_are_numbered_without_a_gap_and_named_in_their_headings() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    for number, decision in enumerate(decisions, start=1):
        assert decision.name.startswith(f"{number:04d}-"), decision.name
        assert decision.read_text().startswith(f"# {number:04d} "), decision.name
