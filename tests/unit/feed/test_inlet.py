"""A packet larger than the bound, as paho reads it from a socket: its head is kept, the rest is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from callsteward.feed.inlet import LARGEST_PACKET, Inlet


def publish(topic: bytes, payload: bytes, *, retain: bool = False) -> bytes:
    """A PUBLISH of MQTT 3.1.1 with QoS 0."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    length, count = b"", len(body)
    while True:
        count, digit = divmod(count, 128)
        length += bytes([digit | (128 if count else 0)])
        if not count:
            break
    return bytes([0x30 | retain]) + length + body


class Reader:
    """A paho client on one end of a pair of sockets."""

    def __init__(self) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.client._sock = near
        self.inlet = Inlet(self.client)
        self.heard: list[tuple[str, int, int]] = []
        self.client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, len(message.payload), self.inlet.cut())
        )
        self.most = 0

    def read(self, data: bytes) -> None:
        """Have all of it sent, and read it."""
        sender = threading.Thread(target=self.far.sendall, args=(data,))
        sender.start()
        heard = len(self.heard)
        while sender.is_alive() or len(self.heard) == heard:
            self.client.loop_read()
            self.most = max(self.most, len(self.client._in_packet["packet"]))
        sender.join()
        while self.client.loop_read() == 0 and self.pending:
            pass

    @property
    def pending(self) -> bool:
        assert self.client._sock is not None
        try:
            return bool(self.client._sock.recv(1, socket.MSG_PEEK))  # type: ignore[call-arg]
        except BlockingIOError:
            return False


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.far.close()
    assert made.client._sock is not None
    made.client._sock.close()


def test_a_large_packet_is_cut_and_what_follows_is_whole(reader: Reader) -> None:
    large, small = publish(b"a/b", b"x" * 10_000_000), publish(b"c", b"hello")
    reader.read(small + large + small)
    assert reader.heard == [
        ("c", 5, 0),
        ("a/b", LARGEST_PACKET + 1 - 5, 10_000_005),
        ("c", 5, 0),
    ]
    assert reader.most <= LARGEST_PACKET + 1


@pytest.mark.parametrize(("more", "cut"), [(0, 0), (1, 1), (2, 1)])
def test_the_bound_itself(reader: Reader, more: int, cut: int) -> None:
    reader.read(publish(b"t", b"x" * (LARGEST_PACKET - 3 + more)))
    ((topic, size, told),) = reader.heard
    assert (topic, told) == ("t", (LARGEST_PACKET + more) * cut)
    assert size == min(LARGEST_PACKET - 3 + more, LARGEST_PACKET - 2)


def test_the_longest_topic_of_mqtt_is_still_read(reader: Reader) -> None:
    """A retained message is deleted by its topic."""
    topic = b"t" * 65_535
    reader.read(publish(topic, b"x" * 1_000_000))
    assert reader.heard[0][0] == topic.decode()


def test_an_unknown_paho_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mqtt.Client, "_sock_recv")
    with structlog.testing.capture_logs() as logs:
        inlet = Inlet(mqtt.Client(CallbackAPIVersion.VERSION2))
    assert [entry["action"] for entry in logs] == ["mqtt_unbounded"]
    assert inlet.cut() == 0
