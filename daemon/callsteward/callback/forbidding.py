"""The one way onto the do-not-call list: whoever comes onto it has nothing open any more.

The command line, FastAGI, commands and codes all come here. What is not cancelled here (a process was killed
in between, another site shares the database, a call ended at this moment) is found by the daemon that would
carry it out: it asks the list before each dial.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.ledger import Ledger
from callsteward.callback.policy import Reason
from callsteward.callback.states import CANCELLABLE, Actor, CallbackMoved, State
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.rating.ledger import Ledger as Ratings
from callsteward.rating.states import RatingMoved
from callsteward.rating.states import State as RatingState
from callsteward.store.outbox import Announce, nobody

Told = Callable[[CallbackMoved | RatingMoved], None]


class Forbidden(msgspec.Struct, frozen=True):
    """What came of it: numbers that were new on the list, callbacks and rating calls that were cancelled."""

    added: int
    callbacks: int
    ratings: int


class Forbidding:
    """One site's. Every method raises StoreError when the database fails.

    `told` is given what was cancelled, so that a phone that rings for it stops at once.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        site: str,
        *,
        now_ms: Callable[[], int],
        announce: Announce = nobody,
        told: Told = lambda _: None,
    ) -> None:
        self._list = DoNotCall(engine)
        self._callbacks = Ledger(engine, site, announce)
        self._ratings = Ratings(engine, site, announce)
        self._now_ms = now_ms
        self._told = told

    async def add(
        self,
        numbers: Sequence[str],
        *,
        by: str,
        actor: Actor,
        comment: str = "",
        comments: Mapping[str, str] = types.MappingProxyType({}),
    ) -> Forbidden:
        """Put E.164 numbers on the list and cancel what is open for them, also for those who were on it.

        `comments`: what is said of single numbers in place of `comment`.
        """
        added = await self._list.add(numbers, by=by, comment=comment, comments=comments)
        listed = frozenset(numbers)
        return Forbidden(
            added,
            await self._cancel_callbacks(listed, by, actor),
            await self._cancel_ratings(listed),
        )

    async def remove(self, number: str) -> bool:
        """Take a number off the list; whether it was on it. What was cancelled stays cancelled."""
        return await self._list.remove(number)

    async def _cancel_callbacks(self, listed: frozenset[str], by: str, actor: Actor) -> int:
        cancelled = 0
        for callback in await self._callbacks.opened():
            if callback.number not in listed or callback.state not in CANCELLABLE:
                continue
            moved = await self._callbacks.move(
                callback,
                State.CANCELLED,
                actor=actor,
                at_ms=self._now_ms(),
                reason=Reason.DO_NOT_CALL.value,
                evidence=by,
                among=CANCELLABLE,
            )
            if moved is not None:
                cancelled += 1
                self._told(CallbackMoved(moved, actor))
        return cancelled

    async def _cancel_ratings(self, listed: frozenset[str]) -> int:
        cancelled = 0
        for rating in await self._ratings.opened():
            if rating.number not in listed or rating.state is not RatingState.SCHEDULED:
                continue
            moved = await self._ratings.move(
                rating,
                RatingState.SUPPRESSED,
                at_ms=self._now_ms(),
                reason=Reason.DO_NOT_CALL.value,
                among=(RatingState.SCHEDULED,),
            )
            if moved is not None:
                cancelled += 1
                self._told(RatingMoved(moved))
        return cancelled
