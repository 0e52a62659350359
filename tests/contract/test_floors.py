"""The packages stand on floors, and no file imports one of a higher floor; no two packages import each other.

What a floor is for: ARCHITECTURE.md.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import callsteward

PACKAGE = Path(callsteward.__file__).parent
FLOORS = (
    {"clock", "exceptions", "health", "notify", "faults", "heap", "network"},
    {"record", "config", "terminal"},
    {"standard", "ari", "store"},
    {"calls"},
    {"journal", "feed"},
    {"outgoing", "stream", "part"},
    {
        "lost",
        "callback",
        "tags",
        "rating",
        "intervals",
        "retention",
        "compression",
        "sites",
        "commands",
        "metrics",
        "web",
        "agi",
        "status",
        "statuses",
        "standby",
    },
    {"features"},
    {"daemon", "recording", "demo", "check", "client", "backup", "testing"},
    {"cli"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
LOOSE = {"clock", "exceptions", "health", "notify", "faults", "heap", "part", "features"}


def _imports(file: Path) -> set[str]:
    """The packages, or loose modules, of callsteward that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "callsteward":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("callsteward."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("callsteward.")
            }
    return found - {"__version__"}


def _package(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


ARROWS = {
    file.relative_to(PACKAGE).as_posix(): _imports(file)
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.name != "__init__.py" or file.parent != PACKAGE
}


def test_every_package_has_a_floor() -> None:
    there = {_package(PACKAGE / file) for file in ARROWS}
    assert there == set(FLOOR)


def test_no_file_imports_one_of_a_higher_floor() -> None:
    up = [
        f"{file} imports {name}"
        for file, names in ARROWS.items()
        for name in sorted(names)
        if FLOOR[name] > FLOOR[_package(PACKAGE / file)]
    ]
    assert up == []


def test_no_packages_import_each_other_in_a_circle() -> None:
    below: dict[str, set[str]] = defaultdict(set)
    for file, names in ARROWS.items():
        package = _package(PACKAGE / file)
        below[package] |= names - {package}

    def reached(package: str) -> set[str]:
        found: set[str] = set()
        left = [package]
        while left:
            for name in below[left.pop()] - found:
                found.add(name)
                left.append(name)
        return found

    assert [package for package in sorted(below) if package in reached(package)] == []


def test_few_modules_lie_loose_in_the_package() -> None:
    assert {file.stem for file in PACKAGE.glob("*.py")} - {"__init__"} <= LOOSE


def test_the_composition_root_is_read_at_one_glance() -> None:
    """There is no branch for things that are off: each is a class of its own."""
    (run,) = (
        node
        for node in ast.walk(ast.parse((PACKAGE / "daemon" / "app.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "run"
    )
    assert run.end_lineno is not None
    assert run.end_lineno - run.lineno < 60
    branches = [node for node in ast.walk(run) if isinstance(node, ast.IfExp | ast.If) and node.orelse]
    # Without a broker nothing is announced.
    assert [ast.unparse(node.test) for node in branches] == ["config.mqtt.enabled and (not self._feed)"]
