"""A socket that rests: what comes meanwhile is read afterwards, in one go, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callsteward.ari.frames import FrameQueue
from callsteward.ari.pacing import Pacing, transport_of
from callsteward.ari.reader import Reader
from callsteward.health import Counters
from callsteward.network.waiting import cancelled
from tests.unit.ari.test_websocket import talking

REST_S = 0.3
PATIENCE_S = 5


@asynccontextmanager
async def drained(opened_by: str) -> AsyncIterator[tuple[FrameQueue, Any, asyncio.Task[str]]]:
    """Frames that are read off a websocket, its other end, and who reads."""
    frames = FrameQueue(Counters())
    async with talking() as (ours, theirs, _):
        near, far = (ours, theirs) if opened_by == "Asterisk" else (theirs, ours)
        reading = asyncio.create_task(Reader(near, frames).drain())
        await far.send_str("first")
        await arrived(frames, b"first")
        yield frames, far, reading
        await cancelled(reading)


async def arrived(frames: FrameQueue, *expected: bytes) -> None:
    """Take frames until all of these have come."""
    taken: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < len(expected):
            await frames.wait(None)
            taken += [frame.raw for frame in frames.take(100)]
    assert taken == list(expected)


either_way = pytest.mark.parametrize("opened_by", ["Asterisk", "us"])


@either_way
async def test_what_comes_during_a_rest_is_read_after_it_in_one_go(opened_by: str) -> None:
    async with drained(opened_by) as (frames, far, _):
        began_s = time.monotonic()
        frames.pacing.rest(REST_S)
        for text in ("a", "b", "c"):
            await far.send_str(text)
            await asyncio.sleep(0.02)
        assert frames.depth == 0
        await frames.wait(PATIENCE_S)
        assert time.monotonic() - began_s >= REST_S
        # All of them before anybody else has had a turn.
        assert [frame.raw for frame in frames.take(100)] == [b"a", b"b", b"c"]
        await far.send_str("d")
        await arrived(frames, b"d")


@either_way
async def test_the_end_of_a_connection_is_noticed_after_a_rest(opened_by: str) -> None:
    async with drained(opened_by) as (frames, far, reading):
        frames.pacing.rest(REST_S)
        await far.send_str("last")
        far_end = asyncio.create_task(far.close())
        async with asyncio.timeout(PATIENCE_S):
            await reading
        assert [frame.raw for frame in frames.take(100)] == [b"last"]
        await cancelled(far_end)


@either_way
async def test_who_stops_reading_ends_the_rest(opened_by: str) -> None:
    """Later frames are for whoever closes the connection."""
    async with drained(opened_by) as (frames, far, reading):
        frames.pacing.rest(60)
        await cancelled(reading)
        frames.pacing.rest(60)
        async with asyncio.timeout(PATIENCE_S):
            await far.close()


async def test_a_second_rest_during_the_first_changes_nothing() -> None:
    async with drained("us") as (frames, far, _):
        began_s = time.monotonic()
        frames.pacing.rest(REST_S)
        frames.pacing.rest(60)
        await far.send_str("a")
        await arrived(frames, b"a")
        assert REST_S <= time.monotonic() - began_s < PATIENCE_S


async def test_a_socket_that_cannot_rest_is_read_all_the_time() -> None:
    pacing = Pacing()
    assert transport_of(object()) is None
    pacing.begin(None)
    pacing.rest(60)
    pacing.end()
