"""docs/architecture.md's import table, held against the code."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("accounting", "optimizer", "greenai")
TORCH = {"torch", "torchao", "peft", "transformers"}


def modules() -> list[Path]:
    return sorted(p for app in OURS for p in (ROOT / app).rglob("*.py") if "migrations" not in p.parts)


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imported(path: Path) -> frozenset[tuple[str, bool]]:
    """(module, inside a function) for every import of a file; `from a import b` is a.b where that is a module."""
    tree = ast.parse(path.read_text())
    late = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, id(node) in late) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add((name if is_module(name) else node.module, id(node) in late))
    return frozenset(found)


@cache
def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


class Row:
    """One line of the table."""

    def __init__(self, cells: list[str]) -> None:
        self.rank = int(cells[0])
        self.packages = [expand(p) for p in re.sub(r"\(.*?\)", "", cells[1]).split(",")]
        self.allowance = cells[2]
        self.django = cells[3] == "yes"
        self.torch = cells[4] in ("yes", "late")


def expand(name: str) -> str:
    return name.strip()


def table() -> list[Row]:
    text = (ROOT / "docs/architecture.md").read_text()
    lines = [line for line in text.splitlines() if re.match(r"\| \d ", line)]
    return [Row([cell.strip() for cell in line.strip("|").split("|")]) for line in lines]


MEASURED_CHILD = ("optimizer.measure.child", "optimizer.measure.build")  # torch's side of the protocol
EDGES = ("views", "api", "management", "forms", "urls", "admin", "apps", "templatetags")


def package_of(module: str) -> str:
    """The table's name for the package that a module lies in."""
    parts = module.split(".")
    if parts[0] == "greenai":
        return "greenai"
    if parts[:2] == ["optimizer", "techniques"]:
        # in a technique's own folder, everything but its spec may use torch
        inside = len(parts) > 3 and parts[3] != "spec"
        return "optimizer.techniques.apply" if inside else "optimizer.techniques"
    if module in MEASURED_CHILD:
        return module
    if len(parts) > 1 and parts[1] in EDGES:
        return f"{parts[0]}.edge"
    return ".".join(parts[:2])


ALIASES = {
    "optimizer.techniques: base": "optimizer.techniques",
    "optimizer.techniques: apply": "optimizer.techniques.apply",
    "accounting.api": "accounting.edge",
    "optimizer.api": "optimizer.edge",
}
WORDS = {
    "base": ["optimizer.techniques"],
    "other techniques": ["optimizer.techniques"],
    "both apps' urls": ["accounting.urls", "optimizer.urls", "accounting.api.urls"],
    "api and tasks": ["accounting.api", "optimizer.api", "accounting.tasks", "optimizer.tasks"],
}


def rules() -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in table():
        for package in row.packages:
            found[ALIASES.get(package, package)] = row
    return found


def allowance(row: Row, app: str) -> list[str]:
    """The dotted names that a row allows; a short name means the row's own app."""
    words = [word.strip() for word in re.split(r"[,;]", re.sub(r"\(.*?\)", "", row.allowance))]
    words = [word.removesuffix(" inside the task body") for word in words if word]
    names = [name for word in words for name in WORDS.get(word, [word])]
    return [name if name.split(".")[0] in OURS else f"{app}.{name}" for name in names]


def allowed(module: str, name: str, row: Row) -> bool:
    package, target = package_of(module), package_of(name)
    if package == target:
        return True
    own_app = "accounting" if package == "accounting" else package.split(".")[0]
    return any(name == one or name.startswith(f"{one}.") for one in allowance(row, own_app))


def our_imports() -> list[tuple[str, str, str, bool]]:
    """(module, its package, imported module, late) for every import of our own code."""
    found = []
    for path in modules():
        module = dotted(path)
        for name, late in imported(path):
            if name.split(".")[0] in OURS and name.split(".")[0] != module:
                found.append((module, package_of(module), name, late))
    return found


class TestImportTable:
    def test_names_every_package_there_is(self) -> None:
        known = set(rules()) | {"accounting", "optimizer", "greenai"}
        unknown = {package_of(dotted(p)) for p in modules()} - known
        assert not unknown, f"packages without a row in docs/architecture.md: {sorted(unknown)}"

    def test_allows_every_import_there_is(self) -> None:
        by_package = rules()
        broken = [
            f"{module} imports {name}: not in the row of {package}"
            for module, package, name, _ in our_imports()
            if package not in OURS[:2] and not allowed(module, name, by_package[package])
        ]
        assert not broken, "\n".join(sorted(broken))

    def test_keeps_django_and_torch_out_of_the_rooms_that_must_not_see_them(self) -> None:
        broken = []
        for path in modules():
            module = dotted(path)
            package = package_of(module)
            if package not in rules() or package == "greenai":
                continue
            row = rules()[package]
            for name, late in imported(path):
                top = name.split(".")[0]
                if top == "django" and not row.django:
                    broken.append(f"{module} imports {name}")
                if top in TORCH and not row.torch and not late:
                    broken.append(f"{module} imports {name}")
        assert not broken, "\n".join(sorted(broken))

    def test_has_no_cycle_between_packages(self) -> None:
        edges: dict[str, set[str]] = {}
        for _, package, name, _ in our_imports():
            target = package_of(name)
            if target not in (package, "accounting", "optimizer") and package not in ("accounting", "optimizer"):
                edges.setdefault(package, set()).add(target)
        done: set[str] = set()

        def walk(package: str, trail: tuple[str, ...]) -> None:
            assert package not in trail, " -> ".join((*trail, package))
            if package in done:
                return
            for target in sorted(edges.get(package, ())):
                walk(target, (*trail, package))
            done.add(package)

        for package in sorted(edges):
            walk(package, ())


class TestFreshInterpreters:
    @pytest.mark.parametrize(
        "start", ["import greenai.wsgi, greenai.urls", "import greenai.wsgi, accounting.tasks, optimizer.tasks"]
    )
    def test_the_web_process_never_loads_torch(self, start: str, tmp_path: Path) -> None:
        code = f"{start}; import sys; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
        assert python(code, tmp_path) == "[]"

    def test_the_agent_loads_neither_django_torch_nor_pandas(self, tmp_path: Path) -> None:
        code = (
            "import accounting.agent.__main__, sys; "
            "print(sorted({'django', 'torch', 'pandas', 'numpy', 'codecarbon', 'requests'} & set(sys.modules)))"
        )
        assert python(code, tmp_path) == "[]"

    @pytest.mark.parametrize(
        "name", ["track", "tracking.huggingface", "tracking.lightning", "tracking.mlflow", "tracking.wandb"]
    )
    def test_nor_does_what_people_import_into_their_own_code(self, tmp_path: Path, name: str) -> None:
        code = (
            f"import sys; before = set(sys.modules); import accounting.agent.{name}; "
            "print(sorted({one.split('.')[0] for one in set(sys.modules) - before} - sys.stdlib_module_names))"
        )
        assert python(code, tmp_path) == "['accounting']"

    def test_the_science_loads_no_django(self, tmp_path: Path) -> None:
        names = [dotted(p) for p in modules() if p.parent.name == "methods" and p.stem != "__init__"]
        code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print('django' in sys.modules)"
        assert python(code, tmp_path) == "False"


def python(code: str, data_dir: Path) -> str:
    import os

    env = {**os.environ, "GREENAI_DATA_DIR": str(data_dir)}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().splitlines()[-1]
