"""The things in which one kind of call to clients differs: its table, its states and their order. Pure.

Callbacks and rating calls each have a plan. The ledger, the fence and the worker are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Table

from callsteward.outgoing.ledger_row import LedgerRow
from callsteward.outgoing.words import Actor

R = TypeVar("R", bound=LedgerRow)
S = TypeVar("S", bound=StrEnum)
Allowed = Mapping[S, frozenset[S]]


def sources(allowed: Allowed[S], to: S) -> frozenset[S]:
    """The states that `to` may follow."""
    return frozenset(state for state, following in allowed.items() if to in following)


class Plan(msgspec.Struct, Generic[R, S], frozen=True, kw_only=True):
    """One kind of call."""

    what: str
    """The name of its rows in the plural: callbacks."""
    kind: str
    """The first part of its actions in the log, and the name of a row there: callback."""
    prefix: str = ""
    """The first part of its fault points' names."""
    table: Table
    call: str
    """The columns with the id of the call that a row is about, and with the row's own name."""
    name: str
    order: tuple[ColumnElement[Any], ...]
    """The order in which open rows are worked on."""
    row: type[R]
    fact: Callable[[R, Actor], object]
    """Makes the fact about a step, to be published."""
    states: type[S]
    allowed: Allowed[S]
    open: frozenset[S]
    under_way: frozenset[S]
    """The open states in which Asterisk has a channel for the call."""
    rings: S
    """The step that lets a phone ring. It begins an attempt; a client on the do-not-call list gets none."""
    stopped: S
    """The state of a row after its client came onto the do-not-call list, and the states it may follow."""
    stoppable: frozenset[S]
    cancelled: str
    """The reason why the client was not reached if Asterisk's Dial ended with CANCEL."""
    also: Callable[[S, int], Mapping[str, Any]]
    """The other columns that a step changes, by its state and moment."""
    story: Column[Any] | None = None
    """The table that keeps every step: its column with the number of the row. None: steps are not kept."""
    kept: ColumnElement[bool] | None = None
    """True for rows of which Asterisk may still have data besides the fence."""

    summed: bool = False
    """True if the sums of intervals have something of a row's state."""

    later: frozenset[S] = frozenset()
    """States that are not open any more, and still wait for something: the client is in the menu."""

    @property
    def unfinished(self) -> frozenset[S]:
        """The states in which a row is still needed by whoever works at it."""
        return self.open | self.later

    @property
    def over(self) -> frozenset[S]:
        return frozenset(self.states) - self.open

    def read(self, row: Mapping[Any, Any]) -> R:
        """A row of the table. Columns are named like the fields, except the one of the row's name."""
        fields = self.row.__struct_fields__
        values = {field: row[self.name if field == "id" else field] for field in fields}
        return msgspec.convert(values, self.row)
