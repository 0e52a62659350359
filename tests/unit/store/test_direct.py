"""Whole transactions in one go: committed or nothing of them, in turn with all other writers."""

from __future__ import annotations

import asyncio
import functools
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text, bindparam, delete, func, insert, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.exceptions import StoreError
from callsteward.store.direct import OfSqlAlchemy, Sql, along, flush, read, write
from callsteward.store.engine import connect, failing, writing
from callsteward.store.prepared import Prepared

PATIENCE_S = 5
SEEN = Table("seen", MetaData(), Column("what", Text, primary_key=True), Column("who", Text))
PUT = Prepared(insert(SEEN), ["what", "who"])
ALL = Prepared(select(SEEN.c.what).order_by(SEEN.c.what))
SOME = Prepared(
    select(SEEN.c.what)
    .where(SEEN.c.who == "me", SEEN.c.what.in_(bindparam("whats", expanding=True)))
    .order_by(SEEN.c.what)
)
GONE = Prepared(delete(SEEN).where(SEEN.c.what == bindparam("one")))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = await connect(f"sqlite:///{tmp_path}/calls.db")
    async with writing(opened) as connection:
        await connection.execute(text("CREATE TABLE seen (what TEXT PRIMARY KEY, who TEXT)"))
    yield opened
    await opened.dispose()


def put(*whats: str) -> Callable[[Sql], None]:
    return lambda sql: sql.many(PUT, [{"what": what, "who": "me"} for what in whats])


async def seen(engine: AsyncEngine) -> list[str]:
    return [what for (what,) in await read(engine, lambda sql: sql.rows(ALL))]


async def test_a_piece_of_work_is_one_transaction(engine: AsyncEngine) -> None:
    def work(sql: Sql) -> list[str]:
        sql.many(PUT, [{"what": "a", "who": "me"}, {"what": "b", "who": None}])
        sql.many(PUT, [{"what": "c", "who": "me"}])
        # Its own rows are seen in it.
        return [what for (what,) in sql.rows(ALL)]

    assert await write(engine, work) == ["a", "b", "c"]
    assert await seen(engine) == ["a", "b", "c"]


async def test_of_work_that_fails_nothing_is_left_and_the_next_one_has_its_turn(engine: AsyncEngine) -> None:
    def work(sql: Sql) -> None:
        put("a")(sql)
        raise ZeroDivisionError

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ZeroDivisionError):
            await write(engine, work)
        with pytest.raises(StoreError, match="UNIQUE constraint"), failing("write to"):
            await write(engine, put("b", "b"))
        assert await seen(engine) == []
        await write(engine, put("c"))
    assert await seen(engine) == ["c"]


async def test_both_ways_of_writing_take_turns(engine: AsyncEngine) -> None:
    async def by_statements(what: str) -> None:
        async with writing(engine) as connection:
            await connection.execute(insert(SEEN).values(what=what))

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(
            *(write(engine, put(f"d{number:02}")) for number in range(20)),
            *(by_statements(f"s{number:02}") for number in range(20)),
        )
    assert len(await seen(engine)) == 40


async def test_inside_another_transaction_it_is_refused(engine: AsyncEngine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RuntimeError, match="inside another one"):
            async with writing(engine):
                await write(engine, put("inner"))
        await write(engine, put("after"))
    assert await seen(engine) == ["after"]


@pytest.mark.parametrize(
    ("whats", "found"), [([], []), (["a"], ["a"]), (["c", "a", "x"], ["a", "c"]), (["b"], [])]
)
async def test_a_list_may_have_any_length(engine: AsyncEngine, whats: list[str], found: list[str]) -> None:
    await write(engine, put("a", "c"))
    await write(engine, lambda sql: sql.many(PUT, [{"what": "b", "who": "you"}]))
    for _ in range(2):
        assert [what for (what,) in await read(engine, lambda sql: sql.rows(SOME, {"whats": whats}))] == found


