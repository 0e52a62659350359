import asyncio

import pytest

from callsteward.ari.frames import FrameQueue
from callsteward.health import Counters


def taken(frames: FrameQueue) -> list[bytes]:
    return [frame.raw for frame in frames.take(100)]


async def test_frames_leave_in_order_of_arrival():
    frames = FrameQueue(Counters())
    frames.put(b"1")
    frames.put("2")
    assert taken(frames) == [b"1", b"2"]
    assert frames.depth == 0


async def test_each_frame_keeps_its_place_in_the_connection_even_packed():
    frames = FrameQueue(Counters(), limit_bytes=4_000_000)
    for number in range(3000):
        frames.put(b"x" * 1000, number + 1)
    frames.put(b"ours")
    places = [frame.position for frame in frames.take(5000)]
    assert places == [*range(1, 3001), 0]


async def test_frames_that_arrived_while_the_lists_were_read_follow_the_snapshot():
    frames = FrameQueue(Counters())
    frames.put(b"before")
    frames.hold()
    frames.put(b"during")
    assert frames.depth == 2
    frames.release(b"snapshot")
    frames.put(b"after")
    assert taken(frames) == [b"before", b"snapshot", b"during", b"after"]


async def test_a_hold_that_came_to_nothing_loses_no_frame():
    frames = FrameQueue(Counters())
    frames.hold()
    frames.put(b"1")
    frames.release()
    assert taken(frames) == [b"1"]


async def test_waiting_ends_with_a_frame_a_timeout_or_a_wake():
    frames = FrameQueue(Counters())
    assert not await frames.wait(0.001)
    frames.put(b"1")
    assert await frames.wait(None)
    taken(frames)
    assert not await frames.wait(0.001)
    frames.wake()
    assert await frames.wait(None)


async def test_settled_waits_for_what_was_put_before_and_not_for_what_came_later():
    frames = FrameQueue(Counters())
    await frames.settled()
    frames.put(b"1")
    waiting = asyncio.create_task(frames.settled())
    await asyncio.sleep(0)
    frames.put(b"2")
    assert len(frames.take(1)) == 1
    await asyncio.sleep(0)
    assert not waiting.done()
    await frames.done(1)
    async with asyncio.timeout(60):
        await waiting


async def test_the_queue_is_bounded_in_bytes_and_counts_its_depth():
    counters = Counters()
    frames = FrameQueue(counters, limit_bytes=10)
    frames.put(b"12345")
    frames.put(b"12345")
    assert not frames.full
    frames.put(b"1")
    assert frames.full
    assert counters.max_depth == 3
    assert counters.frames == 3
    frames.take(1)
    assert not frames.full


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_batch_has_at_most_its_limit(limit):
    frames = FrameQueue(Counters())
    for number in range(4):
        frames.put(b"%d" % number)
    assert len(frames.take(limit)) == min(limit, 4)
