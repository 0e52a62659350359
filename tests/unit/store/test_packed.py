"""Records are kept compressed, and come back byte for byte."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

import callsteward
from callsteward.exceptions import StoreError
from callsteward.intervals.store import IntervalStore
from callsteward.lost.calls import LostCalls
from callsteward.record.call import Outcome, encode
from callsteward.record.facts import CallEnded
from callsteward.store.direct import flush
from callsteward.store.engine import alembic_config, writing
from callsteward.store.packed import pack, unpacked
from callsteward.store.records import CallQuery, Store
from callsteward.store.stored import RECORD as RECORD_COLUMNS
from callsteward.store.stored import decode, record_in
from callsteward.store.tables import calls
from callsteward.tags.book import TagBook
from tests.bench.year_calls import records
from tests.unit.store.samples import RECORD


def test_records_of_a_year_come_back_byte_for_byte_in_an_eighth_of_their_bytes() -> None:
    lines = [encode(record) for record in itertools.islice(records(20_000), 500)]
    packed = [pack(line) for line in lines]
    assert [unpacked(item) for item in packed] == lines
    assert sum(map(len, packed)) < sum(map(len, lines)) / 7


@given(st.binary(max_size=20_000))
def test_any_bytes_come_back(line: bytes) -> None:
    assert unpacked(pack(line)) == line


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda packed: b"", "dictionary none"),
        (lambda packed: b"\x07" + packed[1:], "compressed with dictionary 7; this callsteward knows up to 1"),
        (lambda packed: packed[:-3], "is cut off"),
        (lambda packed: packed + b"x", "has more behind it"),
        (lambda packed: packed[:1] + b"\xff" * 20, "is damaged"),
    ],
)
def test_a_damaged_record_is_refused_with_the_reason(damage: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(StoreError, match=said):
        unpacked(damage(pack(b'{"schema":"callsteward.call/1"}')))


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def compress(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def store(store_url: str, compress: bool) -> AsyncIterator[Store]:
    opened = await Store.open(store_url, compress=compress)
    yield opened
    await opened.close()


async def test_a_record_is_in_one_of_two_columns_and_is_the_same_line(store: Store, compress: bool) -> None:
    await store.save([RECORD])
    async with store.engine.connect() as connection:
        (row,) = await connection.execute(select(*RECORD_COLUMNS))
    line = encode(RECORD)
    assert (row.record, row.packed) == (("", pack(line)) if compress else (line.decode(), None))
    assert decode(record_in(row)) == RECORD


async def test_records_are_compressed_in_sqlite_and_in_postgresql_where_the_configuration_wants_it(
    store_url: str,
) -> None:
    """There a daemon of an earlier version may still read."""
    store = await Store.open(store_url)
    await store.save([RECORD])
    async with store.engine.connect() as connection:
        packed = await connection.scalar(select(calls.c.packed))
    await store.close()
    assert (packed is not None) is store_url.startswith("sqlite")


async def test_every_reader_reads_both_forms(store: Store, store_url: str, compress: bool) -> None:
    other = await Store.open(store_url, compress=not compress)
    both = [
        msgspec.structs.replace(RECORD, call_id="first", outcome=Outcome.ABANDONED),
        msgspec.structs.replace(RECORD, call_id="second", outcome=Outcome.ABANDONED, operator="102"),
    ]
    await store.save(both[:1])
    await other.save(both[1:])
    await other.close()
    engine = store.engine
    lost, book = LostCalls(engine, "main"), TagBook(engine, "main")
    lost.note([CallEnded(record, "+79031234567") for record in both], str)
    await flush(engine)
    assert [found async for found in store.calls(CallQuery())] == both
    assert [found async for _, found in store.stored("main", from_ms=0, to_ms=1 << 60)] == both
    assert await lost.listed() == both
    assert [await book.record(record.call_id) for record in both] == both
    # 101 was rung by both, and talked; the later row is asked first.
    assert [await book.last_of(operator, 0) for operator in ("101", "102", "103")] == [both[1], both[1], None]
    contacts = [
        contact.record
        async for page in IntervalStore(engine, "main").contacts(0, 1 << 60)
        for contact in page
    ]
    assert contacts == both


async def test_a_schema_without_compressed_records_gets_them_back(store: Store) -> None:
    records = [msgspec.structs.replace(RECORD, call_id=str(number)) for number in range(3)]
    await store.save(records)

    def down_and_up(connection: Connection) -> list[str]:
        alembic = alembic_config(connection)
        command.downgrade(alembic, "0014")
        lines = list(connection.scalars(text("SELECT record FROM calls ORDER BY id")))
        command.upgrade(alembic, "head")
        return lines

    async with writing(store.engine) as connection:
        lines = await connection.run_sync(down_and_up)
    assert lines == [encode(record).decode() for record in records]
    assert [found async for found in store.calls(CallQuery())] == records


def test_the_columns_of_a_record_are_read_in_one_place() -> None:
    """SQL that looks into one of them alone would miss the records in the other one."""
    package = Path(callsteward.__file__).parent
    named = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if path.parent.name != "versions"
        and re.search(r"calls\.c\.(record|packed)\b", path.read_text(encoding="utf-8"))
    }
    assert named == {"store/stored.py", "store/holdings.py"}
