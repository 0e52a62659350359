"""What the database knows about a caller, each answered by one indexed row: a dialplan is waiting."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.policy import Reason
from callsteward.callback.states import OPEN, State
from callsteward.store.engine import failing
from callsteward.store.tables import callbacks, calls

_OPEN = frozenset(state.value for state in OPEN)
# A client whose callback was open when they called again: the daemon cancels it when their channel
# appears, which may be before or after the dialplan asks.
_JUST_CANCELLED_MS = 60_000


class Lookups:
    """One site's look-ups. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site

    async def last_operator(self, client_ref: str | None, since_ms: int) -> str | None:
        """Who talked last with the client (`client_ref` of the record) in a call since then."""
        if client_ref is None:
            return None
        query = (
            select(calls.c.operator)
            .where(
                calls.c.site == self._site,
                calls.c.client_ref == client_ref,
                calls.c.at_ms >= since_ms,
                calls.c.operator.is_not(None),
            )
            .order_by(calls.c.at_ms.desc())
            .limit(1)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).scalar_one_or_none()

    async def open_callback(self, number: str, now_ms: int) -> str | None:
        """The state of the number's newest callback (E.164) while it is open; None for none.

        `cancelled` where this very call has just cancelled it: the client waited for us and calls again.
        """
        query = (
            select(callbacks.c.state, callbacks.c.reason, callbacks.c.changed_at_ms)
            .where(callbacks.c.site == self._site, callbacks.c.number == number)
            .order_by(callbacks.c.created_at_ms.desc(), callbacks.c.id.desc())
            .limit(1)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.state in _OPEN:
            return str(row.state)
        just_now = (
            row.state == State.CANCELLED.value
            and row.reason == Reason.CALLED_AGAIN.value
            and now_ms - row.changed_at_ms < _JUST_CANCELLED_MS
        )
        return State.CANCELLED.value if just_now else None
