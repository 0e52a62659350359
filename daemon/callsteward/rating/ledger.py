"""The ledger of ratings: one row per call whose client is asked, durable before each act.

A step is made from the states it may follow and from no other, so a restart that comes to the same step
again finds it made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward import faults
from callsteward.callback.states import OPEN as OPEN_CALLBACKS
from callsteward.rating.states import ASKED, OPEN, Mode, Rating, RatingMoved, State, sources
from callsteward.record.rating_id import rating_id
from callsteward.store.clauses import one_of
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.outbox import Announce, enqueue, nobody
from callsteward.store.tables import callbacks, do_not_call, ratings

_PAGE = 500
_OVER = frozenset(State) - OPEN

# Made once, as `one_of` is.
_ONE_MORE = ratings.c.attempts + 1
_FORBIDDEN = exists().where(do_not_call.c.number == ratings.c.number)
_NOT_FORBIDDEN = ~_FORBIDDEN


class Ledger:
    """One site's ratings. Every method raises StoreError when the database fails.

    `announce` makes the messages that a step is told with; they are stored in the step's transaction.
    """

    def __init__(self, engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        self._engine = engine
        self._site = site
        self._announce = announce
        self._insert = insert_into(engine, ratings).on_conflict_do_nothing(index_elements=["site", "call_id"])

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
    ) -> Rating | None:
        """Write down that a call's client is asked now, or with `due_ms` is called then.

        None where the call has its rating already: nobody is asked twice.
        """
        scheduled = due_ms is not None
        state = State.SCHEDULED if scheduled else State.ASKING
        values = {
            "site": self._site,
            "call_id": call_id,
            "rating_id": rating_id(call_id),
            "mode": mode.value,
            "line": line,
            "operator": operator,
            "number": number,
            "client_masked": client_masked,
            "client_ref": client_ref,
            "state": state.value,
            "reason": "",
            "created_at_ms": at_ms,
            "due_at_ms": at_ms if due_ms is None else due_ms,
            "asked_at_ms": None if scheduled else at_ms,
            "changed_at_ms": at_ms,
            "attempts": 0,
        }
        faults.reached(f"before:rating:{state.value}")
        with failing("write to"):
            async with writing(self._engine) as connection:
                row = (
                    await connection.execute(self._insert.values(**values).returning(*ratings.c))
                ).one_or_none()
                rating = await self._told(connection, row)
        faults.reached(f"after:rating:{state.value}")
        return rating

    async def move(
        self,
        rating: Rating,
        to: State,
        *,
        at_ms: int,
        reason: str = "",
        among: Collection[State] | None = None,
        channel_id: str | None = None,
    ) -> Rating | None:
        """Make a step, durably; None where the rating is in no state it may follow.

        `channel_id` begins a rating call, which no client on the do-not-call list gets: the list is read in
        the transaction that allows it. The answer is not a step of its own: see `keep`.
        """
        allowed = sources(to) if among is None else sources(to) & frozenset(among)
        changes: dict[str, Any] = {"state": to.value, "reason": reason, "changed_at_ms": at_ms}
        if to is State.DIALLING:
            changes |= {"attempts": _ONE_MORE, "channel_id": channel_id}
        elif to is State.ASKING:
            changes["asked_at_ms"] = at_ms
        return await self._change(rating, allowed, changes)

    async def keep(
        self,
        rating: Rating,
        *,
        at_ms: int,
        score: int | None = None,
        question: int | None = None,
        comment_file: str | None = None,
        comment_ms: int | None = None,
    ) -> Rating | None:
        """Write an answer down. The first score stays; None where it does."""
        changes: dict[str, Any] = {"changed_at_ms": at_ms}
        if score is not None:
            changes |= {
                "state": State.ANSWERED.value,
                "reason": "",
                "score": score,
                "answered_at_ms": at_ms,
            }
            return await self._change(rating, sources(State.ANSWERED), changes)
        if question is not None:
            changes["question"] = question
        if comment_file is not None:
            changes |= {"comment_file": comment_file, "comment_ms": comment_ms}
        return await self._change(rating, {State.ANSWERED}, changes)

    async def _change(
        self, rating: Rating, allowed: Collection[State], changes: dict[str, Any]
    ) -> Rating | None:
        where: tuple[ColumnElement[bool], ...] = (
            ratings.c.site == self._site,
            ratings.c.call_id == rating.call_id,
            one_of(ratings.c.state, allowed),
        )
        if "channel_id" in changes:
            where = (*where, _NOT_FORBIDDEN)
        name = changes.get("state", "kept")
        faults.reached(f"before:rating:{name}")
        with failing("write to"):
            async with writing(self._engine) as connection:
                row = (
                    await connection.execute(
                        update(ratings).where(*where).values(**changes).returning(*ratings.c)
                    )
                ).one_or_none()
                after = await self._told(connection, row)
        if after is not None:
            faults.reached(f"after:rating:{name}")
        return after

    async def _told(self, connection: AsyncConnection, row: Row[Any] | None) -> Rating | None:
        """What a row says now, with the message that tells it put into the outbox."""
        if row is None:
            return None
        rating = _rating(row)
        await enqueue(connection, self._announce(RatingMoved(rating)))
        return rating

    async def of_call(self, call_id: str) -> Rating | None:
        """The rating of a call, None where its client was not asked."""
        return next(iter(await self._read(self._mine().where(ratings.c.call_id == call_id))), None)

    async def find(self, name: str) -> Rating | None:
        """A rating by its id or by the call it is about."""
        query = self._mine().where((ratings.c.rating_id == name) | (ratings.c.call_id == name))
        return next(iter(await self._read(query)), None)

    async def opened(self) -> list[Rating]:
        """Rating calls that are to be made or under way, the one due first first."""
        query = self._mine().where(one_of(ratings.c.state, OPEN))
        return await self._read(query.order_by(ratings.c.due_at_ms, ratings.c.id))

    async def forbidden(self) -> list[Rating]:
        """Rating calls to be made or under way to clients who are on the do-not-call list."""
        return await self._read(self._mine().where(one_of(ratings.c.state, OPEN), _FORBIDDEN))

    async def asking(self) -> list[Rating]:
        """Ratings whose client is in the menu, or was when a daemon died."""
        return await self._read(self._mine().where(ratings.c.state == State.ASKING.value))

    async def between(
        self, from_ms: int | None, to_ms: int | None, *, line: str | None = None
    ) -> list[Rating]:
        """Ratings of calls that ended in [from_ms, to_ms), oldest first."""
        query = self._mine().order_by(ratings.c.id)
        if from_ms is not None:
            query = query.where(ratings.c.created_at_ms >= from_ms)
        if to_ms is not None:
            query = query.where(ratings.c.created_at_ms < to_ms)
        if line is not None:
            query = query.where(ratings.c.line == line)
        return await self._read(query)

    async def changed(self, from_ms: int, to_ms: int, *, line: str | None = None) -> AsyncIterator[Rating]:
        """Ratings whose last step was made in [from_ms, to_ms), in the order of those."""
        query = self._mine().where(ratings.c.changed_at_ms >= from_ms, ratings.c.changed_at_ms < to_ms)
        if line is not None:
            query = query.where(ratings.c.line == line)
        place = tuple_(ratings.c.changed_at_ms, ratings.c.id)
        query = query.order_by(ratings.c.changed_at_ms, ratings.c.id).limit(_PAGE)
        after = (from_ms, 0)
        while True:
            with failing("read"):
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(query.where(place > after))).all()
            for row in rows:
                yield _rating(row)
            if len(rows) < _PAGE:
                return
            after = (rows[-1].changed_at_ms, rows[-1].id)

    async def last_asked_ms(self, *, number: str | None, client_ref: str | None, but: str) -> int | None:
        """When a client was last asked, or is going to be; None for never. `but`: not by this call."""
        known = []
        if number is not None:
            known.append(ratings.c.number == number)
        if client_ref is not None:
            known.append(ratings.c.client_ref == client_ref)
        if not known:
            return None
        query = select(func.max(ratings.c.created_at_ms)).where(
            ratings.c.site == self._site,
            ratings.c.call_id != but,
            one_of(ratings.c.state, ASKED | OPEN),
            or_(*known),
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                last: int | None = (await connection.execute(query)).scalar_one()
        return last

    async def callback_open(self, number: str | None) -> bool:
        """Whether a callback to the number is due or under way."""
        if number is None:
            return False
        query = (
            select(callbacks.c.id)
            .where(
                callbacks.c.site == self._site,
                callbacks.c.number == number,
                one_of(callbacks.c.state, OPEN_CALLBACKS),
            )
            .limit(1)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).first() is not None

    async def forget_numbers(self, before_ms: int) -> None:
        """Takes the number out of every rating that was over by then."""
        where = (
            ratings.c.site == self._site,
            ratings.c.changed_at_ms < before_ms,
            one_of(ratings.c.state, _OVER),
            ratings.c.number.is_not(None),
        )
        await self._set(*where, number=None)

    async def kept_until(self, before_ms: int, *, after: str = "", limit: int) -> list[Rating]:
        """Ratings over by then of which Asterisk may still have comment or fence, by call from `after` on."""
        query = self._mine().where(
            ratings.c.call_id > after,
            ratings.c.changed_at_ms < before_ms,
            one_of(ratings.c.state, _OVER),
            or_(
                ratings.c.comment_file.is_not(None),
                # A client whom no rating call was made to has no fence.
                and_(ratings.c.attempts > 0, ratings.c.fence_gone_at_ms.is_(None)),
            ),
        )
        return await self._read(query.order_by(ratings.c.call_id).limit(limit))

    async def comment_gone(self, rating: Rating) -> None:
        """Asterisk has no recording of a rating's comment any more."""
        await self._set(ratings.c.site == self._site, ratings.c.call_id == rating.call_id, comment_file=None)

    async def fence_gone(self, rating: Rating, at_ms: int) -> None:
        """Asterisk says that it has no fence of a rating any more."""
        await self._set(
            ratings.c.site == self._site, ratings.c.call_id == rating.call_id, fence_gone_at_ms=at_ms
        )

    async def _set(self, *where: ColumnElement[bool], **values: object) -> None:
        """Change rows without a step: nothing of it is told."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(update(ratings).where(*where).values(**values))

    def _mine(self) -> Select[Any]:
        return select(ratings).where(ratings.c.site == self._site)

    async def _read(self, query: Select[Any]) -> list[Rating]:
        with failing("read"):
            async with self._engine.connect() as connection:
                return [_rating(row) for row in await connection.execute(query)]


def _rating(row: Row[Any]) -> Rating:
    return Rating(
        id=row.rating_id,
        site=row.site,
        call_id=row.call_id,
        mode=Mode(row.mode),
        line=row.line,
        operator=row.operator,
        number=row.number,
        client_masked=row.client_masked,
        client_ref=row.client_ref,
        state=State(row.state),
        reason=row.reason,
        score=row.score,
        question=row.question,
        comment_file=row.comment_file,
        comment_ms=row.comment_ms,
        created_at_ms=row.created_at_ms,
        due_at_ms=row.due_at_ms,
        asked_at_ms=row.asked_at_ms,
        answered_at_ms=row.answered_at_ms,
        changed_at_ms=row.changed_at_ms,
        attempts=row.attempts,
        channel_id=row.channel_id,
        fence_gone_at_ms=row.fence_gone_at_ms,
    )
