"""The ledger of ratings: one row per call whose client is asked, with the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Text, bindparam, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing import ledger
from callsteward.outgoing.plan import Plan, sources
from callsteward.outgoing.words import Actor
from callsteward.rating.states import ALLOWED, ASKED, OPEN, Mode, RatingMoved, RatingRow, RatingState
from callsteward.record.rating_id import rating_id
from callsteward.store.clauses import one_of
from callsteward.store.direct import Sql
from callsteward.store.engine import failing
from callsteward.store.message import Announce, nobody
from callsteward.store.prepared import Prepared
from callsteward.store.tables import ratings

_PAGE = 500


def _moved(rating: RatingRow, _actor: Actor) -> RatingMoved:
    return RatingMoved(rating)


def _asked(to: RatingState, at_ms: int) -> Mapping[str, Any]:
    return {"asked_at_ms": at_ms} if to is RatingState.ASKING else {}


PLAN = Plan(
    what="rating calls",
    kind="rating",
    table=ratings,
    call="call_id",
    name="rating_id",
    order=(ratings.c.due_at_ms, ratings.c.id),
    row=RatingRow,
    fact=_moved,
    states=RatingState,
    allowed=ALLOWED,
    open=OPEN,
    under_way=frozenset({RatingState.DIALLING}),
    later=frozenset({RatingState.ASKING}),
    rings=RatingState.DIALLING,
    stopped=RatingState.SUPPRESSED,
    stoppable=frozenset({RatingState.SCHEDULED}),
    cancelled="not_dialled",
    also=_asked,
    kept=ratings.c.comment_file.is_not(None),
    prefix="rating:",
)


class RatingLedger(ledger.Ledger[RatingRow, RatingState]):
    """One site's ratings."""

    def __init__(self, engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        super().__init__(PLAN, engine, site, announce)
        # Nothing equals NULL: a client without a number is known by the reference alone, and the other way.
        self._last_asked = Prepared(
            select(func.max(ratings.c.created_at_ms)).where(
                # At whichever site with the same database: it is one client.
                or_(ratings.c.site != site, ratings.c.call_id != bindparam("but")),
                one_of(ratings.c.state, ASKED | OPEN),
                or_(
                    ratings.c.number == bindparam("number", type_=Text),
                    ratings.c.client_ref == bindparam("client_ref", type_=Text),
                ),
            )
        )

    async def open(
        self,
        *,
        call_id: str,
        mode: Mode,
        line: str,
        operator: str | None,
        number: str | None,
        client_masked: str | None,
        client_ref: str | None,
        at_ms: int,
        due_ms: int | None = None,
    ) -> RatingRow | None:
        """Write down that a call's client is being asked, or with `due_ms` that they will be called then.

        None if the call has its rating already: no client is asked twice about a call.
        """
        values = {
            "call_id": call_id,
            "rating_id": rating_id(call_id),
            "mode": mode.value,
            "line": line,
            "operator": operator,
            "number": number,
            "client_masked": client_masked,
            "client_ref": client_ref,
            "reason": "",
            "created_at_ms": at_ms,
            "due_at_ms": at_ms if due_ms is None else due_ms,
            "asked_at_ms": at_ms if due_ms is None else None,
            "changed_at_ms": at_ms,
        }
        return await self._open(RatingState.ASKING if due_ms is None else RatingState.SCHEDULED, values)

    async def keep(
        self,
        rating: RatingRow,
        *,
        at_ms: int,
        score: int | None = None,
        question: int | None = None,
        comment_file: str | None = None,
        comment_ms: int | None = None,
    ) -> RatingRow | None:
        """Write an answer down. None for a second score: the first one stays."""
        changes: dict[str, Any] = {"changed_at_ms": at_ms}
        if score is not None:
            changes |= {
                "state": RatingState.ANSWERED.value,
                "reason": "",
                "score": score,
                "answered_at_ms": at_ms,
            }
            return await self._change(
                rating, RatingState.ANSWERED, sources(ALLOWED, RatingState.ANSWERED), changes
            )
        if question is not None:
            changes["question"] = question
        if comment_file is not None:
            changes |= {"comment_file": comment_file, "comment_ms": comment_ms}
        return await self._change(rating, None, {RatingState.ANSWERED}, changes)

    async def asking(self) -> list[RatingRow]:
        """Ratings whose client is in the menu, or was in it when a daemon died."""
        return await self._read(self._mine().where(ratings.c.state == RatingState.ASKING.value))

    async def of_calls(self, call_ids: Sequence[str]) -> list[RatingRow]:
        """The ratings of these calls."""
        found: list[RatingRow] = []
        for start in range(0, len(call_ids), _PAGE):
            some = call_ids[start : start + _PAGE]
            found += await self._read(self._mine().where(ratings.c.call_id.in_(some)))
        return found

    async def changed(self, from_ms: int, to_ms: int, *, line: str | None = None) -> AsyncIterator[RatingRow]:
        """Ratings whose last step was made in [from_ms, to_ms), in the order of these steps."""
        query = self._mine().where(ratings.c.changed_at_ms >= from_ms, ratings.c.changed_at_ms < to_ms)
        if line is not None:
            query = query.where(ratings.c.line == line)
        place = tuple_(ratings.c.changed_at_ms, ratings.c.id)
        query = query.order_by(ratings.c.changed_at_ms, ratings.c.id).limit(_PAGE)
        after = (from_ms, 0)
        while True:
            with failing("read"):
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(query.where(place > after))).mappings().all()
            for row in rows:
                yield self.plan.read(row)
            if len(rows) < _PAGE:
                return
            after = (rows[-1]["changed_at_ms"], rows[-1]["id"])

    def last_asked_in(self, sql: Sql, *, number: str | None, client_ref: str | None, but: str) -> int | None:
        """When a client was last asked, or will be, at any site with the same database; None for never.

        `but`: a call of this site that does not count. In a piece of work (`store.direct`).
        """
        if number is None and client_ref is None:
            return None
        values = {"but": but, "number": number, "client_ref": client_ref}
        ((last,),) = sql.rows(self._last_asked, values)
        return None if last is None else int(last)

    async def comment_gone(self, rating: RatingRow) -> None:
        """Asterisk has no recording of a rating's comment any more."""
        await self._set(*self._one(rating), comment_file=None)
