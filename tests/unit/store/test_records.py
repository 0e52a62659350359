import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from callsteward.exceptions import StoreError
from callsteward.record.call import CallRecord, Outcome, encode
from callsteward.store import stored
from callsteward.store.packed import pack
from callsteward.store.records import CallQuery, Store
from callsteward.store.stored import Unreadable, decode
from callsteward.store.tables import calls

Build = Callable[..., CallRecord]
START_MS = 1_795_314_131_654  # 2026-11-22T02:22:11.654Z


async def _ids(store: Store, **query: object) -> list[str]:
    return [found.call_id async for found in store.calls(CallQuery(**query))]  # type: ignore[arg-type]


async def test_a_record_comes_back_byte_for_byte(store: Store, record: Build) -> None:
    saved = record(call_id="1", line="Поддержка", standard=record().standard)
    assert await store.save([saved]) == [saved]
    [found] = [item async for item in store.calls(CallQuery())]
    assert encode(found) == encode(saved)


async def test_a_call_is_stored_once_and_the_first_record_of_it_stays(store: Store, record: Build) -> None:
    first = record(call_id="1", outcome=Outcome.COMPLETED)
    again = record(call_id="1", outcome=Outcome.FAILED)
    other = record(call_id="2")
    assert await store.save([first]) == [first]
    assert await store.save([again, other, other]) == [other]
    assert await store.save([again, other]) == []
    assert [item async for item in store.calls(CallQuery())] == [first, other]


async def test_the_same_call_id_at_two_sites_is_two_calls(store: Store, record: Build) -> None:
    here, there = record(site="moscow"), record(site="perm")
    assert await store.save([here, there]) == [here, there]


async def test_a_row_that_cannot_be_read_is_named_and_counted_once_and_passed_over(
    store: Store, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Unreadable()
    monkeypatch.setattr(stored, "UNREADABLE", found)
    await store.save([record(call_id=str(number)) for number in range(4)])
    newer = encode(record(call_id="2")).replace(b'"duration_s"', b'"x"')
    async with store.engine.begin() as database:
        for call_id, packed in (("1", pack(b'{"schema"')), ("2", pack(newer))):
            await database.execute(update(calls).where(calls.c.call_id == call_id).values(packed=packed))
    for _ in range(2):
        assert await _ids(store) == ["0", "3"]
        later = [item.call_id async for _, item in store.stored("main", from_ms=0, to_ms=1 << 60)]
        assert later == ["0", "3"]
    assert found.count == 2
    assert set(found.calls) == {"1", "2"}
    assert all(
        why.startswith("not a call record of schema callsteward.call/1") for why in found.calls.values()
    )


async def test_nothing_to_save_is_no_transaction(store: Store) -> None:
    assert await store.save([]) == []


async def test_many_records_at_once_keep_their_order(store: Store, record: Build) -> None:
    many = [record(call_id=str(number)) for number in range(1300)]
    assert await store.save(many) == many
    # more than one page, all with the same start: no record is skipped or given twice
    assert await _ids(store) == [str(number) for number in range(1300)]
    assert await _ids(store, limit=1100) == [str(number) for number in range(1100)]


async def test_calls_are_found_by_the_half_open_span_they_started_in(store: Store, record: Build) -> None:
    await store.save(
        [
            record(call_id="late", started_at="2026-11-22T02:22:12.654Z"),
            record(call_id="early", started_at="2026-11-22T02:22:10.654Z"),
            record(call_id="mid", started_at="2026-11-22T02:22:11.654Z"),
        ]
    )
    assert await _ids(store) == ["early", "mid", "late"]
    assert await _ids(store, from_ms=START_MS) == ["mid", "late"]
    assert await _ids(store, to_ms=START_MS) == ["early"]
    assert await _ids(store, from_ms=START_MS, to_ms=START_MS + 1000) == ["mid"]


async def test_calls_are_found_by_line_and_outcome(store: Store, record: Build) -> None:
    await store.save(
        [
            record(call_id="1", line="sales", outcome=Outcome.ABANDONED),
            record(call_id="2", line="sales"),
            record(call_id="3", line="support", outcome=Outcome.ABANDONED),
        ]
    )
    assert await _ids(store, line="sales") == ["1", "2"]
    assert await _ids(store, outcome=Outcome.ABANDONED) == ["1", "3"]
    assert await _ids(store, line="sales", outcome=Outcome.ABANDONED) == ["1"]
    assert await _ids(store, line="sales", limit=1) == ["1"]
    assert await _ids(store, limit=0) == []


async def test_a_call_whose_start_nobody_saw_is_found_by_its_end(store: Store, record: Build) -> None:
    await store.save(
        [
            record(call_id="no start", started_at=None, complete=False),
            record(call_id="neither", started_at=None, ended_at=None, complete=False),
        ]
    )
    end_ms = 1_795_314_180_000
    assert await _ids(store, from_ms=end_ms, to_ms=end_ms + 1) == ["no start"]
    # of which nothing is known is listed by when it was stored: no contact goes unnoticed
    assert sorted(await _ids(store)) == ["neither", "no start"]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_saved_records_are_on_disk_for_another_process(
    store: Store, record: Build, tmp_path: Path
) -> None:
    await store.save([record(call_id="1")])
    # the file as a crash would leave it: the write-ahead log not folded in yet
    for name in ("calls.db", "calls.db-wal"):
        (tmp_path / f"crashed-{name}").write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "crashed-calls.db-wal").rename(tmp_path / "after.db-wal")
    (tmp_path / "crashed-calls.db").rename(tmp_path / "after.db")
    connection = sqlite3.connect(tmp_path / "after.db")
    assert connection.execute("SELECT call_id, started_at_ms, complete FROM calls").fetchall() == [
        ("1", START_MS, 1)
    ]
    connection.close()


async def test_a_listing_that_is_left_half_way_holds_no_lock(store: Store, record: Build) -> None:
    await store.save([record(call_id=str(number)) for number in range(600)])
    listing = store.calls(CallQuery())
    await anext(listing)
    assert len(await store.save([record(call_id="new")])) == 1


async def test_savers_at_once_wait_for_each_other(store: Store, record: Build) -> None:
    stored = await asyncio.gather(
        *(store.save([record(call_id=str(n % 10)), record(call_id=f"own {n}")]) for n in range(20))
    )
    assert sum(map(len, stored)) == 30
    assert len(await _ids(store)) == 30


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_writable_says_when_it_is_not(store: Store, tmp_path: Path) -> None:
    await store.writable()
    connection = sqlite3.connect(tmp_path / "calls.db")
    connection.execute("DROP TABLE alembic_version")
    connection.close()
    with pytest.raises(StoreError, match="cannot write to the database: no such table"):
        await store.writable()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_database_that_fails_is_a_store_error(store: Store, record: Build, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "calls.db")
    connection.execute("DROP TABLE calls")
    connection.close()
    with pytest.raises(StoreError, match="cannot write to the database: no such table"):
        await store.save([record()])
    with pytest.raises(StoreError, match="cannot read the database: no such table"):
        await _ids(store)


def test_text_that_is_no_record_is_named_so() -> None:
    with pytest.raises(StoreError, match=r"callsteward\.call/1"):
        decode("{}")
