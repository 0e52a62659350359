"""The two ledgers as their common contract sees them, with the names of things in each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback import states as callback_states
from callsteward.callback.ledger import CallbackLedger
from callsteward.rating import states as rating_states
from callsteward.rating.ledger import RatingLedger
from callsteward.record.call import CallbackDecision, Decision
from callsteward.store.message import Announce, nobody
from callsteward.store.tables import callbacks, ratings
from tests.unit.store.samples import RECORD

NOW = 1_795_348_800_000
NUMBER = "+79031234567"
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


class Side:
    """One of the two. `first`: the state in which a row begins; `rings`: the state that lets a phone ring."""

    name: str
    table: Table
    states: type[StrEnum]
    allowed: Mapping[Any, frozenset[Any]]
    open: frozenset[Any]
    first: Any
    rings: Any
    # From the first state to one in which Asterisk has a fence and nothing is open any more.
    way: tuple[Any, ...]
    # The part before a state in the name of its fault point.
    prefix: str

    def ledger(self, engine: AsyncEngine, announce: Announce = nobody, site: str = "main") -> Any:
        raise NotImplementedError

    async def open_(self, ledger: Any, call_id: str, number: str | None = NUMBER) -> Any:
        """The row of a call, None if the call has one already."""
        raise NotImplementedError

    async def move(self, ledger: Any, row: Any, to: StrEnum, at_ms: int = NOW) -> Any:
        """The row after the step, None if the step is not allowed."""
        raise NotImplementedError

    def call_id(self, row: Any) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


class CallbackSide(Side):
    name = "callback"
    table = callbacks
    states = callback_states.CallbackState
    allowed = callback_states.ALLOWED
    open = callback_states.OPEN
    first = callback_states.CallbackState.DUE
    rings = callback_states.CallbackState.OFFERED
    way = (
        callback_states.CallbackState.OFFERED,
        callback_states.CallbackState.DIALLING,
        callback_states.CallbackState.NOT_REACHED,
    )
    prefix = ""

    def ledger(self, engine: AsyncEngine, announce: Announce = nobody, site: str = "main") -> Any:
        return CallbackLedger(engine, site, announce)

    async def open_(self, ledger: Any, call_id: str, number: str | None = NUMBER) -> Any:
        record = msgspec.structs.replace(RECORD, call_id=call_id)
        return await ledger.open(record, DUE, number=number, dropped_ms=NOW, at_ms=NOW)

    async def move(self, ledger: Any, row: Any, to: StrEnum, at_ms: int = NOW) -> Any:
        return await ledger.move(row, to, at_ms=at_ms, asked="101", channel_id="c")

    def call_id(self, row: Any) -> str:
        return str(row.origin_call_id)


class RatingSide(Side):
    name = "rating"
    table = ratings
    states = rating_states.RatingState
    allowed = rating_states.ALLOWED
    open = rating_states.OPEN
    first = rating_states.RatingState.SCHEDULED
    rings = rating_states.RatingState.DIALLING
    way = (rating_states.RatingState.DIALLING, rating_states.RatingState.NOT_REACHED)
    prefix = "rating:"

    def ledger(self, engine: AsyncEngine, announce: Announce = nobody, site: str = "main") -> Any:
        return RatingLedger(engine, site, announce)

    async def open_(self, ledger: Any, call_id: str, number: str | None = NUMBER) -> Any:
        return await ledger.open(
            call_id=call_id,
            mode=rating_states.Mode.CALL,
            line="support",
            operator="101",
            number=number,
            client_masked="+7903***4567",
            client_ref=None,
            at_ms=NOW,
            due_ms=NOW,
        )

    async def move(self, ledger: Any, row: Any, to: StrEnum, at_ms: int = NOW) -> Any:
        return await ledger.move(row, to, at_ms=at_ms, channel_id="c" if to is self.rings else None)

    def call_id(self, row: Any) -> str:
        return str(row.call_id)


SIDES: tuple[Side, ...] = (CallbackSide(), RatingSide())
