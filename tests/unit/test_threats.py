"""docs/threats.md: each line of its tables names tests, and those exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "threats.md").read_text(encoding="utf-8")
HEAD = "| could | what stops it | test |"
# Whom a page about who could do what must speak of.
WHO = ("caller", "phone", "integration", "dashboard", "local user", "network between")


def tables() -> list[tuple[str, str, str]]:
    """Each line of the tables with a column of tests."""
    rows, inside = [], False
    for line in PAGE.splitlines():
        if line == HEAD:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            could, stops, shown = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append((could, stops, shown))
    return rows


ROWS = tables()


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_names_every_kind_of_attacker() -> None:
    headings = [line for line in PAGE.splitlines() if line.startswith("## ")]
    assert [who for who in WHO if not any(who in heading for heading in headings)] == []
    assert len(ROWS) > 50


@pytest.mark.parametrize("row", ROWS, ids=[could[:60] for could, _, _ in ROWS])
def test_a_line_says_what_stops_it_and_names_tests_that_exist(row: tuple[str, str, str]) -> None:
    could, stops, shown = row
    assert could
    assert stops
    named = re.findall(r"`([^`]+)`", shown)
    assert named, "no test is named"
    for name in named:
        path, _, function = name.partition("::")
        if path in TARGETS:
            assert f"target `{path}`" in shown
            continue
        where = TESTS / path
        assert where.is_dir() or where.is_file(), name
        if where.is_file():
            assert functions(where) & {function} if function else functions(where), name


def test_tests_named_elsewhere_on_the_page_exist_too() -> None:
    for name in re.findall(r"`((?:unit|live|fuzz|property|chaos)/[^`]*)`", PAGE):
        path, _, function = name.partition("::")
        assert (TESTS / path).exists(), name
        assert not function or function in functions(TESTS / path), name
