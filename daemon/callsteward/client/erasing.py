"""Erasing the data of one client, beside a running daemon.

Open calls to the client are ended by a step of the ledger, which the daemon notices; a row that is being
worked on is left and named. Erasing may be repeated: each statement changes only what is still there, and
the rows by which the client is found go last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, and_, delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.client.found import Found, find, key_of
from callsteward.exceptions import NOT_JSON, StoreError
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.ledger import Ledger
from callsteward.outgoing.plan import Plan
from callsteward.outgoing.words import Actor
from callsteward.rating.ledger import RatingLedger
from callsteward.store.clauses import one_of
from callsteward.store.engine import failing, writing
from callsteward.store.holdings import HOLDINGS, Holding
from callsteward.store.message import Announce
from callsteward.store.packed import pack
from callsteward.store.stored import line_of
from callsteward.store.tables import do_not_call, lost_calls, outbox, ratings

ERASED = "erased"
"""The reason of a callback or rating call that ended because its client was erased."""
_COMMENT = "the client was erased"
_AT_ONCE = 200

Deleted = Callable[[str], Awaitable[str]]
"""Makes Asterisk delete a recording. Returns why it did not, or an empty text."""


class Erasing(msgspec.Struct, kw_only=True):
    """The result of an erasure. `changed`: rows by table; `cancelled`: calls to the client by kind.

    `left`: data that could not be erased now; the same command will erase them later.
    """

    changed: dict[str, int] = {}
    cancelled: dict[str, int] = {}
    left: list[str] = []


class Eraser:
    """For one site. `by`: who erases, for the books."""

    def __init__(
        self,
        engine: AsyncEngine,
        site: str,
        *,
        plans: Sequence[Plan[Any, Any]],
        announce: Announce,
        deleted: Deleted,
        now_ms: Callable[[], int],
        by: str,
        also_do_not_call: bool = False,
    ) -> None:
        self._engine = engine
        self._site = site
        self._plans = plans
        self._announce = announce
        self._deleted = deleted
        self._now_ms = now_ms
        self._by = by
        self._also_do_not_call = also_do_not_call

    async def erase(self, found: Found) -> Erasing:
        """Erase what was found. Raises StoreError; may be asked again."""
        done = Erasing()
        for plan in self._plans:
            count = await self._stop(plan, found)
            if count:
                done.cancelled[plan.what] = count
        kept = await self._comments(found)
        if kept:
            why = ", ".join(sorted(set(kept)))
            done.left.append(
                f"spoken comments that Asterisk did not delete: {len(kept)} ({why}); run this again"
            )
        # The message of a step that was just made waits for the broker, too.
        found = await find(self._engine, self._site, found.numbers, found.refs)
        for holding in HOLDINGS:
            count = await self._erase(holding, found)
            if count:
                done.changed[holding.name] = count
        done.left += await self._busy(found)
        return done

    async def _stop(self, plan: Plan[Any, Any], found: Found) -> int:
        ledger = Ledger(plan, self._engine, self._site, self._announce)
        mine = {row[plan.call] for row in found.rows.get(plan.table.name, ())}
        count = 0
        for row in await ledger.opened():
            if ledger.call_of(row) not in mine:
                continue
            stopped = await ledger.stop(
                row, actor=Actor.ADMIN, at_ms=self._now_ms(), reason=ERASED, evidence=self._by
            )
            count += stopped is not None
        return count

    async def _comments(self, found: Found) -> list[str]:
        """Delete the spoken comments. Returns the reason for each that Asterisk still has."""
        ledger = RatingLedger(self._engine, self._site)
        kept = []
        for row in found.rows.get(ratings.name, ()):
            if row["comment_file"] is None:
                continue
            rating = ledger.plan.read(row)
            why = await self._deleted(row["comment_file"])
            if why:
                kept.append(why)
            else:
                await ledger.comment_gone(rating)
        return kept

    async def _erase(self, holding: Holding, found: Found) -> int:
        rows = found.rows.get(holding.name, [])
        if holding.table is do_not_call and not self._also_do_not_call:
            return 0
        if holding.table is lost_calls:
            lost = LostCalls(self._engine, self._site)
            return sum([await lost.settle(row["call_id"], by=self._by, comment=_COMMENT) for row in rows])
        if holding.table is do_not_call:
            holding = msgspec.structs.replace(holding, deleted=True)
        changed = 0
        for start in range(0, len(rows), _AT_ONCE):
            with failing("write to"):
                async with writing(self._engine) as connection:
                    for row in rows[start : start + _AT_ONCE]:
                        statement = self._statement(holding, row, found)
                        if statement is not None:
                            changed += (await connection.execute(statement)).rowcount
        return changed

    def _statement(self, holding: Holding, row: RowMapping, found: Found) -> Any:
        table = holding.table
        where = [column == value for column, value in zip(table.primary_key, key_of(table, row), strict=True)]
        where += [condition for condition in (holding.of, self._not_busy(holding)) if condition is not None]
        if holding.deleted:
            return delete(table).where(*where)
        values = {name: value for name, value in holding.blank.items() if row[name] != value}
        if holding.body is not None:
            values |= _without_ref(holding, row, found)
        return update(table).where(*where).values(**values) if values else None

    def _not_busy(self, holding: Holding) -> ColumnElement[bool] | None:
        """A row that a worker or the menu still needs stays as it is until that is over."""
        for plan in self._plans:
            if plan.table is holding.table:
                over = ~one_of(plan.table.c.state, plan.unfinished)
                # What Asterisk still has leads to its row by number or reference alone.
                return over if plan.kept is None else and_(over, ~plan.kept)
        return None

    async def _busy(self, found: Found) -> list[str]:
        """The rows of the client that are still there, in words."""
        again = await find(self._engine, self._site, found.numbers, found.refs)
        said = []
        for plan in self._plans:
            rows = again.rows.get(plan.table.name, ())
            open_ = [row for row in rows if row["state"] in plan.unfinished]
            if open_:
                names = ", ".join(str(row[plan.name]) for row in open_)
                said.append(f"{plan.what} under way: {names}: run this again when they are over")
        return said


def _without_ref(holding: Holding, row: RowMapping, found: Found) -> Mapping[str, object]:
    """A message's column without the client's reference; nothing where it is not in it."""
    assert holding.body is not None
    packed = row.get("packed")
    try:
        said = msgspec.json.decode(line_of(row[holding.body.name] if packed is None else packed))
    except (*NOT_JSON, StoreError):
        return {}
    if not isinstance(said, dict) or said.get("client_ref") not in found.refs:
        return {}
    text = msgspec.json.encode({**said, "client_ref": None})
    # In the form in which it is: a daemon of an earlier version may not read the other one.
    name, value = (holding.body.name, text.decode()) if packed is None else ("packed", pack(text))
    values: dict[str, object] = {name: value}
    if holding.table is outbox:
        values["size"] = len(text)
    return values
