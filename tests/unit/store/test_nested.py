"""A transaction inside another one of the same store is refused: it would wait for itself for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.engine import connect, writing
from callsteward.store.outbox import Outbox

PATIENCE_S = 5


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = await connect(f"sqlite:///{tmp_path}/calls.db")
    async with writing(opened) as connection:
        await connection.execute(text("CREATE TABLE seen (what TEXT)"))
    yield opened
    await opened.dispose()


async def _note(engine: AsyncEngine, what: str) -> None:
    async with writing(engine) as connection:
        await connection.execute(text("INSERT INTO seen VALUES (:what)"), {"what": what})


async def _seen(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT what FROM seen ORDER BY rowid")))


async def test_a_nested_transaction_is_refused_with_advice_and_the_outer_one_rolled_back(
    engine: AsyncEngine,
) -> None:
    async def nested() -> None:
        async with writing(engine) as connection:
            await connection.execute(text("INSERT INTO seen VALUES ('outer')"))
            await _note(engine, "inner")

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError, match="pass the outer transaction's connection on"):
            await nested()
        # Nothing is held: the next one has its turn.
        await _note(engine, "after")
    assert await _seen(engine) == ["after"]


async def test_a_nested_transaction_is_refused_behind_a_method_that_hides_it(engine: AsyncEngine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError, match="inside another one"):
            async with writing(engine):
                await Outbox(engine, "main").remove(["1"])


async def test_a_nested_transaction_is_refused_in_a_task_that_the_outer_one_waits_for(
    engine: AsyncEngine,
) -> None:
    """`asyncio.gather` and Python 3.11's `wait_for` make one."""
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError, match="inside another one"):
            async with writing(engine):
                await asyncio.gather(_note(engine, "inner"))


async def test_a_task_begun_inside_may_write_once_the_transaction_is_over(engine: AsyncEngine) -> None:
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await _note(engine, "later")

    async with asyncio.timeout(PATIENCE_S):
        async with writing(engine):
            task = asyncio.create_task(later())
        over.set()
        await task
        # And what is begun inside that one's is refused again.
        with pytest.raises(RuntimeError):
            async with writing(engine):
                await _note(engine, "inner")
    assert await _seen(engine) == ["later"]


async def test_another_store_is_written_inside_and_writers_side_by_side_take_turns(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = await connect(f"sqlite:///{tmp_path}/other/calls.db")
    async with writing(other) as connection:
        await connection.execute(text("CREATE TABLE seen (what TEXT)"))
    async with asyncio.timeout(PATIENCE_S):
        async with writing(engine):
            await _note(other, "beside")
            with pytest.raises(RuntimeError):
                await _note(engine, "inner")
        await asyncio.gather(*(_note(engine, str(number)) for number in range(20)))
    assert await _seen(other) == ["beside"]
    assert sorted(await _seen(engine), key=int) == [str(number) for number in range(20)]
    await other.dispose()


async def test_a_transaction_that_failed_is_over(engine: AsyncEngine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ZeroDivisionError):
            async with writing(engine):
                raise ZeroDivisionError
        await _note(engine, "after")
    assert await _seen(engine) == ["after"]
