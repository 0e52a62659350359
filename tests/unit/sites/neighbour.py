"""Another site's rows in the same database: in every table, of the same calls, operators and client."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table, select

from callsteward.intervals.slot_sums import merged
from callsteward.record.call import encode
from callsteward.store.engine import writing
from callsteward.store.records import Store
from callsteward.store.tables import callback_transitions, metadata
from tests.unit.client.samples import AT_MS, NUMBER, NUMBERS, of

NEIGHBOUR = "south"
"""The site's name. It stands in every row, so that a result that has something of one shows it."""
CALLS = ("a.1", "a.2")
"""Calls that our own site has, too: numbers of calls may be the same on two PBXs."""

OF_SITE = tuple(table for table in metadata.sorted_tables if "site" in table.c)
_STATES = {
    # One of each that is open, and one that is over.
    "callbacks": ("due", "reached"),
    "ratings": ("scheduled", "answered"),
    "phone_states": (NEIGHBOUR, NEIGHBOUR),
    "operator_statuses": ("paused", "over"),
}
_TEXTS = {
    "number": NUMBER,
    "client_ref": NUMBERS.ref(NUMBER),
    "decision": "due",
    "mode": "call",
    "direction": "inbound",
    "outcome": "completed",
    "payload": f'{{"site":"{NEIGHBOUR}"}}',
    "reply": f'{{"id":"{NEIGHBOUR}"}}',
    "message_id": f"a message of {NEIGHBOUR}",
    "operator": "101",
    "status": "paused",
    "members": "[]",
}
_BY_CALL = {"call_id", "origin_call_id"}


async def settle(store: Store) -> None:
    """Write the neighbour's rows: two in each table, but one where a site has only one row."""
    async with writing(store.engine) as connection:
        for table in OF_SITE:
            rows = [_row(table, place) for place in range(2)]
            if [column.name for column in table.primary_key] in (["site"], ["number", "site"]):
                rows = rows[1:]
            await connection.execute(table.insert(), rows)
        ids = await connection.execute(
            select(metadata.tables["callbacks"].c.id).where(metadata.tables["callbacks"].c.site == NEIGHBOUR)
        )
        steps = [
            {
                "callback": callback,
                "at_ms": AT_MS,
                "state": "due",
                "actor": "daemon",
                "reason": NEIGHBOUR,
                "evidence": NEIGHBOUR,
            }
            for (callback,) in ids
        ]
        await connection.execute(callback_transitions.insert(), steps)


_BYTES = {
    "sums": merged([]).encoded(),
    "packed": None,
}


def _row(table: Table, place: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.c:
        if column.name == "id":
            continue
        if column.name in _BY_CALL:
            row[column.name] = CALLS[place]
        elif column.name == "site":
            row[column.name] = NEIGHBOUR
        elif column.name == "state":
            row[column.name] = _STATES[table.name][place]
        elif column.name == "record":
            told = of(NUMBER, CALLS[place], line=NEIGHBOUR)
            row[column.name] = encode(msgspec.structs.replace(told, site=NEIGHBOUR)).decode()
        elif column.name == "acknowledged_at_ms":
            row[column.name] = (None, AT_MS)[place]
        elif column.name == "fence_gone_at_ms":
            row[column.name] = None
        elif isinstance(column.type, LargeBinary):
            row[column.name] = _BYTES[column.name]
        elif isinstance(column.type, BigInteger):
            row[column.name] = AT_MS + place
        elif isinstance(column.type, Boolean):
            row[column.name] = False
        elif isinstance(column.type, Integer):
            row[column.name] = 1 + place
        else:
            row[column.name] = _TEXTS.get(column.name, f"{NEIGHBOUR} {column.name} {place}")
    if "message_id" in row:
        row["message_id"] = f"{row['message_id']} {place}"
    return row


async def rows_of(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All of the neighbour's rows by table."""
    found = {}
    async with store.engine.connect() as connection:
        for table in OF_SITE:
            query = select(table).where(table.c.site == NEIGHBOUR).order_by(*table.primary_key)
            found[table.name] = [dict(row) for row in (await connection.execute(query)).mappings()]
        callbacks = [row["id"] for row in found["callbacks"]]
        steps = select(callback_transitions).where(callback_transitions.c.callback.in_(callbacks))
        found["callback_transitions"] = [
            dict(row) for row in (await connection.execute(steps.order_by("id"))).mappings()
        ]
    return found
