"""What one kind of call to clients has of its own: its table, its states, and what follows what. Pure.

Callbacks and rating calls each have a plan. The ledger, the fence and the worker are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, RowMapping, Table

from callsteward.outgoing.ledger_row import LedgerRow
from callsteward.outgoing.words import Actor

R = TypeVar("R", bound=LedgerRow)
S = TypeVar("S", bound=StrEnum)
Allowed = Mapping[S, frozenset[S]]


def sources(allowed: Allowed[S], to: S) -> frozenset[S]:
    """The states from which `to` may be reached."""
    return frozenset(state for state, following in allowed.items() if to in following)


class Plan(msgspec.Struct, Generic[R, S], frozen=True, kw_only=True):
    """One kind of call."""

    what: str
    """What its rows are called, in the plural: callbacks."""
    kind: str
    """Begins its actions in the log, and names a row there: callback."""
    prefix: str = ""
    """Begins the names of its fault points."""
    table: Table
    call: str
    """The columns of the call that a row is about, and of the row's own name."""
    name: str
    order: tuple[ColumnElement[Any], ...]
    """Of the open rows: which comes first."""
    row: type[R]
    fact: Callable[[R, Actor], object]
    """A step as a fact, to be told."""
    states: type[S]
    allowed: Allowed[S]
    open: frozenset[S]
    under_way: frozenset[S]
    """The open states in which Asterisk has a channel for it."""
    rings: S
    """The step that lets a phone ring: an attempt, which no client on the do-not-call list gets."""
    stopped: S
    """What becomes of a row whose client comes onto the do-not-call list, and from which states it may."""
    stoppable: frozenset[S]
    cancelled: str
    """Why a client was not reached, where Asterisk's Dial ended with CANCEL."""
    also: Callable[[S, int], Mapping[str, Any]]
    """What else a step changes, by the state and the moment."""
    story: Column[Any] | None = None
    """Where every step is kept: the column there that holds the row's number."""
    kept: ColumnElement[bool] | None = None
    """Whether Asterisk may still have something of a row besides its fence."""

    @property
    def over(self) -> frozenset[S]:
        return frozenset(self.states) - self.open

    def read(self, row: RowMapping) -> R:
        """A row of the table: its columns are named as the fields are, but for its name."""
        fields = self.row.__struct_fields__
        values = {field: row[self.name if field == "id" else field] for field in fields}
        return msgspec.convert(values, self.row)
