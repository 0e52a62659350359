"""Parts of statements that are made once."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement


def one_of(column: Column[Any], states: Collection[StrEnum]) -> ColumnElement[bool]:
    """The condition that a column holds one of these states.

    Each in_() that is executed leaves ten objects in cycles behind, and the garbage collector comes seldom
    (`app.spare_the_collector`): so the same condition is returned for the same states.
    """
    return _one_of(column, frozenset(states))


@cache
def _one_of(column: Column[Any], states: frozenset[StrEnum]) -> ColumnElement[bool]:
    return column.in_(sorted(state.value for state in states))
