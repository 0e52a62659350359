"""Calls that nobody answered and nobody has dealt with since: no contact may go unnoticed (standard.md)."""

from __future__ import annotations

import time

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.calls.record import CallRecord, Direction, Outcome
from callsteward.store.engine import failing, writing
from callsteward.store.records import decode
from callsteward.store.tables import calls, lost_calls_settled

_UNANSWERED = tuple(
    outcome.value
    for outcome in (
        Outcome.ABANDONED,
        Outcome.SHORT_ABANDONED,
        Outcome.BUSY,
        Outcome.NO_ANSWER,
        Outcome.FAILED,
    )
)


class LostCalls:
    """The list of one site. Every method raises StoreError when the database fails.

    A call leaves it when the same client (`client_ref`, so it takes privacy.hmac_key) has been spoken to
    since, in whichever direction, or when somebody settles it with a comment.
    """

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site

    async def listed(self, line: str | None = None) -> list[CallRecord]:
        """Lost calls, the one that waits longest first."""
        later = calls.alias("later")
        spoken_to = exists().where(
            later.c.client_ref == calls.c.client_ref,
            later.c.at_ms > calls.c.at_ms,
            later.c.answered_at_ms.is_not(None),
        )
        settled = exists().where(
            lost_calls_settled.c.site == calls.c.site, lost_calls_settled.c.call_id == calls.c.call_id
        )
        query = (
            select(calls.c.record)
            .where(
                calls.c.site == self._site,
                calls.c.direction == Direction.INBOUND.value,
                calls.c.outcome.in_(_UNANSWERED),
                ~spoken_to,
                ~settled,
            )
            .order_by(calls.c.at_ms, calls.c.id)
        )
        if line is not None:
            query = query.where(calls.c.line == line)
        with failing("read"):
            async with self._engine.connect() as connection:
                return [decode(row.record) for row in await connection.execute(query)]

    async def settle(self, call_id: str, *, by: str, comment: str) -> bool:
        """Take a call off the list; False where it is not on it."""
        if all(record.call_id != call_id for record in await self.listed()):
            return False
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(
                    lost_calls_settled.insert().values(
                        site=self._site,
                        call_id=call_id,
                        at_ms=time.time_ns() // 1_000_000,
                        settled_by=by,
                        comment=comment,
                    )
                )
        return True
