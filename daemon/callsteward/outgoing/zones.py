"""Clients' time zones from a list that an admin imported. They win over the zones of the number itself."""

from __future__ import annotations

import difflib
import functools
import time
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing import number_file
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import client_zones

_AT_ONCE = 1000


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A client's zone, since when it is on the list, and who put it there."""

    number: str
    zone: str
    added_at_ms: int
    added_by: str


class ClientZones:
    """The list. Numbers are E.164. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        statement = insert_into(engine, client_zones)
        self._put = statement.on_conflict_do_update(
            index_elements=["number"],
            set_={name: statement.excluded[name] for name in ("zone", "added_at_ms", "added_by")},
        )

    async def put(self, zones: Mapping[str, str], *, by: str) -> None:
        """Put clients on the list, all or none. A client who is on it already gets the new zone."""
        now_ms = time.time_ns() // 1_000_000
        rows = [
            {"number": number, "zone": zone, "added_at_ms": now_ms, "added_by": by}
            for number, zone in zones.items()
        ]
        with failing("write to"):
            async with writing(self._engine) as connection:
                for start in range(0, len(rows), _AT_ONCE):
                    await connection.execute(self._put, rows[start : start + _AT_ONCE])

    async def remove(self, number: str) -> bool:
        """Take a client off the list. False if they were not on it."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                gone = await connection.execute(delete(client_zones).where(client_zones.c.number == number))
                return bool(gone.rowcount)

    async def of(self, number: str) -> ZoneInfo | None:
        """A client's zone; None if they are not on the list, or this machine does not know the zone."""
        query = select(client_zones.c.zone).where(client_zones.c.number == number)
        with failing("read"):
            async with self._engine.connect() as connection:
                name = (await connection.execute(query)).scalar_one_or_none()
        try:
            return None if name is None else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            return None

    async def listed(self) -> list[Placed]:
        """All clients on the list, by number."""
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = await connection.execute(select(client_zones).order_by(client_zones.c.number))
                return [Placed(**row) for row in rows.mappings()]


def read_list(
    text: str,
    name: str,
    read: number_file.ReadNumber,
    column: str | None = None,
    why: number_file.ExplainNumber = number_file.no_reason,
) -> dict[str, str]:
    """The zone of each number on a list: each row has a number and, in another cell, an IANA zone.

    `read` makes a number E.164, `column` names the column of the numbers, `why` explains what is wrong with a
    text that is no number. Raises CallstewardError with all wrong lines (the first ten by name): no number,
    no IANA zone, or the same number with two zones.
    """
    zones: dict[str, str] = {}
    number_file.each(text, name, read, functools.partial(_take, zones), column, why)
    return zones


def _take(zones: dict[str, str], entry: number_file.NumberRow) -> str:
    """Put a row's client into `zones`. Returns the mistake in the row, or an empty text."""
    others = [cell for _, cell in entry.others]
    if not others:
        return "number and zone are needed, such as +79031234567,Asia/Yekaterinburg"
    zone = next((cell for cell in others if cell in _known()), None)
    if zone is None:
        return f"{others[0][:40]!r} is no IANA time zone, such as Asia/Yekaterinburg{_meant(others[0])}"
    if zones.setdefault(entry.number, zone) != zone:
        return f"this number has the zone {zones[entry.number]} further up"
    return ""


def _meant(written: str) -> str:
    near = difflib.get_close_matches(written, _known(), n=1)
    return f"; did you mean {near[0]}?" if near else ""


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
