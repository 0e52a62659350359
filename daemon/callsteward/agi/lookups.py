"""The database's knowledge of a caller, in one statement over indices: a dialplan is waiting."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Select, Text, bindparam, exists, literal, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.policy import Reason
from callsteward.callback.states import OPEN, CallbackState
from callsteward.store.engine import failing
from callsteward.store.tables import callbacks, calls, do_not_call

_OPEN = frozenset(state.value for state in OPEN)
# If the client's callback was open when they called again, the daemon cancels it when their channel appears,
# which may be before or after the dialplan asks.
_JUST_CANCELLED_MS = 60_000


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller as the database knows them.

    `callback` is the state of their newest callback while it is open, and `cancelled` if this very call has
    just cancelled it: the client waited for our call and calls again.
    """

    last_operator: str | None = None
    callback: str | None = None
    do_not_call: bool = False


class Lookups:
    """One site's look-ups."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        # Built once: that costs more than running it.
        self._query = _query(site)

    async def caller(self, number: str, client_ref: str | None, *, since_ms: int, now_ms: int) -> Caller:
        """The caller with an E.164 number (`client_ref`: as in the records).

        The last operator is searched for since `since_ms`. Raises StoreError when the database fails.
        """
        values = {"number": number, "client_ref": client_ref, "since_ms": since_ms}
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(self._query, values)).one()
        return Caller(
            last_operator=row.last_operator,
            callback=_told(row.state, row.reason, row.changed_at_ms, now_ms),
            do_not_call=bool(row.listed),
        )


def _query(site: str) -> Select[Any]:
    number = bindparam("number", type_=Text)
    last_operator = (
        select(calls.c.operator)
        .where(
            calls.c.site == site,
            # Without a key there is no reference, and nothing equals NULL.
            calls.c.client_ref == bindparam("client_ref", type_=Text),
            calls.c.at_ms >= bindparam("since_ms", type_=BigInteger),
            calls.c.operator.is_not(None),
        )
        .order_by(calls.c.at_ms.desc())
        .limit(1)
        .scalar_subquery()
    )
    newest = (
        select(callbacks.c.state, callbacks.c.reason, callbacks.c.changed_at_ms)
        .where(callbacks.c.site == site, callbacks.c.number == number)
        .order_by(callbacks.c.created_at_ms.desc(), callbacks.c.id.desc())
        .limit(1)
        .subquery()
    )
    listed = exists().where(do_not_call.c.number == number)
    return select(
        last_operator.label("last_operator"),
        listed.label("listed"),
        newest.c.state,
        newest.c.reason,
        newest.c.changed_at_ms,
    ).select_from(select(literal(1)).subquery().outerjoin(newest, true()))


def _told(state: str | None, reason: str | None, changed_at_ms: int | None, now_ms: int) -> str | None:
    if state in _OPEN:
        return state
    by_this_call = (
        state == CallbackState.CANCELLED.value
        and reason == Reason.CALLED_AGAIN.value
        and changed_at_ms is not None
        and now_ms - changed_at_ms < _JUST_CANCELLED_MS
    )
    return state if by_this_call else None
