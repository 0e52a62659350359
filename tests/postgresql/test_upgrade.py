"""Several daemons start at once while the schema is made, and one of an older version runs beside a newer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import text

from callsteward.exceptions import StoreError
from callsteward.store.engine import writing
from callsteward.store.records import Store
from tests.lab.postgresql import PostgreSql
from tests.postgresql.test_postgresql import QUESTIONS, read
from tests.unit.store.samples import RECORD

# What a newer version may do beneath an older one: add.
NEWER = (
    "ALTER TABLE calls ADD COLUMN later TEXT",
    "ALTER TABLE callbacks ADD COLUMN later BIGINT",
    "ALTER TABLE outbox ADD COLUMN later BOOLEAN",
    "CREATE TABLE later (id BIGINT PRIMARY KEY)",
    "UPDATE alembic_version SET version_num = '9999'",
)


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    """A database without tables."""
    await postgresql.administer("CREATE DATABASE upgraded")
    yield postgresql.url(database="upgraded")
    await postgresql.administer("DROP DATABASE upgraded WITH (FORCE)")


async def test_daemons_that_start_together_make_the_tables_once(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url) for _ in range(5)))
    # All see the same tables, whoever made them.
    for number, store in enumerate(stores):
        await store.save([msgspec.structs.replace(RECORD, call_id=f"1.{number}")])
    assert len(await read(stores[0])) == 5
    for store in stores:
        await store.close()


async def test_a_running_older_daemon_waits_while_a_newer_one_migrates_and_goes_on(url: str) -> None:
    older = await Store.open(url)
    for question in QUESTIONS.values():
        await question(older)
    newer = await Store.open(url)
    other = msgspec.structs.replace(RECORD, call_id="1.2")
    async with writing(newer.engine) as connection:
        for statement in NEWER:
            await connection.execute(text(statement))
        saving = asyncio.create_task(older.save([other]))
        await asyncio.sleep(0.3)
        assert not saving.done()
    assert await saving == [other]
    # Its prepared statements were planned on the older tables.
    for question in QUESTIONS.values():
        await question(older)
    assert [record.call_id for record in await read(older)] == [RECORD.call_id, "1.2"]
    await older.close()
    await newer.close()
    with pytest.raises(StoreError, match=r"was written by a newer callsteward \(schema 9999"):
        await Store.open(url)
