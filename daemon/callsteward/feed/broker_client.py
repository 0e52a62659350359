"""A client of the broker: sends messages with a window of unacknowledged ones, and reads within a bound."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import aiomqtt
import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from callsteward.feed.inlet import Inlet
from callsteward.feed.outflow import Outflow
from callsteward.network.tally import RefusalTally

# How long the broker may take to answer: CONNACK, PUBACK, DISCONNECT.
ANSWER_S = 10.0
CONNECT_S = 4.0
# Messages sent before the first is acknowledged, unless the broker asks for fewer: a busy PBX's second in a
# few round trips, and no more than a broken connection may reasonably send twice.
WINDOW = 100
# What MQTT can carry: see `paho.mqtt.client.Client.publish`.
_LARGEST_PAYLOAD = 268_435_455
_LONGEST_TOPIC = 65_535

# The name under which an admin knows these lines.
log = structlog.get_logger("callsteward.feed.broker")


@functools.lru_cache(maxsize=4096)
def _valid(topic: str) -> bytes:
    """A topic as it is sent. Raises ValueError if it is none to publish on."""
    if not topic or "+" in topic or "#" in topic:
        message = f"not a topic to publish on: {topic[:80]!r}"
        raise ValueError(message)
    encoded = topic.encode()
    if len(encoded) > _LONGEST_TOPIC:
        message = f"a topic of {len(encoded)} bytes is too long"
        raise ValueError(message)
    return encoded


class UnansweredError(aiomqtt.MqttError):
    """The broker did not answer to CONNECT, or ended the connection instead."""


class RefusedError(Exception):
    """The broker has answered a message with an error (MQTT 5): it has not accepted it, and never will."""


Answered = Callable[[str | aiomqtt.MqttError], None]
Admit = Callable[["BrokerClient", aiomqtt.Message], bool]
TooLarge = Callable[["BrokerClient", str, bool], None]


class _Sent(NamedTuple):
    """A message on its way: until when the broker may answer (of the loop's clock), and who is told."""

    until_s: float
    answered: Answered


class BrokerClient(aiomqtt.Client):
    """An aiomqtt client that can be given up while it connects, and that checks the broker's answers.

    No message sent to it costs more memory than LARGEST_PACKET (`inlet`).
    """

    def __init__(self, *arguments: Any, admit: Admit, on_too_large: TooLarge, **options: Any) -> None:
        # By packet id, in the order in which they were sent.
        self._answers: dict[int, _Sent] = {}
        self.window = WINDOW
        """The most messages sent and not yet acknowledged."""
        # Who waits in `deliver`, and how many of those have their turn and have not sent yet.
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._promised = 0
        self.on_room: Callable[[], None] = lambda: None
        """Called when there is room for a message again, and nobody waits in `deliver` for it."""
        # paho's own limit of 20 is off: it would hide in its queue what it has not sent.
        super().__init__(*arguments, max_inflight_messages=0, **options)
        self._inlet = Inlet(self._client, self._accepted)
        self._read_acknowledgement: Callable[[Any], MQTTErrorCode] | None = getattr(
            self._client, "_handle_pubackcomp", None
        )
        self._by_itself = self._takes_packets()
        self._outflow = Outflow(self._client)
        self._thread = threading.get_ident()
        self._waits_to_write = False
        self._overdue: asyncio.TimerHandle | None = None
        # As long as a stop may take at most: the thread that connects cannot be interrupted, whatever the
        # other side does (a TLS handshake of a byte a second).
        self._client.connect_timeout = CONNECT_S
        self._tally = RefusalTally(log)
        self._admit = admit
        self._on_too_large = on_too_large

    def hang_up(self) -> bool:
        """Close the socket at once, even before the broker has answered on it; False: there is none."""
        if self._client.socket() is None:
            return False
        self._client.disconnect()
        return True

    async def listen(self, topic: str, *, retained: bool = True) -> Sequence[int | ReasonCode]:
        """Subscribe with QoS 1. `retained` False: if MQTT 5 allows it, only to messages from now on.

        Returns the broker's answer. Raises MqttError.
        """
        if retained or self._client.protocol != mqtt.MQTTv5:
            return await self.subscribe(topic, qos=1)
        none = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        return await self.subscribe(topic, options=none)

    def forget(self, topic: str) -> None:
        """Have the broker forget the retained message on a topic. Does not wait for the answer."""
        self._client.publish(topic, b"", 0, retain=True)

    @property
    def room(self) -> int:
        """How many more messages may be sent now."""
        return 0 if self._waiting else max(0, self.window - len(self._answers) - self._promised)

    def send(
        self, topic: str, payload: bytes, *, retain: bool, properties: Properties | None, answered: Answered
    ) -> None:
        """Publish with QoS 1, where there is `room`; `answered` is called with what the broker says to it.

        Messages go out in the order of the calls. `answered` gets an empty text if the broker has accepted
        the message, why it has not (MQTT 5), or an MqttError if it does not answer. Raises ValueError if MQTT
        cannot carry it, MqttError.
        """
        if self._by_itself:
            mid, code = self._put(topic, payload, retain=retain, properties=properties)
        else:
            sent = self._client.publish(topic, payload, 1, retain, properties)
            mid, code = sent.mid, sent.rc
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(code, "Could not publish message")
        self._answers[mid] = _Sent(self._loop.time() + ANSWER_S, answered)
        if self._overdue is None:
            self._overdue = self._loop.call_later(ANSWER_S, self._look_for_overdue)

    def _takes_packets(self) -> bool:
        """Keep the account of messages here instead of in paho, where this release of paho allows it.

        For each message paho keeps an object with a lock and a condition, to send it again on a later
        connection and for threads that wait for it. Neither is of use here: each connection has a client of
        its own, and the feed sends again what was not acknowledged.
        """
        parts = ("_send_publish", "_mid_generate", "_out_messages")
        if not self._inlet.known or self._read_acknowledgement is None:
            return False
        if not all(hasattr(self._client, part) for part in parts):
            return False
        self._client._handle_pubackcomp = self._acknowledged  # type: ignore[method-assign]  # noqa: SLF001
        return True

    def _put(
        self, topic: str, payload: bytes, *, retain: bool, properties: Properties | None
    ) -> tuple[int, MQTTErrorCode]:
        """Have paho make the packet of a message and write it; the packet's id, and what paho says to it."""
        if len(payload) > _LARGEST_PAYLOAD:
            message = f"a payload of {len(payload)} bytes is too large"
            raise ValueError(message)
        client = self._client
        mid = client._mid_generate()  # noqa: SLF001
        return mid, client._send_publish(  # noqa: SLF001
            mid, _valid(topic), payload, 1, retain, dup=False, info=None, properties=properties
        )

    def _acknowledged(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        """An acknowledgement that paho reads, since it says more: paho is to know its message."""
        assert self._read_acknowledgement is not None
        packet = self._client._in_packet["packet"]  # noqa: SLF001
        mid = int.from_bytes(packet[:2], "big")
        if mid in self._answers:
            self._client._out_messages[mid] = mqtt.MQTTMessage(mid)  # noqa: SLF001
        return self._read_acknowledgement(cmd)

    def _accepted(self, mid: int) -> bool:
        """The broker has accepted a message; False if it is none of those sent here."""
        sent = self._answers.pop(mid, None)
        if sent is None:
            return False
        sent.answered("")
        self._let_one_go()
        return True

    async def deliver(
        self, topic: str, payload: bytes, *, retain: bool, properties: Properties | None
    ) -> None:
        """Publish with QoS 1 and return once the broker has accepted it, which aiomqtt's own does not check.

        With `window` messages unacknowledged it waits. Raises RefusedError if the broker refused it,
        ValueError if MQTT cannot carry it, MqttError.
        """
        await self._for_room()
        answer: asyncio.Future[str] = self._loop.create_future()

        def answered(why: str | aiomqtt.MqttError) -> None:
            if answer.done():
                return
            if isinstance(why, aiomqtt.MqttError):
                answer.set_exception(why)
            else:
                answer.set_result(why)

        self.send(topic, payload, retain=retain, properties=properties, answered=answered)
        if why := await answer:
            raise RefusedError(why)

    async def _for_room(self) -> None:
        if self.room:
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:
                # It had its turn, and does not take it.
                self._promised -= 1
                self._let_one_go()
            raise
        self._promised -= 1

    def _let_one_go(self) -> None:
        if len(self._answers) + self._promised >= self.window:
            return
        if self._waiting:
            self._promised += 1
            self._waiting.popleft().set_result(None)
        else:
            self.on_room()

    def _look_for_overdue(self) -> None:
        """The oldest message is looked at: a timer for each would be one more thing to do for each."""
        self._overdue = None
        oldest = next(iter(self._answers.values()), None)
        if oldest is None:
            return
        left_s = oldest.until_s - self._loop.time()
        if left_s > 0:
            self._overdue = self._loop.call_later(left_s, self._look_for_overdue)
            return
        overdue, self._answers = self._answers, {}
        for sent in overdue.values():
            sent.answered(aiomqtt.MqttError("the broker does not answer"))

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        # MQTT 5 (3.2.2.3.3): beyond this the broker may end the connection.
        asked = getattr(properties, "ReceiveMaximum", None)
        if asked is not None and not self._connected.done():
            self.window = min(WINDOW, asked)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            message = "the broker ended the connection without an answer"
            self._connected.set_exception(UnansweredError(message))
            # The task that connected may have been cancelled; retrieved here, the exception is not reported
            # as unread.
            self._connected.exception()
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        size = self._inlet.cut()
        if size:
            self._tally.note(
                "a message is too large: it is not read",
                "mqtt_too_large",
                kind="retained" if message.retain else "sent",
                sender=message.topic[:80],
                bytes=size,
            )
            self._on_too_large(self, message.topic, message.retain)
        elif not self._admit(self, aiomqtt.Message._from_paho_message(message)):  # noqa: SLF001
            return
        elif self._queue.full():
            self._tally.note(
                "too many messages wait: one is dropped",
                "mqtt_discarded",
                kind="queue_full",
                sender=message.topic[:80],
            )
        else:
            super()._on_message(client, userdata, message)

    def _on_publish(
        self, client: mqtt.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        sent = self._answers.pop(mid, None)
        if sent is None:
            super()._on_publish(client, userdata, mid, reason_code, properties)
            return
        sent.answered(str(reason_code) if reason_code.is_failure else "")
        self._let_one_go()

    def _on_socket_register_write(self, client: mqtt.Client, userdata: Any, sock: Any) -> None:
        # aiomqtt asks the loop to say when the socket can be written to. It nearly always can: so all that is
        # published before the loop's next turn is written in one go, and only what is left waits for that.
        if threading.get_ident() != self._thread:
            self._waits_to_write = True
            super()._on_socket_register_write(client, userdata, sock)
            return

        def write() -> None:
            try:
                self._outflow.write()
            except Exception as error:  # noqa: BLE001  # as aiomqtt's own: the connection is broken
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)
                return
            if client.socket() is sock and client.want_write():
                self._waits_to_write = True
                super(BrokerClient, self)._on_socket_register_write(client, userdata, sock)

        self._loop.call_soon(write)

    def _on_socket_unregister_write(self, client: mqtt.Client, userdata: Any, sock: Any) -> None:
        if self._waits_to_write:
            self._waits_to_write = False
            super()._on_socket_unregister_write(client, userdata, sock)
