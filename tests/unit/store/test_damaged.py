"""A database file in which bits are not what they were: an error that says so, none of Python's own."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from callsteward.commands.done import CommandsDone
from callsteward.exceptions import StoreError
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from tests.unit.store.samples import RECORD

FLIPS = 150


async def _used(url: str) -> None:
    """A daemon's start and some of its work."""
    store = await Store.open(url)
    try:
        await store.save([RECORD])
        _ = [record async for record in store.calls(CallQuery())]
        await HeardEndpoints(store.engine, "main").known()
        await CommandsDone(store.engine, "main").find("c-1")
        await Outbox(store.engine, "main").measure()
        await store.writable()
    finally:
        await store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A used database in one file."""
    import asyncio

    file = tmp_path_factory.mktemp("whole") / "calls.db"
    asyncio.run(_used(f"sqlite:///{file}"))
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return file.read_bytes()


@pytest.mark.parametrize("seed", range(4))
async def test_flipped_bits_give_a_store_error_or_no_error(whole: bytes, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    told: list[str] = []
    # The schema is in the first pages: names and statements, of which the messages of errors are made.
    reach = len(whole) if seed % 2 else min(len(whole), 16 * 4096)
    for number in range(FLIPS // 4):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 8, 200))):
            data[chance.randrange(100, reach)] ^= 1 << chance.randrange(8)
        file = tmp_path / f"{number}.db"
        file.write_bytes(data)
        try:
            await _used(f"sqlite:///{file}")
        except StoreError as error:
            told.append(str(error))
    assert told
    assert all(text.isprintable() for text in told)


async def test_a_name_in_the_schema_that_is_no_unicode_is_reported(whole: bytes, tmp_path: Path) -> None:
    """SQLite puts it into its message, and Python cannot read that."""
    file = tmp_path / "calls.db"
    file.write_bytes(
        whole.replace(b"idx_calls", b"idx_\xff\xfels").replace(b"CREATE INDEX", b"CREATE\xffINDEX")
    )
    with pytest.raises(StoreError, match="damaged"):
        await _used(f"sqlite:///{file}")
