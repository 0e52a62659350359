"""The one way onto the do-not-call list: it also cancels all open calls to the client.

The command line, FastAGI, commands and codes all use it. A call that is not cancelled here (a process was
killed in between, another site shares the database, a call ended at this moment) is stopped by the daemon
that would make it: it reads the list before each dial.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.ledger import Ledger
from callsteward.outgoing.plan import Plan
from callsteward.outgoing.words import Actor, Against
from callsteward.store.message import Announce, nobody


class Forbidden(msgspec.Struct, frozen=True):
    """The result: how many numbers were new on the list, and how many calls of each kind were cancelled."""

    added: int
    cancelled: Mapping[str, int] = {}


class Forbidding:
    """For one site. Every method raises StoreError when the database fails.

    `plans`: the kinds of calls that are cancelled; `announce` makes their messages for the outbox.
    `told` gets the fact of each cancelled call, so that a phone that rings for it stops at once.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        site: str,
        *,
        now_ms: Callable[[], int],
        plans: Sequence[Plan[Any, Any]],
        announce: Announce = nobody,
        told: Callable[[object], None] = lambda _: None,
    ) -> None:
        self._list = DoNotCall(engine)
        self.plans = plans
        self._ledgers = [(plan, Ledger(plan, engine, site, announce)) for plan in plans]
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
        """Put E.164 numbers on the list and cancel open calls to them, even if they were on it before.

        `comments`: comments of single numbers, in place of `comment`.
        """
        added = await self._list.add(numbers, by=by, comment=comment, comments=comments)
        listed = frozenset(numbers)
        cancelled = {}
        for plan, ledger in self._ledgers:
            open_for_them = [row for row in await ledger.forbidden() if row.number in listed]
            count = 0
            for row in open_for_them:
                moved = await ledger.stop(
                    row,
                    actor=actor,
                    at_ms=self._now_ms(),
                    reason=Against.DO_NOT_CALL.value,
                    evidence=by,
                )
                if moved is not None:
                    count += 1
                    self._told(plan.fact(moved, actor))
            if count:
                cancelled[plan.what] = count
        return Forbidden(added, cancelled)

    async def remove(self, number: str) -> bool:
        """Take a number off the list. False if it was not on it. Cancelled calls stay cancelled."""
        return await self._list.remove(number)
