"""The commands that were carried out, with their answers."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.commands.reply import Reply
from callsteward.commands.request import Command
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import commands_done

_decoder = msgspec.json.Decoder(Reply)


def digest(name: str, command: Command) -> str:
    """A digest that tells a repeated command from another one with the same id."""
    return hashlib.sha256(name.encode() + b"\0" + msgspec.json.encode(command)).hexdigest()


class CommandsDone:
    """One site's. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._insert = insert_into(engine, commands_done).on_conflict_do_nothing(
            index_elements=["site", "command_id"]
        )

    async def find(self, command_id: str) -> tuple[str, Reply] | None:
        """Digest and answer of a command that was carried out."""
        query = select(commands_done.c.digest, commands_done.c.reply).where(
            commands_done.c.site == self._site, commands_done.c.command_id == command_id
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.digest, _decoder.decode(row.reply))

    async def keep(self, content: str, reply: Reply, at_ms: int) -> None:
        """Write an answer down; the first one of an id stays."""
        values = {
            "site": self._site,
            "command_id": reply.id,
            "digest": content,
            "reply": msgspec.json.encode(reply).decode(),
            "at_ms": at_ms,
        }
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(self._insert.values(values))

    async def forget(self, before_ms: int) -> int:
        """Forget answers older than that; how many there were."""
        query = delete(commands_done).where(
            commands_done.c.site == self._site, commands_done.c.at_ms < before_ms
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                return int((await connection.execute(query)).rowcount)
