"""Text with known answers that every machine has: the docstrings of Python's own standard library.

Read from source files with `ast`, never imported. Order is fixed: by module, then by file. The exact texts follow the
Python version, so figures compare within one machine, which is all the protocol claims.
"""

import ast
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


class SourceMissing(FileNotFoundError):
    """This Python carries no source files of its standard library."""


@dataclass(frozen=True, slots=True)
class Docstring:
    """`summary` is the first paragraph, `body` what follows it; both on one line."""

    package: str  # the name it was asked for under: "email", "json.decoder"
    summary: str
    body: str


def read(modules: Sequence[str], *, min_summary_words: int = 0, min_body_words: int = 0) -> list[Docstring]:
    """Every different docstring of these modules (a package stands for all of its files but tests).

    Raises:
        SourceMissing: a module has no source file here.
    """
    found: dict[tuple[str, str], Docstring] = {}
    for module in modules:
        for path in _files(module):
            for text in _docstrings(path):
                summary, _, body = text.partition("\n\n")
                entry = Docstring(module, " ".join(summary.split()), " ".join(body.split()))
                if len(entry.summary.split()) >= min_summary_words and len(entry.body.split()) >= min_body_words:
                    found.setdefault((entry.summary, entry.body), entry)
    return list(found.values())


def _files(module: str) -> list[Path]:
    base = Path(sysconfig.get_path("stdlib")) / module.replace(".", "/")
    if (single := base.with_suffix(".py")).is_file():
        return [single]
    files = sorted(path for path in base.rglob("*.py") if not {"test", "tests", "__pycache__"} & set(path.parts))
    if not files:
        raise SourceMissing(f"no source of {module!r} at {base}: install Python with its standard library's .py files")
    return files


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            text := ast.get_docstring(node)
        ):
            yield text
