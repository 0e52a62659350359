"""Databases that another program made, or from which tables were taken: refused, and left as they are."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from callsteward.exceptions import StoreError
from callsteward.store.engine import async_url
from callsteward.store.records import Store
from callsteward.store.tables import metadata


async def run(url: str, *statements: str) -> list[list[object]]:
    """The answer to each statement, in one transaction."""
    engine = create_async_engine(async_url(url))
    answers: list[list[object]] = []
    async with engine.begin() as connection:
        for statement in statements:
            found = await connection.execute(text(statement))
            answers.append(list(found.scalars()) if found.returns_rows else [])
    await engine.dispose()
    return answers


@pytest.fixture
async def emptied_url(store_url: str) -> str:
    """The address of a database in which no program has a table."""
    await (await Store.open(store_url)).close()
    engine = create_async_engine(async_url(store_url))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))
    await engine.dispose()
    return store_url


@pytest.mark.parametrize("create", [True, False])
async def test_tables_of_another_program_are_refused_and_kept(emptied_url: str, create: bool):
    await run(emptied_url, "CREATE TABLE calls (id int)", "INSERT INTO calls VALUES (7)")
    with pytest.raises(
        StoreError, match=r"has tables of another program \(calls\): give callsteward a database"
    ):
        await Store.open(emptied_url, create=create)
    assert await run(emptied_url, "SELECT id FROM calls") == [[7]]
    await run(emptied_url, "DROP TABLE calls")


async def test_the_versions_of_another_program_are_refused_and_kept(emptied_url: str):
    await run(
        emptied_url,
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
    )
    with pytest.raises(StoreError, match=r"another program \(its alembic_version is ae1027a6acf\)"):
        await Store.open(emptied_url)
    assert await run(emptied_url, "SELECT version_num FROM alembic_version") == [["ae1027a6acf"]]
    await run(emptied_url, "DROP TABLE alembic_version")


async def test_other_tables_beside_callstewards_do_not_matter(emptied_url: str):
    await run(emptied_url, "CREATE TABLE invoices (id int)")
    await (await Store.open(emptied_url)).close()
    await run(emptied_url, "DROP TABLE invoices")


@pytest.mark.parametrize("create", [True, False])
async def test_a_database_from_which_tables_were_taken_is_refused(store_url: str, create: bool):
    await (await Store.open(store_url)).close()
    await run(store_url, "DROP TABLE outbox", "DROP TABLE do_not_call")
    missing = re.escape("tables of callsteward are missing (do_not_call, outbox): somebody has removed them")
    with pytest.raises(StoreError, match=missing):
        await Store.open(store_url, create=create)
