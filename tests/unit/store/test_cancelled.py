"""Tasks cancelled anywhere in a transaction: nobody waits for them, nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.engine import connect, writing
from callsteward.store.sqlite import opened

ROWS = 3


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Switch the garbage collector off: objects that only it would free stay."""
    gc.disable()
    yield
    gc.enable()


async def _engine(folder: Path) -> AsyncEngine:
    engine = await connect(f"sqlite:///{folder}/calls.db")
    async with writing(engine) as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS seen (task INTEGER)"))
    return engine


async def _write(engine: AsyncEngine, number: int) -> None:
    async with writing(engine) as connection:
        for _ in range(ROWS):
            await connection.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})


def _write_beside(folder: Path) -> None:
    """As another process does it."""
    connection = sqlite3.connect(folder / "calls.db", timeout=10, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    connection.close()


@pytest.mark.parametrize("seed", range(4))
async def test_after_a_cancelled_transaction_the_next_one_begins_at_once(
    tmp_path: Path, seed: int, uncollected: None
) -> None:
    chance = random.Random(seed)
    engine = await _engine(tmp_path)
    for turn in range(40):
        tasks = [asyncio.create_task(_write(engine, 10 * turn + number)) for number in range(4)]
        await asyncio.sleep(chance.random() * 0.012)
        for task in tasks:
            if chance.random() < 0.7:
                task.cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.003)
            for task in tasks:
                task.cancel()
        began_s = time.monotonic()
        await _write(engine, -1)
        await asyncio.to_thread(_write_beside, tmp_path)
        # A lock that is left is waited for, ten seconds in the end.
        assert time.monotonic() - began_s < 8
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    async with engine.connect() as connection:
        counts = (
            await connection.execute(text("SELECT count(*) FROM seen WHERE task >= 0 GROUP BY task"))
        ).all()
    assert {count for (count,) in counts} <= {ROWS}, "half a transaction"
    await engine.dispose()


def test_a_loop_ends_whatever_was_cancelled_twice(tmp_path: Path) -> None:
    # A process of its own: threads that end after their loop complain of it.
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.store.test_cancelled", tmp_path],
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


async def test_a_connection_is_stopped_once(tmp_path: Path) -> None:
    connection = await opened(tmp_path / "calls.db", check_same_thread=False)
    first = connection.stop()
    assert first is not None
    assert connection.stop() is None
    await first


async def _cancelled_twice(folder: Path, chance: random.Random) -> None:
    engine = await _engine(folder)
    tasks = [asyncio.create_task(_write(engine, number)) for number in range(3)]
    await asyncio.sleep(chance.random() * 0.01)
    for _ in range(2):
        for task in tasks:
            task.cancel()
        for _ in range(chance.choice([0, 1, 2, 3, 5])):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    await engine.dispose()


if __name__ == "__main__":
    for _seed in range(40):
        # A database for each: the threads of a loop that has ended may still be closing theirs.
        _folder = Path(sys.argv[1]) / str(_seed)
        _folder.mkdir()
        asyncio.run(_cancelled_twice(_folder, random.Random(_seed)))
