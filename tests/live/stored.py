"""A daemon's stored data, read from its database while it runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from callsteward.store.stored import line_of

Row = dict[str, Any]


class Stored:
    """The database of one daemon; `url` as in its settings. `database`: the file, if it is SQLite's."""

    def __init__(self, url: str) -> None:
        self._server = "" if url.startswith("sqlite") else url
        self.database = Path(url.removeprefix("sqlite:///"))

    def rows(self, query: str, *values: object) -> list[Row]:
        """The rows of a query; its values stand in it as question marks."""
        if self._server:
            return asyncio.run(_asked(self._server, query, values))
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def execute(self, statement: str, *values: object) -> None:
        """Change something behind the daemon's back."""
        if self._server:
            asyncio.run(_asked(self._server, statement, values))
            return
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            connection.execute(statement, values)

    def stored(self) -> list[tuple[str, int]]:
        """Of each record the call's id, and whether the call was seen whole."""
        return [(row["call_id"], row["complete"]) for row in self.rows("SELECT call_id, complete FROM calls")]

    def records(self) -> list[Row]:
        """The call records, oldest first."""
        rows = self.rows("SELECT record, packed FROM calls ORDER BY id")
        return [json.loads(line_of(row["packed"] or row["record"])) for row in rows]

    def call(self, line: str, direction: str = "inbound") -> Row:
        """The one record of a line's calls of a direction."""
        (found,) = [
            record for record in self.records() if record["line"] == line and record["direction"] == direction
        ]
        return found

    def callbacks(self) -> list[Row]:
        """The callbacks' ledger, oldest first."""
        return self.rows("SELECT * FROM callbacks ORDER BY id")

    def steps(self, origin_call_id: str) -> list[Row]:
        """The moves of one callback."""
        return self.rows(
            "SELECT t.* FROM callback_transitions t JOIN callbacks c ON c.id = t.callback"
            " WHERE c.origin_call_id = ? ORDER BY t.id",
            origin_call_id,
        )

    def ratings(self) -> list[Row]:
        """The ratings' ledger, oldest first."""
        return self.rows("SELECT * FROM ratings ORDER BY id")

    def rating(self, line: str) -> Row:
        """The one rating of a line."""
        (found,) = [row for row in self.ratings() if row["line"] == line]
        return found

    def settled(self, line: str) -> bool:
        """True if a line's rating has come to its end."""
        rows = [row for row in self.ratings() if row["line"] == line]
        return bool(rows) and all(row["state"] not in {"scheduled", "dialling", "asking"} for row in rows)

    def waiting(self) -> int:
        """How many messages the outbox has."""
        return int(self.rows("SELECT count(*) AS waiting FROM outbox")[0]["waiting"])

    def complaints(self) -> list[Row]:
        return self.rows("SELECT * FROM complaints ORDER BY id")


async def _asked(url: str, query: str, values: tuple[object, ...]) -> list[Row]:
    """The rows that a PostgreSQL server answers with."""
    number = itertools.count(1)
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(re.sub(r"\?", lambda _: f"${next(number)}", query), *values)
        return [dict(row) for row in found]
    finally:
        await connection.close()
