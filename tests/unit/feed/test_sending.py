"""How messages leave: together where they wait together, and never more than the broker takes at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from callsteward.config import Config
from callsteward.feed import broker, broker_client
from callsteward.feed.broker_client import RefusedError
from callsteward.feed.outflow import join

PATIENCE_S = 5


def packet(text: bytes, *, command: int = 0x32, qos: int = 1, sent: int = 0) -> dict[str, Any]:
    return {
        "command": command,
        "mid": 1,
        "qos": qos,
        "pos": sent,
        "to_process": len(text) - sent,
        "packet": bytearray(text),
        "info": None,
    }


@pytest.mark.parametrize(
    ("waiting", "left"),
    [
        ([], []),
        ([packet(b"a")], [b"a"]),
        ([packet(b"a"), packet(b"b"), packet(b"c")], [b"abc"]),
        # What is half written goes on as it began.
        ([packet(b"ab", sent=1), packet(b"c"), packet(b"d")], [b"ab", b"cd"]),
        # An acknowledgement, a ping; a message that counts as sent once it is written.
        ([packet(b"a"), packet(b"b", command=0x40), packet(b"c"), packet(b"d")], [b"a", b"b", b"cd"]),
        ([packet(b"a"), packet(b"b", command=0x30, qos=0), packet(b"c")], [b"a", b"b", b"c"]),
        ([packet(b"a" * 9_000), packet(b"b" * 9_000), packet(b"c")], [b"a" * 9_000, b"b" * 9_000 + b"c"]),
        # Of a paho that keeps something else there.
        ([{"data": b"a"}, {"data": b"b"}], None),
    ],
)
def test_messages_that_wait_behind_each_other_are_written_in_one_go(
    waiting: list[dict[str, Any]], left: list[bytes] | None
) -> None:
    packets = deque(waiting)
    join(packets)
    if left is None:
        assert list(packets) == waiting
        return
    assert [bytes(one["packet"]) for one in packets] == left
    assert all(one["to_process"] == len(one["packet"]) - one["pos"] for one in packets)


class Opened:
    """A client whose messages go nowhere, and which is told by hand what the broker says to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
        self.client = broker.client(Config(), identifier="test")
        self.client.window = window
        self.published: list[str] = []
        monkeypatch.setattr(self.client._client, "publish", self._publish)

    def _publish(self, topic: str, *_more: object) -> SimpleNamespace:
        self.published.append(topic)
        return SimpleNamespace(rc=MQTTErrorCode.MQTT_ERR_SUCCESS, mid=len(self.published))

    def answer(self, topic: str, reason: int = 0) -> None:
        code = ReasonCode(PacketTypes.PUBACK, identifier=reason)
        number = 1 + self.published.index(topic)
        self.client._on_publish(self.client._client, None, number, code, None)  # type: ignore[arg-type]

    def deliver(self, topic: str) -> asyncio.Task[None]:
        return asyncio.create_task(self.client.deliver(topic, b"{}", retain=True, properties=None))


async def _go_on() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_messages_are_on_their_way_than_the_broker_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = Opened(monkeypatch, window=2)
    room: list[int] = []
    opened.client.on_room = lambda: room.append(opened.client.room)
    tasks = [opened.deliver(topic) for topic in "abcd"]
    await _go_on()
    assert (opened.published, opened.client.room) == (["a", "b"], 0)
    opened.answer("b")
    # Nobody goes before those who wait.
    assert opened.client.room == 0
    await _go_on()
    assert (opened.published, room) == (["a", "b", "c"], [])
    opened.answer("a")
    opened.answer("c")
    await _go_on()
    assert (opened.published, opened.client.room) == (["a", "b", "c", "d"], 1)
    opened.answer("d")
    assert room == [1, 2]
    await asyncio.gather(*tasks)


async def test_who_is_cancelled_while_waiting_for_room_leaves_it_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = Opened(monkeypatch, window=1)
    tasks = {topic: opened.deliver(topic) for topic in "abcd"}
    await _go_on()
    tasks["b"].cancel()
    await _go_on()
    opened.answer("a")
    # It has its turn, and is cancelled before it takes it.
    tasks["c"].cancel()
    await _go_on()
    assert opened.published == ["a", "d"]
    opened.answer("d")
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert opened.client.room == 1


async def test_each_is_told_what_the_broker_says_to_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch, window=10)
    accepted, refused = opened.deliver("a"), opened.deliver("b")
    await _go_on()
    opened.answer("b", 135)
    opened.answer("a")
    await accepted
    with pytest.raises(RefusedError, match="Not authorized"):
        await refused


async def test_a_broker_that_does_not_answer_is_given_up_for_all_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_client, "ANSWER_S", 0.2)
    opened = Opened(monkeypatch, window=10)
    first = opened.deliver("a")
    await asyncio.sleep(0.1)
    second, third = opened.deliver("b"), opened.deliver("c")
    await _go_on()
    opened.answer("a")
    await first
    async with asyncio.timeout(PATIENCE_S):
        for task in (second, third):
            with pytest.raises(aiomqtt.MqttError, match="the broker does not answer"):
                await task
