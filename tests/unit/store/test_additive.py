"""A migration only adds: a daemon of the version before runs on while a newer one migrates beneath it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsteward.store.engine import MIGRATIONS

ADDS = {"create_table", "create_index", "add_column", "execute"}
VERSIONS = sorted((MIGRATIONS / "versions").glob("r*.py"))


def _steps(source: str) -> Iterator[str]:
    """The operations of Alembic's that `upgrade` asks for."""
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name == "upgrade":
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"op", "batch"}:
                    yield node.attr


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_only_adds_tables_and_columns(path: Path) -> None:
    """A migration that takes something away waits a release, until no older daemon runs any more."""
    source = path.read_text(encoding="utf-8")
    assert sorted(set(_steps(source)) - ADDS) == []
    assert "DROP " not in source.upper().partition("DEF DOWNGRADE")[0]
