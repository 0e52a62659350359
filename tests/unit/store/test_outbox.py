"""The outbox's table: in the transaction of what it tells, in order, bounded."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from callsteward import features
from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.record.call import CallRecord
from callsteward.store import outbox as outbox_module
from callsteward.store.engine import writing
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox, OutboxSize, enqueue
from callsteward.store.records import CallQuery, Store

Build = Callable[..., CallRecord]
NOW = 1_795_348_800_000


def message(number: int, site: str = "main", size: int = 100) -> Outgoing:
    return Outgoing(
        site=site,
        message_id=f"id {number}",
        kind="record",
        line="support" if number % 2 else "sales",
        topic=f"topic/{number}",
        payload=b'"' + b"x" * (size - 2) + b'"',
        made_at_ms=NOW + number,
    )


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url, features.tells(Config()).outgoing)
    yield opened
    await opened.close()


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return Outbox(store.engine, "main")


async def drop(outbox: Outbox, size: int) -> list[str]:
    """As `Delivery` does it when the outbox is full."""
    names = await outbox.oldest(size)
    await outbox.drop(names)
    return names


async def test_a_new_record_is_stored_with_its_message_and_a_known_one_with_none(
    store: Store, outbox: Outbox, record: Build
) -> None:
    await store.save([record(call_id="1"), record(call_id="2")])
    await store.save([record(call_id="2"), record(call_id="3")])
    waiting = await outbox.after(0, 10)
    bodies = [msgspec.json.decode(item.payload) for item in waiting]
    assert [body["call_id"] for body in bodies] == ["1", "2", "3"]
    assert [item.message_id for item in waiting] == [body["message_id"] for body in bodies]
    assert {item.topic for item in waiting} == {"callsteward/main/calls/support/ended"}
    assert {(body["boot_id"], body["seq"]) for body in bodies} == {("", 0)}
    assert [(item.retain, item.expire_s) for item in waiting] == [(False, None)] * 3


async def test_if_the_message_cannot_be_made_the_record_is_not_stored(tmp_path: Path, record: Build) -> None:
    def fails(_fact: object, _stored_ms: int | None = None, /) -> list[Outgoing]:
        raise ZeroDivisionError

    store = await Store.open(f"sqlite:///{tmp_path}/calls.db", fails)
    with pytest.raises(ZeroDivisionError):
        await store.save([record()])
    assert [item async for item in store.calls(CallQuery())] == []
    await store.close()


async def test_messages_come_in_the_order_they_were_put_in_a_page_at_a_time(outbox: Outbox) -> None:
    await outbox.put([message(number) for number in range(1300)])
    found, last = [], 0
    while page := await outbox.after(last, 500):
        assert len(page) <= 500
        found += [item.topic for item in page]
        last = page[-1].id
    assert found == [f"topic/{number}" for number in range(1300)]


async def test_an_id_is_never_given_out_twice(outbox: Outbox) -> None:
    """A reader that has seen id 3 would pass over a new message of that id."""
    await outbox.put([message(1), message(2), message(3)])
    waiting = await outbox.after(0, 10)
    await outbox.remove([item.message_id for item in waiting])
    await outbox.put([message(4)])
    assert [item.topic for item in await outbox.after(waiting[-1].id, 10)] == ["topic/4"]


async def test_a_message_that_waits_is_not_put_in_again_one_that_was_sent_is(outbox: Outbox) -> None:
    await outbox.put([message(1), message(2)])
    await outbox.put([message(2), message(1), message(3)])
    assert [item.topic for item in await outbox.after(0, 10)] == ["topic/1", "topic/2", "topic/3"]
    await outbox.remove([item.message_id for item in await outbox.after(0, 2)])
    await outbox.put([message(1)])
    assert [item.topic for item in await outbox.after(0, 10)] == ["topic/3", "topic/1"]


async def test_each_site_has_an_outbox_of_its_own(store: Store, outbox: Outbox) -> None:
    other = Outbox(store.engine, "perm")
    await outbox.put([message(1), message(2, site="perm"), message(1, site="perm")])
    assert [item.topic for item in await outbox.after(0, 10)] == ["topic/1"]
    assert (await other.measure()).messages == 2
    assert len(await drop(other, 1000)) == 2
    assert await outbox.drops() == []
    assert (await outbox.measure()).messages == 1


async def test_a_transaction_that_fails_leaves_no_message(store: Store, outbox: Outbox) -> None:
    async def change_and_fail() -> None:
        async with writing(store.engine) as connection:
            await enqueue(connection, [message(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    async with writing(store.engine) as connection:
        await enqueue(connection, [])
    assert await outbox.measure() == OutboxSize(0, 0, None)


async def test_it_says_how_much_waits(outbox: Outbox) -> None:
    await outbox.put([message(number, size=50) for number in range(5)])
    assert await outbox.measure() == OutboxSize(5, 250, NOW)
    assert await outbox.waiting() == [("record", "sales", 3), ("record", "support", 2)]


async def test_the_oldest_are_dropped_but_not_what_is_on_its_way(outbox: Outbox) -> None:
    await outbox.put([message(number) for number in range(1000)])
    names = [item.message_id for item in await outbox.after(0, 1000)]
    before_ms = time.time() * 1000 - 1
    assert await outbox.oldest(60_050, spare=names[:3]) == names[3:604]
    assert (await outbox.measure()).messages == 1000
    await outbox.drop(names[3:604])
    left = await outbox.after(0, 1000)
    assert [item.message_id for item in left] == names[:3] + names[604:]
    [drop] = await outbox.drops()
    assert (drop.messages, drop.from_ms, drop.to_ms) == (601, NOW + 3, NOW + 603)
    assert before_ms <= drop.at_ms <= time.time() * 1000


async def test_drops_close_together_are_one_time_it_was_full(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outbox.put([message(number) for number in range(9)])
    await drop(outbox, 200)
    await drop(outbox, 300)
    assert [(drop.messages, drop.from_ms, drop.to_ms) for drop in await outbox.drops()] == [(5, NOW, NOW + 4)]
    monkeypatch.setattr(outbox_module, "_SAME_DROP_MS", -1)
    await drop(outbox, 100)
    assert [drop.messages for drop in await outbox.drops()] == [1, 5]
    assert [drop.messages for drop in await outbox.drops(1)] == [1]


async def test_dropping_more_than_there_is_empties_it_and_dropping_nothing_notes_nothing(
    outbox: Outbox,
) -> None:
    assert await drop(outbox, 100) == []
    assert await outbox.drops() == []
    await outbox.put([message(1)])
    assert len(await drop(outbox, 10_000)) == 1
    assert (await outbox.measure()).messages == 0


async def test_two_hundred_records_a_second_are_stored_in_far_less(store: Store, record: Build) -> None:
    """Batched as the pump does it: 20 transactions of 10."""
    begun = time.process_time()
    for batch in range(20):
        await store.save([record(call_id=f"{batch}.{number}") for number in range(10)])
    # Of the process's own work: how long the disk and the machine's other programs take is not ours.
    assert time.process_time() - begun < 5


async def test_writers_at_once_neither_fail_nor_lose(store: Store, outbox: Outbox, record: Build) -> None:
    async def remover() -> None:
        for _ in range(10):
            await outbox.remove([item.message_id for item in await outbox.after(0, 5)])

    saves = (store.save([record(call_id=str(number))]) for number in range(60))
    await asyncio.gather(*saves, remover())
    left = (await outbox.measure()).messages
    assert len([item async for item in store.calls(CallQuery())]) == 60
    assert 10 <= left <= 60


async def test_a_database_that_fails_is_a_store_error(store: Store, outbox: Outbox) -> None:
    async with writing(store.engine) as connection:
        await connection.exec_driver_sql("DROP TABLE outbox")
    for attempt in (outbox.after(0, 1), outbox.remove(["1"]), outbox.measure(), outbox.put([message(1)])):
        with pytest.raises(StoreError):
            await attempt


async def test_records_are_found_by_when_they_were_stored(
    store: Store, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, seconds in enumerate((10, 20, 30)):
        monkeypatch.setattr(time, "time_ns", lambda seconds=seconds: seconds * 1_000_000_000)
        line = "sales" if number else "support"
        await store.save([record(call_id=str(number), line=line), record(call_id=f"{number}", site="perm")])

    async def found(from_ms: int, to_ms: int, line: str | None = None) -> list[tuple[int, str]]:
        read = store.stored("main", from_ms=from_ms, to_ms=to_ms, line=line)
        return [(stored_ms, item.call_id) async for stored_ms, item in read]

    assert await found(0, 99_999) == [(10_000, "0"), (20_000, "1"), (30_000, "2")]
    assert await found(20_000, 30_000) == [(20_000, "1")]
    assert await found(0, 99_999, "sales") == [(20_000, "1"), (30_000, "2")]
