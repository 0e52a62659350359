"""From the outbox to the feed and out of it again, with a feed that only collects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import pytest

from callsteward.exceptions import StoreError
from callsteward.feed import delivery as delivery_module
from callsteward.feed.delivery import Delivery, Level, level
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox, OutboxSize, Stored
from callsteward.store.records import Store


def message(number: int, *, age_s: float = 60, kind: str = "record") -> Outgoing:
    return Outgoing(
        site="main",
        message_id=f"id {number}",
        kind=kind,
        line="support",
        topic=f"{number}",
        payload=b'{"x":"' + b"x" * 92 + b'"}',
        made_at_ms=int((time.time() - age_s) * 1000),
    )


class Kept:
    """A sink."""

    def __init__(self, room: int = 10_000) -> None:
        self.limit = room
        self.taken: list[Stored] = []
        self.flying: set[str] = set()
        self.gone: list[str] = []
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.levels: list[Level] = []
        self.idle = asyncio.Event()
        self.gone_at_level: list[list[Level]] = []

    @property
    def topics(self) -> list[int]:
        return [int(item.topic) for item in self.taken]

    def room(self) -> int:
        return self.limit - len(self.taken)

    def take(self, message: Stored) -> None:
        self.idle.clear()
        self.taken.append(message)

    def on_the_way(self) -> Collection[str]:
        return self.flying

    def forget(self, names: Collection[str]) -> int:
        self.forgotten = [item.message_id for item in self.taken if item.message_id in names]
        self.taken = [item for item in self.taken if item.message_id not in names]
        self.asked = list(names)
        return len(self.forgotten)

    def dropped(self, messages: int, taken: int) -> None:
        assert (messages, taken) == (len(self.asked), len(self.forgotten))
        self.gone += self.asked
        self.gone_at_level.append(list(self.levels))

    def caught_up(self) -> None:
        self.idle.set()

    def filled(self, now: Level, measure: OutboxSize, limit: int) -> None:
        assert measure.size > 0 or now is Level.NORMAL
        assert limit == 10_000
        self.levels.append(now)


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return Outbox(store.engine, "main")


@asynccontextmanager
async def running(outbox: Outbox, sink: Kept) -> AsyncIterator[Delivery]:
    delivery = Delivery(outbox, limit_bytes=10_000)
    task = asyncio.create_task(delivery.run(sink))
    try:
        yield delivery
    finally:
        delivery.stop()
        async with asyncio.timeout(60):
            await task


async def until(met: Callable[[], object], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_messages_of_an_earlier_process_are_sent_at_once_and_in_order(outbox: Outbox) -> None:
    await outbox.put([message(number) for number in range(700)])
    sink = Kept()
    async with running(outbox, sink) as delivery:
        async with asyncio.timeout(60):
            await sink.idle.wait()
        assert delivery.in_step
        assert sink.topics == list(range(700))


async def test_a_new_message_is_sent_directly_while_nothing_waits(outbox: Outbox) -> None:
    sink = Kept()
    async with running(outbox, sink) as delivery:
        await sink.idle.wait()
        await outbox.put([message(1, age_s=0), message(2, age_s=0)])
        assert delivery.release("id 1", room=1)
        assert delivery.release("id 2", room=1)
        # Neither later reads nor its age bring it from the disk a second time.
        await asyncio.sleep(3.2)
        assert sink.topics == []
        delivery.sent(["id 1", "id 2"])
        async with asyncio.timeout(60):
            while (await outbox.measure()).messages:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_messages_of_the_last_process_go_before_new_ones(outbox: Outbox) -> None:
    """A restart takes less than a second: its messages are young and released by nobody."""
    await outbox.put([message(1, age_s=0), message(2, age_s=0)])
    delivery = Delivery(outbox, limit_bytes=10_000)
    assert not delivery.release("id 2", room=1)
    sink = Kept()
    task = asyncio.create_task(delivery.run(sink))
    await until(lambda: delivery.in_step)
    assert sink.topics == [1, 2]
    delivery.stop()
    async with asyncio.timeout(60):
        await task


async def test_steps_of_callbacks_go_in_the_order_they_were_made_whoever_made_them(outbox: Outbox) -> None:
    sink = Kept()
    async with running(outbox, sink) as delivery:
        await sink.idle.wait()
        callback = "callback"
        await outbox.put([message(1, age_s=0, kind=callback)])  # the command line
        await outbox.put([message(2, age_s=0, kind=callback), message(3, age_s=0)])
        assert not delivery.release("id 2", room=9, by_hand=False)
        # A record does not pass the callback it announces.
        assert not delivery.release("id 3", room=9)
        await until(lambda: delivery.in_step)
        assert sink.topics == [1, 2, 3]


async def test_without_room_new_messages_wait_on_disk_in_order(outbox: Outbox) -> None:
    sink = Kept(room=3)
    async with running(outbox, sink) as delivery:
        await sink.idle.wait()
        await outbox.put([message(number, age_s=0) for number in range(8)])
        by_hand = [delivery.release(f"id {number}", room=2 - number) for number in range(5)]
        assert by_hand == [True, True, False, False, False]
        await until(lambda: sink.topics == [2, 3, 4])
        assert not delivery.release("id 5", room=sink.room())
        # The room that is free again belongs to the waiting messages.
        assert not delivery.release("id 6", room=9)
        sink.limit = 100
        delivery.go_on()
        await until(lambda: sink.topics[:5] == [2, 3, 4, 5, 6] and delivery.in_step)
        assert delivery.release("id 7", room=9)


async def test_a_message_released_during_a_read_is_read_too(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored and released after the read began: nothing released later may pass it."""
    delivery = Delivery(outbox, limit_bytes=10_000)
    after, reads = Outbox.after, []

    async def slow(self: Outbox, last: int, limit: int) -> list[Stored]:
        found = await after(self, last, limit)
        reads.append(len(found))
        if len(reads) == 1:
            await self.put([message(2, age_s=0)])
            assert not delivery.release("id 2", room=9)
        return found

    monkeypatch.setattr(Outbox, "after", slow)
    await outbox.put([message(1)])
    sink = Kept()
    task = asyncio.create_task(delivery.run(sink))
    await until(lambda: delivery.in_step)
    assert sink.topics == [1, 2], reads
    delivery.stop()
    async with asyncio.timeout(60):
        await task


