"""The rows of one client, found by number, by reference and by the calls that these lead to.

One row leads to others: a callback has number and reference, and names the call that broke. So a client is
also found under a reference that was made with an earlier key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.exceptions import NOT_JSON
from callsteward.store.engine import failing
from callsteward.store.holdings import HOLDINGS, Holding
from callsteward.store.tables import callbacks

REF = re.compile(r"[0-9a-f]{32}\Z")
"""A client's reference, as the records have it."""
# SQLite's older limit of variables is 999.
_AT_ONCE = 500
# Fields of a message that name a call.
_CALLS = ("call_id", "origin_call_id", "rating_call_id")
_LEADING = [item for item in HOLDINGS if item.number is not None or item.ref is not None]


class Found(msgspec.Struct, kw_only=True):
    """The rows found. `numbers` are E.164; `calls` are ids of the client's calls."""

    numbers: set[str]
    refs: set[str]
    calls: set[str] = msgspec.field(default_factory=set)
    rows: dict[str, list[RowMapping]] = msgspec.field(default_factory=dict)
    """By the table's name, oldest first."""
    elsewhere: list[str] = msgspec.field(default_factory=list)
    """Other sites in the same database that have data of the client."""

    @property
    def known(self) -> int:
        """How many numbers, references and calls are the client's."""
        return len(self.numbers) + len(self.refs) + len(self.calls)


def key_of(table: Table, row: RowMapping) -> tuple[Any, ...]:
    """The key that tells a row of a table from all others."""
    return tuple(row[column.name] for column in table.primary_key)


def chunks(names: Collection[str]) -> Iterator[Sequence[str]]:
    """The names, as many at a time as a statement takes."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


async def find(engine: AsyncEngine, site: str, numbers: Iterable[str], refs: Iterable[str]) -> Found:
    """Everything of the client with these numbers (E.164) or references. Raises StoreError."""
    found = Found(numbers=set(numbers), refs=set(refs))
    with failing("read"):
        async with engine.connect() as connection:
            known = -1
            while known < found.known:
                known = found.known
                for holding in _LEADING:
                    await _learn(connection, site, holding, found)
            for holding in HOLDINGS:
                rows = await _rows(connection, site, holding, found)
                if rows:
                    found.rows[holding.name] = rows
            found.elsewhere = await _elsewhere(connection, site, found)
    return found


async def find_at(
    engine: AsyncEngine, sites: Sequence[str], numbers: Iterable[str], refs: Iterable[str]
) -> Found:
    """The same at several sites. A reference that one of them leads to is sought at the next, too.

    Raises StoreError.
    """
    whole = Found(numbers=set(numbers), refs=set(refs))
    for site in sites:
        found = await find(engine, site, whole.numbers, whole.refs)
        whole.numbers |= found.numbers
        whole.refs |= found.refs
        whole.calls |= found.calls
        for holding in HOLDINGS:
            rows = found.rows.get(holding.name, [])
            of_all_sites = "site" not in holding.table.c and holding.parent is None
            if rows and not (of_all_sites and holding.name in whole.rows):
                whole.rows.setdefault(holding.name, []).extend(rows)
        whole.elsewhere = [name for name in found.elsewhere if name not in sites]
    return whole


async def _learn(connection: AsyncConnection, site: str, holding: Holding, found: Found) -> None:
    """Take in the numbers, references and calls that the rows of one table lead to."""
    for row in await _rows(connection, site, holding, found):
        if holding.number is not None and row[holding.number.name]:
            # Digits that can be two people's numbers are kept beside a call, too: they lead nowhere.
            found.numbers |= {number for number in [row[holding.number.name]] if number.startswith("+")}
        if holding.ref is not None and row[holding.ref.name]:
            found.refs.add(row[holding.ref.name])
        if holding.call is not None:
            found.calls.add(row[holding.call.name])
        found.calls.update(holding.more_calls(row))


async def _rows(connection: AsyncConnection, site: str, holding: Holding, found: Found) -> list[RowMapping]:
    table = holding.table
    if holding.body is not None and holding.ref is None:
        return [row async for row in _about(connection, site, holding, found)]
    rows: dict[tuple[Any, ...], RowMapping] = {}
    for where in _conditions(holding, found):
        query = select(table).where(where, *_of_site(table, site))
        if holding.parent is not None:
            query = query.join(callbacks, callbacks.c.id == holding.parent).where(callbacks.c.site == site)
        for row in (await connection.execute(query)).mappings():
            rows[key_of(table, row)] = row
    return [rows[key] for key in sorted(rows)]


def _of_site(table: Table, site: str) -> tuple[ColumnElement[bool], ...]:
    return (table.c.site == site,) if "site" in table.c else ()


def _conditions(holding: Holding, found: Found) -> Iterator[ColumnElement[bool]]:
    if holding.number is not None:
        yield holding.number.in_(sorted(found.numbers))
    if holding.ref is not None:
        yield holding.ref.in_(sorted(found.refs))
    call = callbacks.c.origin_call_id if holding.parent is not None else holding.call
    if call is not None:
        for some in chunks(found.calls):
            yield call.in_(some)


async def _about(
    connection: AsyncConnection, site: str, holding: Holding, found: Found
) -> AsyncIterator[RowMapping]:
    """The messages that hold the reference or name a call of the client."""
    table, body = holding.table, holding.body
    assert body is not None
    rows = await connection.stream(select(table).where(*_of_site(table, site)).order_by(*table.primary_key))
    async for row in rows.mappings():
        if is_about(row[body.name], found):
            yield row


def is_about(text: str, found: Found) -> bool:
    """True if a message is about the client."""
    try:
        said = msgspec.json.decode(text)
    except NOT_JSON:
        return False
    if not isinstance(said, dict):
        return False
    return said.get("client_ref") in found.refs or any(said.get(name) in found.calls for name in _CALLS)


async def _elsewhere(connection: AsyncConnection, site: str, found: Found) -> list[str]:
    sites: set[str] = set()
    for holding in HOLDINGS:
        if "site" not in holding.table.c:
            continue
        known = [
            column.in_(sorted(values))
            for column, values in ((holding.number, found.numbers), (holding.ref, found.refs))
            if column is not None
        ]
        if known:
            others = select(holding.table.c.site).where(holding.table.c.site != site, or_(*known)).distinct()
            sites |= set(await connection.scalars(others))
    return sorted(sites)
