"""How messages leave: together where they wait together, and never more than the broker takes at a time."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from callsteward.config import Config
from callsteward.feed import broker, broker_client
from callsteward.feed.broker_client import RefusedError
from callsteward.feed.outflow import join
from callsteward.feed.topics import Topics
from callsteward.feed.wire import Wire

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


class Wired:
    """A client on one end of a pair of sockets; a test is the broker on the other one."""

    def __init__(self, version: str = "5") -> None:
        self.client = broker.client(Config(), identifier="test", version=version)
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.client._client._sock = near
        self.answers: list[tuple[str, str]] = []

    def send(self, *topics: str, properties: Properties | None = None) -> bytes:
        """Send these, and what the broker gets."""
        for topic in topics:
            self.client.send(
                topic,
                b"{}",
                retain=False,
                properties=properties,
                answered=lambda why, topic=topic: self.answers.append((topic, str(why))),  # type: ignore[misc]
            )
        self.client._client.loop_write()
        return self.far.recv(65_536)

    def hear(self, *chunks: bytes) -> None:
        """The broker says this; each chunk is read before the next one comes."""
        for chunk in chunks:
            self.far.sendall(chunk)
            assert self.client._client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        self.far.close()
        assert self.client._client._sock is not None
        self.client._client._sock.close()
        self.client._client._sock = None


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    made = Wired()
    yield made
    made.close()


def accepted(*numbers: int) -> bytes:
    return b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in numbers)


async def test_a_message_is_written_as_paho_itself_writes_it(wired: Wired) -> None:
    other = Wired()
    properties = Wire(Topics("callsteward", "main"), "off").publish("t", b"{}", "5", expiry_s=60)[1]
    sent = wired.send("callsteward/main/status", properties=properties)
    other.client._client.publish("callsteward/main/status", b"{}", 1, properties=properties)
    other.client._client.loop_write()
    assert sent == other.far.recv(65_536)
    other.close()


async def test_acknowledgements_that_come_together_are_all_read(wired: Wired) -> None:
    wired.send("a", "b", "c", "d")
    wired.hear(accepted(2, 1, 4))
    assert wired.answers == [("b", ""), ("a", ""), ("d", "")]
    assert wired.client.room == broker_client.WINDOW - 1
    wired.hear(accepted(3, 3, 77))
    assert wired.answers[3:] == [("c", "")]
    assert wired.client._client._out_messages == {}


async def test_an_acknowledgement_may_come_in_pieces(wired: Wired) -> None:
    wired.send("a", "b", "c")
    both = accepted(1, 2)
    for cut in range(1, 8):
        wired.answers.clear()
        wired.client._client._last_mid = 0
        wired.send("a", "b")
        wired.hear(both[:cut], both[cut:])
        assert wired.answers == [("a", ""), ("b", "")]


async def test_a_refusal_among_acknowledgements_is_told(wired: Wired) -> None:
    wired.send("a", "b", "c")
    why = b"\x1f" + (7).to_bytes(2, "big") + b"because"
    wired.hear(
        accepted(1) + b"\x40" + bytes([4 + len(why), 0, 2, 135, len(why)]) + why + b"\x40\x03\x00\x03\x10"
    )
    # 0x10: accepted, and nobody has subscribed.
    assert wired.answers == [("a", ""), ("b", "Not authorized"), ("c", "")]
    assert wired.client._client._out_messages == {}


async def test_a_message_of_the_broker_between_acknowledgements_is_read(wired: Wired) -> None:
    heard: list[str] = []
    wired.client._client.on_message = lambda _client, _data, message: heard.append(message.topic)
    wired.send("a", "b")
    wired.hear(accepted(1) + b"\x30\x04\x00\x01t\x00" + accepted(2))
    assert heard == ["t"]
    assert wired.answers == [("a", ""), ("b", "")]


async def test_a_message_that_paho_itself_sent_is_acknowledged_to_paho(wired: Wired) -> None:
    told: list[int] = []
    wired.client._client.on_publish = lambda _client, _data, mid, _code, _properties: told.append(mid)
    wired.send("a")
    info = wired.client._client.publish("t", b"", 1)
    wired.hear(accepted(1, info.mid))
    assert (told, wired.answers, info.is_published()) == ([info.mid], [("a", "")], True)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "t" * 65_536])
async def test_what_is_no_topic_to_publish_on_is_not_sent(wired: Wired, topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        wired.send(topic)
    assert wired.send("a")[:2] == b"\x32\x08"


async def test_another_release_of_paho_sends_by_its_public_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mqtt.Client, "_handle_pubackcomp")
    opened = Wired()
    published: list[str] = []

    def publish(topic: str, *_more: object) -> mqtt.MQTTMessageInfo:
        published.append(topic)
        info = mqtt.MQTTMessageInfo(1)
        info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        return info

    monkeypatch.setattr(opened.client._client, "publish", publish)
    opened.far.sendall(b"-")
    opened.client.send("a", b"{}", retain=False, properties=None, answered=lambda why: None)
    opened.client._on_publish(opened.client._client, None, 1, ReasonCode(PacketTypes.PUBACK), None)  # type: ignore[arg-type]
    assert (published, opened.client.room) == (["a"], broker_client.WINDOW)
    opened.close()


class Opened:
    """A client whose messages go nowhere, and which is told by hand what the broker says to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
        self.client = broker.client(Config(), identifier="test")
        self.client.window = window
        self.published: list[str] = []
        monkeypatch.setattr(self.client._client, "_send_publish", self._publish)

    def _publish(self, mid: int, topic: bytes, *_more: object, **_others: object) -> MQTTErrorCode:
        self.published.append(topic.decode())
        assert mid == len(self.published)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

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