async def test_a_message_of_another_process_holds_up_nobody(outbox: Outbox) -> None:
    sink = Kept()
    async with running(outbox, sink) as delivery:
        await sink.idle.wait()
        begun = time.monotonic()
        await outbox.put([message(1, age_s=0), message(2, age_s=0)])
        delivery.release("id 2", room=0)
        await until(lambda: sink.topics == [2])
        assert delivery.in_step
        # It is sent after it has waited a moment.
        await until(lambda: sink.topics == [2, 1])
        assert time.monotonic() - begun > 1.2


async def test_a_message_taken_from_disk_is_not_sent_directly_as_well(outbox: Outbox) -> None:
    sink = Kept()
    async with running(outbox, sink) as delivery:
        await outbox.put([message(1)])
        await until(lambda: sink.topics == [1] and delivery.in_step)
        assert not delivery.release("id 1", room=9)
        assert delivery.in_step


async def test_a_clock_that_was_set_back_holds_nothing_up(outbox: Outbox) -> None:
    sink = Kept()
    async with running(outbox, sink):
        await sink.idle.wait()
        await outbox.put([message(1, age_s=-7200)])
        await until(lambda: sink.topics == [1])


async def test_only_so_many_are_held_and_the_rest_follows_when_there_is_room(outbox: Outbox) -> None:
    await outbox.put([message(number) for number in range(60)])
    sink = Kept(room=25)
    async with running(outbox, sink) as delivery:
        await until(lambda: len(sink.taken) == 25)
        await asyncio.sleep(0.1)
        assert not delivery.in_step
        sink.limit = 60
        delivery.go_on()
        await until(lambda: sink.topics == list(range(60)))


async def test_acknowledged_messages_are_removed(outbox: Outbox) -> None:
    await outbox.put([message(number) for number in range(10)])
    sink = Kept()
    async with running(outbox, sink) as delivery:
        await until(lambda: len(sink.taken) == 10)
        delivery.sent([item.message_id for item in sink.taken[:4]])
        delivery.sent([item.message_id for item in sink.taken[4:6]])
        async with asyncio.timeout(60):
            while (await outbox.measure()).messages != 4:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert [item.topic for item in await outbox.after(0, 10)] == ["6", "7", "8", "9"]
    # What was acknowledged at the very end goes with the last flush.
    delivery.sent([sink.taken[6].message_id])
    await delivery.flush()
    assert delivery.measure.messages == 3


async def test_a_store_that_fails_for_a_while_is_tried_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await outbox.put([message(1)])
    failures = 2
    after = Outbox.after

    async def flaky(self: Outbox, last: int, limit: int) -> list[Stored]:
        nonlocal failures
        if failures:
            failures -= 1
            text = "the disk is on fire"
            raise StoreError(text)
        return await after(self, last, limit)

    monkeypatch.setattr(Outbox, "after", flaky)
    sink = Kept()
    async with running(outbox, sink):
        await until(lambda: sink.topics == [1])
    assert "the disk is on fire" in capsys.readouterr().out