async def test_sqlalchemy_and_the_text_made_of_it_find_the_same(engine: AsyncEngine) -> None:
    new = Prepared(
        sqlite.insert(SEEN).on_conflict_do_nothing(index_elements=["what"]).returning(SEEN.c.what),
        ["what", "who"],
    )
    some = Prepared(select(func.count()).where(SEEN.c.what.in_(["a", "b"])).limit(1))

    def work(sql: Sql) -> tuple[object, ...]:
        put("a")(sql)
        made = {what for (what,) in sql.each(new, [{"what": one, "who": "me"} for one in "abc"])}
        counted = sql.rows(some)[0][0]
        return (
            made,
            counted,
            sql.count(GONE, {"one": "a"}),
            sql.count(GONE, {"one": "a"}),
            list(map(tuple, sql.rows(ALL))),
        )

    expected = ({"b", "c"}, 2, 1, 0, [("b",), ("c",)])
    assert await write(engine, work) == expected
    await write(engine, lambda sql: [sql.count(GONE, {"one": one}) for one in "bc"])
    async with writing(engine) as connection:
        assert await connection.run_sync(lambda sync: work(OfSqlAlchemy(sync))) == expected


# --- along ----------------------------------------------------------------------------------------------


async def test_what_is_done_along_goes_ahead_of_the_next_transaction_and_with_it(engine: AsyncEngine) -> None:
    settled: list[object] = []
    along(engine, put("along"), settled.append)
    along(engine, lambda sql: len(sql.rows(ALL)), settled.append)
    assert (await seen(engine), settled) == ([], [])
    assert await write(engine, lambda sql: [what for (what,) in sql.rows(ALL)]) == ["along"]
    assert settled == [None, 1]
    await write(engine, put("next"))
    assert (await seen(engine), settled) == (["along", "next"], [None, 1])


async def test_where_the_transaction_fails_it_waits_for_the_next_one(engine: AsyncEngine) -> None:
    settled: list[object] = []
    along(engine, put("first"), settled.append)
    along(engine, put("second"), settled.append)
    with pytest.raises(sqlite3.IntegrityError):
        await write(engine, put("a", "a"))
    assert (await seen(engine), settled) == ([], [])
    along(engine, put("third"), settled.append)
    await flush(engine)
    assert (await seen(engine), settled) == (["first", "second", "third"], [None] * 3)
    await flush(engine)
    assert len(settled) == 3


async def test_whoever_waits_is_woken_behind_what_was_done_along(engine: AsyncEngine) -> None:
    settled: list[str] = []
    along(engine, put("a"), lambda _: settled.append("along"))
    await write(engine, put("b"))
    settled.append("work")
    assert settled == ["along", "work"]


def _note(settled: list[int], turn: int, _result: None) -> None:
    settled.append(turn)


@pytest.mark.parametrize("seed", range(4))
async def test_cancelled_anywhere_it_is_whole_or_not_there(engine: AsyncEngine, seed: int) -> None:
    chance = random.Random(seed)
    settled: list[int] = []
    for turn in range(30):
        along(engine, put(f"along {turn:02}"), functools.partial(_note, settled, turn))
        tasks = [
            asyncio.create_task(write(engine, put(f"{turn:02} {number} a", f"{turn:02} {number} b")))
            for number in range(4)
        ]
        await asyncio.sleep(chance.random() * 0.004)
        for task in tasks:
            if chance.random() < 0.7:
                task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome is None or isinstance(outcome, asyncio.CancelledError)
            await write(engine, put(f"{turn:02} end"))
    async with asyncio.timeout(PATIENCE_S):
        await flush(engine)
        # A transaction whose task was cancelled may have ended after it.
        await write(engine, lambda _: None)
    found = await seen(engine)
    assert {what for what in found if what.startswith("along")} == {f"along {turn:02}" for turn in range(30)}
    assert settled == list(range(30))
    halves = [what[:-2] for what in found if what.endswith((" a", " b"))]
    assert all(halves.count(half) == 2 for half in halves)


async def test_a_disposed_engine_has_no_thread_left_and_works_again(engine: AsyncEngine) -> None:
    await write(engine, put("a"))
    await seen(engine)
    assert {"store writer", "store reader"} <= {thread.name for thread in threading.enumerate()}
    await engine.dispose()
    assert not {thread.name for thread in threading.enumerate() if thread.name.startswith("store ")}
    assert await seen(engine) == ["a"]
