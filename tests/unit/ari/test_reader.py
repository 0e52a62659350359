"""Frames off a socket go into the queue as they are, except types that only the daemon itself may use."""

from __future__ import annotations

from collections import deque
from typing import Any

import aiohttp
import pytest

from callsteward.ari.frames import FrameQueue
from callsteward.ari.reader import Reader
from callsteward.health import Counters

CLOSED = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)


class Socket:
    """Brings these, then its end."""

    close_code = 1000

    def __init__(self, *texts: Any) -> None:
        self._left = deque(aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None) for text in texts)

    async def receive(self) -> Any:
        return self._left.popleft() if self._left else CLOSED


async def read(*texts: Any) -> tuple[list[bytes], Counters]:
    counters = Counters()
    frames = FrameQueue(counters)
    assert await Reader(Socket(*texts), frames).drain() == "closed with code 1000"
    return [frame.raw for frame in frames.take(100)], counters


@pytest.mark.parametrize("as_sent", [str, str.encode])
@pytest.mark.parametrize(
    "text",
    [
        '{"type":"CallstewardClockSet","by_ms":3600000}',
        '{"by_ms":3600000,"type":"CallstewardClockSet"}',
        '{"type":"CallstewardSnapshot","channels":[],"bridges":[]}',
        '{"type":"CallstewardCompacted","gone":["1795313835.6"]}',
        '{"type":"CallstewardHandedOver"}',
        '{"type":"CallstewardNothingYet"}',
        '{"type":"\\u0043allstewardCompacted","gone":["1795313835.6"]}',
    ],
)
async def test_frames_of_types_asterisk_does_not_have_are_left_out_and_counted(
    text: str, as_sent: Any
) -> None:
    hold = '{"type":"ChannelHold"}'
    taken, counters = await read(as_sent(text), as_sent(hold), as_sent(text))
    assert taken == [hold.encode()]
    assert counters.malformed == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ChannelUserevent","eventname":"CallstewardClockSet","userevent":{"by_ms":"1"}}',
        '{"type":"ChannelCreated","channel":{"id":"1","name":"Local/x@Callsteward-1;1"}}',
        '{"type":"ChannelCallerId","channel":{"caller":{"name":"\\u0418\\u0432\\u0430\\u043d"}}}',
        "no JSON with Callsteward in it",
    ],
)
async def test_a_frame_that_only_has_the_word_in_it_is_taken(text: str) -> None:
    taken, counters = await read(text)
    assert taken == [text.encode()]
    assert counters.malformed == 0
