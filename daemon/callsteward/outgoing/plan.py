"""What one kind of call to clients has of its own: its table, its states, and what follows what. Pure.

Callbacks and rating calls each have a plan. The ledger, the fence and the worker are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Row, Table

from callsteward.outgoing.words import Actor


class Entry(Protocol):
    """What every row has."""

    @property
    def id(self) -> str: ...

    @property
    def line(self) -> str: ...

    @property
    def state(self) -> StrEnum: ...

    @property
    def number(self) -> str | None: ...

    @property
    def changed_at_ms(self) -> int: ...

    @property
    def attempts(self) -> int: ...

    @property
    def channel_id(self) -> str | None: ...


R = TypeVar("R", bound=Entry)
S = TypeVar("S", bound=StrEnum)
Allowed = Mapping[S, frozenset[S]]


def sources(allowed: Allowed[S], to: S) -> frozenset[S]:
    """The states from which `to` may be reached."""
    return frozenset(state for state, following in allowed.items() if to in following)


def _nothing_else(_to: Any, _at_ms: int) -> Mapping[str, Any]:
    return {}


class Plan(msgspec.Struct, Generic[R, S], frozen=True, kw_only=True):
    """One kind of call.

    `call` and `name` are the columns of the call that a row is about and of the row's own name.
    """

    what: str
    """What its rows are called, in the plural: callbacks."""
    table: Table
    call: str
    name: str
    order: tuple[ColumnElement[Any], ...]
    """Of the open rows: which comes first."""
    row: Callable[[Row[Any]], R]
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
    also: Callable[[S, int], Mapping[str, Any]] = _nothing_else
    """What else a step changes, by the state and the moment."""
    story: Column[Any] | None = None
    """Where every step is kept: the column there that holds the row's number."""
    kept: ColumnElement[bool] | None = None
    """Whether Asterisk may still have something of a row besides its fence."""
    prefix: str = ""
    """Begins the names of its fault points."""

    @property
    def over(self) -> frozenset[S]:
        return frozenset(self.states) - self.open
