"""The tags that were given, and what is needed to give one to a call that is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.clock import DAY_MS
from callsteward.record.call import AttemptResult, CallbackDecision, CallRecord, Decision, ms_of
from callsteward.record.facts import CallTagged
from callsteward.record.tag import Given, Tag
from callsteward.store.direct import Sql, along, flush, read
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.prepared import Prepared
from callsteward.store.stored import RECORD, all_readable, readable, record_in
from callsteward.store.tables import call_clients, call_tags, callbacks, calls, client_contacts

# No call that an operator may still tag began longer ago.
_LONGEST_CALL_MS = DAY_MS
# Calls asked for in one query: SQLite's older limit of variables is 999.
_AT_ONCE = 500


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A tag as the table has it."""

    site: str
    call_id: str
    tag: str
    value: str
    at_ms: int
    given_by: str
    source: str
    result: str


class TagBook:
    """One site's tags. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._tag = insert_into(engine, call_tags).on_conflict_do_nothing(
            index_elements=["site", "call_id", "tag", "value"]
        )
        self._client = Prepared(
            insert_into(engine, call_clients).on_conflict_do_nothing(index_elements=["site", "call_id"]),
            [column.name for column in call_clients.columns],
        )
        self._of = Prepared(
            self._mine().where(call_tags.c.call_id == bindparam("call")).order_by(call_tags.c.id)
        )

    async def add(self, fact: CallTagged, given: Given) -> bool:
        """Write a tag down; whether it is new."""
        row = {
            "site": self._site,
            "call_id": fact.call_id,
            "tag": given.tag.value,
            "value": given.value,
            "at_ms": fact.at_ms,
            "given_by": fact.by,
            "source": fact.source.value,
            "result": fact.result,
        }
        with failing("write to"):
            async with writing(self._engine) as connection:
                added = await connection.execute(self._tag.values(row).returning(call_tags.c.id))
                return added.first() is not None

    async def find(self, call_id: str, given: Given) -> Kept | None:
        """A tag that was given already."""
        return next(
            (item for item in await self.of(call_id) if (item.tag, item.value) == (given.tag, given.value)),
            None,
        )

    async def of(self, call_id: str) -> list[Kept]:
        """The tags of a call, oldest first."""
        with failing("read"):
            return await read(self._engine, lambda sql: self._of_in(sql, call_id))

    def names_in(self, sql: Sql, call_id: str) -> frozenset[str]:
        """The names of a call's tags, in a piece of work (`store.direct`)."""
        return frozenset(kept.tag for kept in self._of_in(sql, call_id))

    def _of_in(self, sql: Sql, call_id: str) -> list[Kept]:
        rows = sql.rows(self._of, {"call": call_id})
        return [Kept(**dict(zip(Kept.__struct_fields__, row, strict=True))) for row in rows]

    async def listed(
        self, call_id: str | None = None, tag: Tag | None = None, limit: int = 100
    ) -> list[Kept]:
        """Tags, the latest first."""
        query = self._mine().order_by(call_tags.c.id.desc()).limit(limit)
        if call_id is not None:
            query = query.where(call_tags.c.call_id == call_id)
        if tag is not None:
            query = query.where(call_tags.c.tag == tag.value)
        return await self._kept(query)

    def _mine(self) -> Select[Any]:
        columns = [call_tags.c[name] for name in Kept.__struct_fields__]
        return select(*columns).where(call_tags.c.site == self._site)

    async def _kept(self, query: Select[Any]) -> list[Kept]:
        with failing("read"):
            async with self._engine.connect() as connection:
                return [Kept(**row) for row in (await connection.execute(query)).mappings()]

    async def has(self, call_id: str, tag: Tag) -> bool:
        return any(item.tag == tag.value for item in await self.of(call_id))

    # --- calls that are over ---------------------------------------------------------------------------

    def remember(self, ended: Sequence[tuple[CallRecord, str]]) -> None:
        """Keep E.164 numbers beside the calls they belong to, until `forget`.

        They are stored in the next transaction, which is that of the calls' records; if a number is asked for
        before, they are stored first.
        """
        rows = []
        for record, number in ended:
            ended_ms = ms_of(record.ended_at or record.started_at)
            if ended_ms is not None:
                rows.append(
                    {
                        "site": self._site,
                        "call_id": record.call_id,
                        "number": number,
                        "started_at_ms": ms_of(record.started_at) or ended_ms,
                        "ended_at_ms": ended_ms,
                    }
                )
        if rows:
            along(self._engine, lambda sql: sql.many(self._client, rows))

    async def number(self, call_id: str) -> str:
        """The client's number of a call, empty where it is not kept (any more)."""
        await self._stored()
        query = select(call_clients.c.number).where(
            call_clients.c.site == self._site, call_clients.c.call_id == call_id
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).scalar_one_or_none() or ""

    async def spoken_since(self, call_id: str, number: str) -> bool:
        """True if the client has had another call after this one began, also at another site."""
        await self._stored()
        this = select(call_clients.c.started_at_ms).where(
            call_clients.c.site == self._site, call_clients.c.call_id == call_id
        )
        here = exists().where(
            call_clients.c.site == self._site,
            call_clients.c.number == number,
            call_clients.c.call_id != call_id,
            call_clients.c.started_at_ms > this.scalar_subquery(),
        )
        elsewhere = exists().where(
            client_contacts.c.site != self._site,
            client_contacts.c.number == number,
            client_contacts.c.at_ms > this.scalar_subquery(),
        )
        query = select(or_(here, elsewhere))
        with failing("read"):
            async with self._engine.connect() as connection:
                return bool((await connection.execute(query)).scalar_one())

    async def _stored(self) -> None:
        with failing("write to"):
            await flush(self._engine)

    async def record(self, call_id: str) -> CallRecord | None:
        """The record of a call."""
        query = select(*RECORD).where(calls.c.site == self._site, calls.c.call_id == call_id)
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        return None if row is None else readable(call_id, record_in(row))

    async def decided_later(self, call_ids: Sequence[str]) -> dict[str, CallbackDecision]:
        """The decisions in the ledger for these calls. One that differs from the record was made after it."""
        found: dict[str, CallbackDecision] = {}
        for start in range(0, len(call_ids), _AT_ONCE):
            query = select(
                callbacks.c.origin_call_id, callbacks.c.decision, callbacks.c.decision_reason
            ).where(
                callbacks.c.site == self._site,
                callbacks.c.origin_call_id.in_(call_ids[start : start + _AT_ONCE]),
            )
            with failing("read"):
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(query)).all()
            for row in rows:
                decision = CallbackDecision(Decision(row.decision), row.decision_reason)
                found[row.origin_call_id] = decision
        return found

    async def last_of(self, operator: str, since_ms: int) -> CallRecord | None:
        """The operator's last call that ended since then, for a daemon that has not seen it itself."""
        query = (
            select(calls.c.call_id, *RECORD)
            .where(
                calls.c.site == self._site,
                calls.c.at_ms >= since_ms - _LONGEST_CALL_MS,
                calls.c.ended_at_ms >= since_ms,
            )
            .order_by(calls.c.ended_at_ms.desc(), calls.c.id.desc())
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        # Whose phone rang is in the record alone: a database cannot look into packed ones.
        named = b'"operator":' + msgspec.json.encode(operator)
        found = all_readable(((row.call_id, record_in(row)) for row in rows), having=named)
        return next((record for record in found if _took_part(record, operator)), None)

    async def forget(self, before_ms: int) -> int:
        """Take out the numbers of calls that ended before; how many there were."""
        query = delete(call_clients).where(
            call_clients.c.site == self._site, call_clients.c.ended_at_ms < before_ms
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                return int((await connection.execute(query)).rowcount)


def _took_part(record: CallRecord, operator: str) -> bool:
    """True if an operator talked in a call: a phone that only rang does not count."""
    return record.operator == operator or record.rang(operator, {AttemptResult.ANSWERED}) > 0
