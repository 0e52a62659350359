"""Where clients are, as an admin imported it: number to IANA time zone. It wins over what the number says."""

from __future__ import annotations

import csv
import functools
import time
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.exceptions import CallstewardError
from callsteward.store.engine import failing, writing
from callsteward.store.tables import client_zones

MOST_ROWS = 1_000_000
"""A longer list is refused before anything of it is written."""
_NAMED = 10
_AT_ONCE = 1000


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One client's zone, since when and by whom."""

    number: str
    zone: str
    added_at_ms: int
    added_by: str


class ClientZones:
    """The list. Numbers are E.164. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        statement = insert(client_zones)
        self._put = statement.on_conflict_do_update(
            index_elements=["number"],
            set_={name: statement.excluded[name] for name in ("zone", "added_at_ms", "added_by")},
        )

    async def put(self, zones: Mapping[str, str], *, by: str) -> None:
        """Put clients on the list, all or none; who is on it already gets the new zone."""
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
        """Take a client off the list; whether they were on it."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                gone = await connection.execute(delete(client_zones).where(client_zones.c.number == number))
                return bool(gone.rowcount)

    async def of(self, number: str) -> ZoneInfo | None:
        """A client's zone, None where they are not on the list (or this machine lacks the zone's table)."""
        query = select(client_zones.c.zone).where(client_zones.c.number == number)
        with failing("read"):
            async with self._engine.connect() as connection:
                name = (await connection.execute(query)).scalar_one_or_none()
        try:
            return None if name is None else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            return None

    async def listed(self) -> list[Placed]:
        """Everybody on the list, by number."""
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = await connection.execute(select(client_zones).order_by(client_zones.c.number))
                return [Placed(**row) for row in rows.mappings()]


def read_list(text: str, name: str, read: Callable[[str], str | None]) -> dict[str, str]:
    """Numbers and zones of a CSV file: number, zone; comma or semicolon, with a heading or without.

    `read` makes a number E.164. Raises CallstewardError with every wrong line (the first ten by name):
    what is no number, no IANA zone, or the same number with two zones.
    """
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    zones: dict[str, str] = {}
    wrong: list[str] = []
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        for row in rows:
            if len(zones) >= MOST_ROWS:
                wrong.append(f"{name}:{rows.line_num}: more than {MOST_ROWS} numbers")
                break
            if not any(cell.strip() for cell in row):
                continue
            fault = _take(zones, row, read)
            if fault and not (rows.line_num == 1 and _heading(row, read)):
                wrong.append(f"{name}:{rows.line_num}: {fault}")
    except csv.Error as error:
        wrong.append(f"{name}:{rows.line_num}: not CSV: {error}")
    if wrong:
        more = f"\n… and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        message = "\n".join(wrong[:_NAMED]) + more + "\nnothing was imported"
        raise CallstewardError(message)
    return zones


def _heading(row: list[str], read: Callable[[str], str | None]) -> bool:
    return read(row[0]) is None and not any(char.isdigit() for char in row[0])


def _take(zones: dict[str, str], row: list[str], read: Callable[[str], str | None]) -> str:
    """Put a row's client into `zones`; what is wrong with it, empty where nothing is."""
    if len(row) < 2:
        return "number and zone are needed, such as +79031234567,Asia/Yekaterinburg"
    number, zone = read(row[0]), row[1].strip()
    if number is None:
        return f"{row[0][:40]!r} is no telephone number"
    if zone not in _known():
        return f"{zone[:40]!r} is no IANA time zone, such as Asia/Yekaterinburg"
    if zones.setdefault(number, zone) != zone:
        return f"this number has the zone {zones[number]} further up"
    return ""


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
