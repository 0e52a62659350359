"""Statements made once: SQLAlchemy says what they are, and SQLite gets their text and values.

What SQLAlchemy does for each execution (a key for its cache, a context, a result) costs more than SQLite's
own work on a row or two, and a busy daemon executes the same few statements for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Bound = Mapping[str, Any]

_DIALECT: Final = sqlite.dialect(paramstyle="named")
_LIST: Final = re.compile(r"__\[POSTCOMPILE_(\w+)\]")
# An IN of no values: the list is empty on both engines.
_NOTHING: Final = "SELECT 1 WHERE 0"


class Prepared:
    """One statement. `columns`: those that an insert writes, where the statement itself does not say it.

    Values are what SQLite stores as they are: text, numbers, None, and truth values, which come back as 0 or
    1. A list for an `expanding` parameter may have any length.
    """

    __slots__ = ("_columns", "_fixed", "_lists", "_text", "_texts", "statement")

    def __init__(self, statement: Executable, columns: Iterable[str] | None = None) -> None:
        self.statement = statement
        self._columns = None if columns is None else list(columns)
        self._text = ""
        self._fixed: dict[str, Any] = {}
        self._lists: tuple[str, ...] = ()
        # By the lengths of the lists: a handful, since few things happen at once.
        self._texts: dict[tuple[int, ...], str] = {}

    def for_sqlite(self, values: Bound) -> tuple[str, Bound]:
        """The text and all its values."""
        if not self._text:
            self._compile()
        if not self._fixed and not self._lists:
            return self._text, values
        merged = {**self._fixed, **values}
        if not self._lists:
            return self._text, merged
        given: list[Sequence[Any]] = [merged.pop(name) for name in self._lists]
        lengths = tuple(map(len, given))
        text = self._texts.get(lengths)
        if text is None:
            text = self._texts[lengths] = self._expanded(lengths)
        for name, items in zip(self._lists, given, strict=True):
            merged.update((f"{name}__{number}", item) for number, item in enumerate(items))
        return text, merged

    def _compile(self) -> None:
        compiled = self.statement.compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, column_keys=self._columns, for_executemany=self._columns is not None
        )
        assert isinstance(compiled, SQLCompiler)
        text = str(compiled)
        self._lists = tuple(dict.fromkeys(_LIST.findall(text)))
        self._fixed = {
            name: value
            for name, value in compiled.params.items()
            if name in compiled.binds and not compiled.binds[name].required
        }
        self._text = text

    def _expanded(self, lengths: Sequence[int]) -> str:
        counts = dict(zip(self._lists, lengths, strict=True))

        def names(found: re.Match[str]) -> str:
            name = found[1]
            return ", ".join(f":{name}__{number}" for number in range(counts[name])) or _NOTHING

        return _LIST.sub(names, self._text)
