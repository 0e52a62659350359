"""The standing of clients in the database when it is decided who is asked: read in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.ledger import CallbackLedger
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import RatingRow
from callsteward.store.direct import Sql, read
from callsteward.store.engine import failing

TagsIn = Callable[[Sql, str], frozenset[str]]
"""The tags that a call has at this moment, by its call_id."""


def no_tags(_sql: Sql, _call_id: str) -> frozenset[str]:
    """For a daemon without tags."""
    return frozenset()


class Concerned(NamedTuple):
    """A call, and by what its client is recognised; both None where nothing of the client matters."""

    call_id: str
    number: str | None
    client_ref: str | None = None


class ClientStanding(NamedTuple):
    """`rating`: that of the call. `asked_ms`: when the client was last asked about another one, or will be.

    `callback_pending`: a callback to the client is open, whichever call it comes from.
    """

    rating: RatingRow | None
    tags: frozenset[str]
    callback_pending: bool
    do_not_call: bool
    asked_ms: int | None


class LookUp:
    """One site's. Its method raises StoreError when the database fails."""

    def __init__(
        self, engine: AsyncEngine, site: str, ledger: RatingLedger, tags_in: TagsIn = no_tags
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._callbacks = CallbackLedger(engine, site)
        self._do_not_call = DoNotCall(engine)
        self._tags_in = tags_in

    async def of(self, calls: Sequence[Concerned]) -> list[ClientStanding]:
        """Each client's standing at this moment, in the order of the calls."""
        with failing("read"):
            return await read(self._engine, lambda sql: [self._known(sql, call) for call in calls])

    def _known(self, sql: Sql, call: Concerned) -> ClientStanding:
        return ClientStanding(
            rating=self._ledger.of_call_in(sql, call.call_id),
            tags=self._tags_in(sql, call.call_id),
            callback_pending=self._callbacks.open_to_in(sql, call.number),
            do_not_call=call.number is not None and self._do_not_call.has_in(sql, call.number),
            asked_ms=self._ledger.last_asked_in(
                sql, number=call.number, client_ref=call.client_ref, but=call.call_id
            ),
        )
