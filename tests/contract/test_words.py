"""Prose of the code and the documentation: phrases that cannot be read at first sight, and the glossary."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.pbx_config import REPOSITORY

PACKAGE = REPOSITORY / "daemon" / "callsteward"
HERE = Path(__file__)
GLOSSARY = REPOSITORY / "ARCHITECTURE.md"
RIDDLES = re.compile(r"\b(so (long|many|much)|told of|tells of|of none of)\b", re.IGNORECASE)
PROSE = {".py", ".md", ".toml", ".conf", ".json", ".yml", ".service"}
WHERE = ("daemon", "docs", "config", "dialplan", "deploy", "tests")
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")

# Docstrings begin with a verb or with a noun of the glossary. One is a description in the published schema.
OPENING = re.compile(r"(What|Whether)\b")
PUBLISHED = {"CallbackDecision"}


def prose() -> Iterator[Path]:
    yield from (REPOSITORY / page for page in PAGES)
    for folder in WHERE:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            recorded = folder == "tests" and path.suffix not in {".py", ".md"}
            if path.suffix in PROSE and not recorded and path != HERE and "__pycache__" not in path.parts:
                yield path


def riddles(path: Path) -> list[str]:
    # A phrase may run over the end of a line, in a comment over its sign.
    text = re.sub(r"\n\s*(#|;)?\s*", " ", path.read_text(encoding="utf-8"))
    return [text[max(0, found.start() - 40) : found.end() + 40] for found in RIDDLES.finditer(text)]


def test_no_text_has_a_phrase_that_must_be_read_twice() -> None:
    found = {str(path.relative_to(REPOSITORY)): riddles(path) for path in prose()}
    assert {name: said for name, said in found.items() if said} == {}


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "name", path.stem), ast.get_docstring(node) or ""


def test_no_docstring_begins_with_what_or_whether() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {name}: {text.splitlines()[0]}"
        for path in prose()
        if path.suffix == ".py"
        for name, text in docstrings(path)
        if OPENING.match(text) and name not in PUBLISHED
    ]
    assert found == []


def type_names(path: Path) -> Iterator[str]:
    """The public types of a module: classes, and names given to types. A TypeVar names nothing by itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not is_type_variable(value):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def test_no_two_types_of_the_package_share_a_name() -> None:
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in type_names(path):
            if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                files[name].append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in files.items() if len(where) > 1} == {}


TERMS = [
    term.strip()
    for row in re.findall(r"^\| \*\*(.+?)\*\* \|", GLOSSARY.read_text(), re.MULTILINE)
    for term in row.split(",")
]


def test_the_glossary_names_each_thing_once() -> None:
    assert len(TERMS) > 25
    assert len(TERMS) == len(set(TERMS))


@pytest.mark.parametrize("term", TERMS)
def test_each_word_of_the_glossary_is_used_in_the_documentation(term: str) -> None:
    pages = [page for page in (REPOSITORY / "docs").glob("*.md") if page != GLOSSARY]
    text = " ".join(" ".join(page.read_text().split()) for page in [REPOSITORY / "README.md", *pages])
    assert re.search(rf"\b{re.escape(term)}s?\b", text, re.IGNORECASE), term
