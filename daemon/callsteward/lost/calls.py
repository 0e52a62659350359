"""The list of lost calls: nobody answered them, and nobody has dealt with them since.

No contact may go unnoticed: docs/standard.md, `no_contact_lost`. A client who, after a talk, waited for a
second operator in vain is on the list, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BindParameter, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing.contacts import shared
from callsteward.outgoing.words import Met
from callsteward.record.call import SPOKEN_TO, CallRecord, Direction, Outcome, ms_of
from callsteward.record.facts import CallEnded, Fact
from callsteward.store.direct import Sql, along, read, write
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.prepared import Prepared
from callsteward.store.stored import RECORD, all_readable, record_in
from callsteward.store.tables import calls, client_contacts, lost_calls, lost_calls_settled

_UNANSWERED = frozenset(
    {Outcome.ABANDONED, Outcome.SHORT_ABANDONED, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED}
)
_WITH_CLIENTS = frozenset({Direction.INBOUND, Direction.OUTBOUND, Direction.CALLBACK})
TALK = "talk"
"""`settled_by` of a call whose client has been spoken to since; the comment names that call."""


class _Lost(NamedTuple):
    """A call on the list."""

    call_id: str
    number: str | None
    client_ref: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class _Ended:
    """A call that ended: a talk with a client, or a call that nobody answered."""

    record: CallRecord
    at_ms: int
    number: str | None

    @property
    def is_talk(self) -> bool:
        return self.record.outcome in SPOKEN_TO

    @property
    def is_lost(self) -> bool:
        return self.record.outcome in _UNANSWERED or self.record.left_waiting_s is not None

    def is_after(self, lost: _Lost) -> bool:
        """True if this talk was with the client of the lost call, and later than it."""
        same_number = self.number is not None and self.number == lost.number
        same_client = self.record.client_ref is not None and self.record.client_ref == lost.client_ref
        return lost.at_ms < self.at_ms and (same_number or same_client)


def _one_of(name: str) -> BindParameter[list[str]]:
    return bindparam(name, expanding=True)


_MET = Prepared(
    select(*(lost_calls.c[name] for name in _Lost._fields))
    .where(
        lost_calls.c.site == bindparam("site"),
        or_(
            lost_calls.c.call_id.in_(_one_of("ids")),
            lost_calls.c.number.in_(_one_of("numbers")),
            lost_calls.c.client_ref.in_(_one_of("refs")),
        ),
    )
    .order_by(lost_calls.c.id)
)
_SETTLED = Prepared(
    select(lost_calls_settled.c.call_id).where(
        lost_calls_settled.c.site == bindparam("site"), lost_calls_settled.c.call_id.in_(_one_of("ids"))
    )
)
_OFF = Prepared(
    delete(lost_calls).where(
        lost_calls.c.site == bindparam("off_site"), lost_calls.c.call_id.in_(_one_of("ids"))
    )
)
# Clients of calls on the list whom another site has spoken to since.
_ELSEWHERE = Prepared(
    select(
        lost_calls.c.call_id, client_contacts.c.call_id.label("talk"), client_contacts.c.site.label("other")
    )
    .join(client_contacts, client_contacts.c.number == lost_calls.c.number)
    .where(
        lost_calls.c.site == bindparam("site"),
        client_contacts.c.site != bindparam("own"),
        client_contacts.c.reason == Met.SPOKEN_TO.value,
        client_contacts.c.at_ms > lost_calls.c.at_ms,
    )
    .order_by(client_contacts.c.at_ms)
)
_COUNTS = Prepared(
    select(lost_calls.c.line, func.count())
    .where(lost_calls.c.site == bindparam("site"))
    .group_by(lost_calls.c.line)
)


class LostCalls:
    """The list of one site. Every method raises StoreError when the database fails.

    A call leaves the list when an operator talks with its client, in whichever direction, or when somebody
    settles it with a comment. A client is recognised by their number, which is deleted with the row.
    """

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        once = ["site", "call_id"]
        self._add = Prepared(
            insert_into(engine, lost_calls).on_conflict_do_nothing(index_elements=once),
            (*once, "line", *(name for name in _Lost._fields if name != "call_id")),
        )
        self._settle = Prepared(
            insert_into(engine, lost_calls_settled).on_conflict_do_nothing(index_elements=once),
            (*once, "at_ms", "settled_by", "comment"),
        )

    def note(
        self,
        facts: Sequence[Fact],
        e164: Callable[[str], str | None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take calls that ended into account, in their order, in the transaction that stores their records.

        `e164` makes a number E.164; `changed` is called once a call is lost or settled. A call that is noted
        again, when a journal is run again, changes nothing.
        """
        ended = _those_that_count(facts, e164)
        if ended:
            along(self._engine, lambda sql: self._write(sql, ended), lambda new: changed() if new else None)

    def _write(self, sql: Sql, ended: Sequence[_Ended]) -> bool:
        """A fixed number of statements, however many calls ended together."""
        there = self._met(sql, ended)
        if not there and not any(call.is_lost for call in ended):
            return False  # the usual case
        known = {row.call_id for row in there} | self._settled(sql, ended)
        new: list[_Lost] = []
        closed: dict[str, str] = {}
        for call in ended:
            if call.is_talk:
                same = [row for row in (*there, *new) if call.is_after(row) and row.call_id not in closed]
                closed |= dict.fromkeys((row.call_id for row in same), call.record.call_id)
            if call.is_lost and call.record.call_id not in known:
                known.add(call.record.call_id)
                new.append(_Lost(call.record.call_id, call.number, call.record.client_ref, call.at_ms))
        if new:
            lines = {call.record.call_id: call.record.line for call in ended}
            rows = [
                {"site": self._site, "line": lines[row.call_id], **row._asdict()}
                for row in new
                if row.call_id not in closed
            ]
            if rows:
                sql.many(self._add, rows)
        self._close(sql, {call_id: f"call {talk_id}" for call_id, talk_id in closed.items()}, by=TALK)
        return bool(new or closed)

    def _met(self, sql: Sql, ended: Sequence[_Ended]) -> list[_Lost]:
        """The calls on the list that these concern: the same calls, or earlier ones of a client spoken to."""
        talks = [call for call in ended if call.is_talk]
        about = {
            "site": self._site,
            "ids": sorted(call.record.call_id for call in ended if call.is_lost),
            "numbers": sorted({call.number for call in talks if call.number is not None}),
            "refs": sorted({call.record.client_ref for call in talks if call.record.client_ref is not None}),
        }
        return [_Lost(*row) for row in sql.rows(_MET, about)]

    def _settled(self, sql: Sql, ended: Sequence[_Ended]) -> set[str]:
        """Those of the unanswered calls that have been settled before."""
        ids = [call.record.call_id for call in ended if call.is_lost]
        return {call_id for (call_id,) in sql.rows(_SETTLED, {"site": self._site, "ids": ids})}

    def _close(self, sql: Sql, comments: Mapping[str, str], *, by: str) -> None:
        """Take calls off the list, each with its comment."""
        if not comments:
            return
        now_ms = time.time_ns() // 1_000_000
        rows = [
            {"site": self._site, "call_id": call_id, "at_ms": now_ms, "settled_by": by, "comment": comment}
            for call_id, comment in comments.items()
        ]
        sql.many(self._settle, rows)
        sql.count(_OFF, {"off_site": self._site, "ids": list(comments)})

    async def listed(self, line: str | None = None) -> list[CallRecord]:
        """The lost calls, oldest first."""
        query = (
            select(calls.c.call_id, *RECORD)
            .join(
                lost_calls,
                and_(lost_calls.c.site == calls.c.site, lost_calls.c.call_id == calls.c.call_id),
            )
            .where(lost_calls.c.site == self._site)
            .order_by(lost_calls.c.at_ms, lost_calls.c.id)
        )
        if line is not None:
            query = query.where(lost_calls.c.line == line)
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = await connection.execute(query)
                return list(all_readable((row.call_id, record_in(row)) for row in rows))

    async def counts(self) -> dict[str, int]:
        """The number of calls on the list by line; lines without one are left out."""
        with failing("read"):
            rows = await read(self._engine, lambda sql: sql.rows(_COUNTS, {"site": self._site}))
        return {line: count for line, count in rows}  # noqa: C416  # rows of any kind

    async def settle(self, call_id: str, *, by: str, comment: str) -> bool:
        """Take a call off the list. False if it is not on it."""
        one = Prepared(
            select(lost_calls.c.id).where(lost_calls.c.site == self._site, lost_calls.c.call_id == call_id)
        )

        def work(sql: Sql) -> bool:
            if not sql.rows(one):
                return False
            self._close(sql, {call_id: comment}, by=by)
            return True

        with failing("write to"):
            return await write(self._engine, work)

    async def settle_elsewhere(self) -> int:
        """Take off the list each call whose client has talked with another site since; how many."""
        if not shared(self._engine):
            return 0
        mine = {"site": self._site, "own": self._site}
        with failing("read"):
            talks = await read(self._engine, lambda sql: sql.rows(_ELSEWHERE, mine))
        if not talks:
            return 0
        # The first such talk is named.
        comments = {call_id: f"call {talk} at site {other}" for call_id, talk, other in reversed(talks)}
        with failing("write to"):
            await write(self._engine, lambda sql: self._close(sql, comments, by=TALK))
        return len(comments)

    async def forget_numbers(self, before_ms: int) -> None:
        """Delete the numbers of calls lost before a moment; from then on only a comment can settle them."""
        old = (
            lost_calls.c.site == self._site,
            lost_calls.c.at_ms < before_ms,
            lost_calls.c.number.is_not(None),
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(update(lost_calls).where(*old).values(number=None))


def _those_that_count(facts: Sequence[Fact], read: Callable[[str], str | None]) -> list[_Ended]:
    return [
        _Ended(fact.record, _at_ms(fact.record), read(fact.client_number))
        for fact in facts
        if isinstance(fact, CallEnded) and _counts(fact.record)
    ]


def _counts(record: CallRecord) -> bool:
    if record.outcome in _UNANSWERED:
        return record.direction is Direction.INBOUND
    talked = record.outcome in SPOKEN_TO or record.left_waiting_s is not None
    return talked and record.direction in _WITH_CLIENTS


def _at_ms(record: CallRecord) -> int:
    """The moment the call came; if its start was not observed, the moment it ended."""
    return ms_of(record.started_at or record.ended_at) or 0