async def test_a_failed_last_flush_is_logged_and_only_repeats_messages(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await outbox.put([message(1)])
    delivery = Delivery(outbox, limit_bytes=1)

    async def fails(_self: Outbox, _names: Sequence[str]) -> None:
        text = "read-only"
        raise StoreError(text)

    monkeypatch.setattr(Outbox, "remove", fails)
    delivery.sent(["id 1"])
    await delivery.flush()
    assert "read-only" in capsys.readouterr().out
    assert (await outbox.measure()).messages == 1


async def test_a_full_outbox_is_reported_before_anything_is_dropped(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.05)
    sink = Kept(room=0)
    async with running(outbox, sink) as delivery:
        await outbox.put([message(number) for number in range(150)])  # 15,000 bytes
        await until(lambda: sink.gone)
        assert sink.gone_at_level[0] == [Level.FILLING, Level.DROPPING]
        await until(lambda: delivery.measure.messages == 95)
        assert len(sink.gone) == 55
        assert delivery.measure.size <= 10_000
        sink.limit = 1000
        delivery.go_on()
        await until(lambda: len(sink.taken) == 95)
        assert sink.topics == list(range(55, 150))
        delivery.sent([item.message_id for item in sink.taken])
        await until(lambda: delivery.level is Level.NORMAL)
    assert sink.levels == [Level.FILLING, Level.DROPPING, Level.NORMAL]
    said = capsys.readouterr().out
    assert said.index("outbox_filling") < said.index("outbox_dropped") < said.index("outbox_normal")
    assert "feed status" in said


async def test_messages_being_sent_are_not_dropped(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.05)
    await outbox.put([message(number) for number in range(150)])
    sink = Kept(room=20)
    sink.flying = {item.message_id for item in await outbox.after(0, 20)}
    async with running(outbox, sink):
        await until(lambda: sink.gone)
        assert not sink.flying & set(sink.gone)
        assert [item.topic for item in await outbox.after(0, 21)][-1] == "75"


async def test_a_message_sent_during_the_search_is_not_dropped(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken, chosen to be dropped, and under way before that is done: it arrives, and is not counted."""
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.05)
    sink, oldest = Kept(room=20), Outbox.oldest

    async def slow(self: Outbox, size: int, *, spare: Collection[str] = ()) -> list[str]:
        found = await oldest(self, size, spare=spare)
        sink.flying |= {f"id {number}" for number in range(5)}
        delivery.sent(["id 5"])
        return found

    monkeypatch.setattr(Outbox, "oldest", slow)
    await outbox.put([message(number) for number in range(150)])
    async with running(outbox, sink) as delivery:
        await until(lambda: sink.gone)
        assert sink.gone[0] == "id 6"
        assert set(sink.topics) >= set(range(6))
        assert (await outbox.drops())[0].messages == len(sink.gone)


async def test_a_message_that_was_read_is_not_dropped_before_it_is_taken(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped and taken, it would be sent although it is counted as lost."""
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.01)
    after, sink = Outbox.after, Kept(room=0)

    async def slow(self: Outbox, last: int, limit: int) -> list[Stored]:
        found = await after(self, last, limit)
        await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(Outbox, "after", slow)
    async with running(outbox, sink):
        for first in range(0, 300, 50):
            await outbox.put([message(number) for number in range(first, first + 50)])
            sink.limit += 5
            await asyncio.sleep(0.07)
        await until(lambda: len(sink.gone) == 205)
        sink.limit = 1000
        await until(lambda: len(sink.taken) == 95)
        assert not {item.message_id for item in sink.taken} & set(sink.gone)


async def test_messages_that_could_not_be_dropped_come_again_in_order(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.05)
    sink, refusals = Kept(room=30), []

    async def refuse(_: Outbox, names: Sequence[str]) -> None:
        refusals.append(names)
        message = "the database is locked"
        raise StoreError(message)

    await outbox.put([message(number) for number in range(150)])
    async with running(outbox, sink) as delivery:
        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "drop", refuse)
            await until(lambda: refusals)
            await until(lambda: sink.topics == list(range(30)))
            assert len(sink.forgotten) == 30
            assert sink.gone == []
            assert not delivery.in_step
        await until(lambda: len(sink.gone) == 55)
        sink.limit = 1000
        delivery.go_on()
        await until(lambda: len(sink.taken) == 95)
        assert sink.topics == list(range(55, 150))


@pytest.mark.parametrize(
    ("before", "size", "now"),
    [
        (Level.NORMAL, 79, Level.NORMAL),
        (Level.NORMAL, 80, Level.FILLING),
        (Level.NORMAL, 500, Level.FILLING),
        (Level.FILLING, 101, Level.DROPPING),
        (Level.FILLING, 100, Level.FILLING),
        (Level.FILLING, 75, Level.FILLING),
        (Level.FILLING, 69, Level.NORMAL),
        (Level.DROPPING, 95, Level.DROPPING),
        (Level.DROPPING, 70, Level.DROPPING),
        (Level.DROPPING, 69, Level.NORMAL),
    ],
)
def test_a_level_is_left_only_well_below_where_it_began(before: Level, size: int, now: Level) -> None:
    assert level(before, size, 100) is now
