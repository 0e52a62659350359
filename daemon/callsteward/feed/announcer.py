"""Keeps Home Assistant's announcements at the broker in step with the configuration.

While `mqtt.discovery_prefix` is set, each connection publishes them all, retained, and removes those of this
site whose line or operator is no longer configured; a reload does the same. Without the prefix the daemon
does not look there, since it may not even be allowed to: `callsteward feed undiscover` removes all.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.feed import broker
from callsteward.feed.broker_client import BrokerClient, RefusedError
from callsteward.feed.discovery import announcements, own
from callsteward.feed.topics import Topics
from callsteward.network.causes import told

log = structlog.get_logger("callsteward.feed")

TAKE_AWAY_S = 20.0
STALE_AT_ONCE = 1_000
"""The most topics that wait to be removed: anybody who may publish there may have made up any number."""

Send = Callable[[str, bytes], Awaitable[None]]
"""Publishes a retained message with QoS 1; an empty one makes the broker forget."""


class Announcer:
    """One site's. `heard` and `reconfigure` return at once."""

    def __init__(self, config: Config, topics: Topics) -> None:
        self._prefix = config.mqtt.discovery_prefix
        self._in_data = config.mqtt.cloudevents == "structured"
        self._site = config.site.name
        self._topics = topics
        self._changed = asyncio.Event()
        # By topic: the announcements that the broker has, as far as known; and those that it should not have.
        self._sent: dict[str, bytes] = {}
        self._stale: set[str] = set()
        self._wanted: dict[str, bytes] = {}
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """From now on announce the lines and operators of this configuration; the prefix stays."""
        if self._prefix is None:
            return
        lines = [line.name for line in config.lines] or [config.default_line]
        self._wanted = dict(
            announcements(
                self._prefix, self._topics, self._site, lines, config.operators, in_data=self._in_data
            )
        )
        self._changed.set()

    def heard(self, message: aiomqtt.Message) -> None:
        """A message on one of our topics: the broker had it, or has just got it from us."""
        topic = message.topic.value
        if message.payload and topic not in self._wanted:
            self._take_away(topic)

    def too_large(self, topic: str, retained: bool) -> None:
        """The broker has a message on one of our topics that is not ours, whatever it holds."""
        if topic in self._wanted:
            self._sent.pop(topic, None)
            self._changed.set()
        elif retained:
            self._take_away(topic)

    def _take_away(self, topic: str) -> None:
        # More than this number are found by the next connection.
        if len(self._stale) < STALE_AT_ONCE:
            self._stale.add(topic)
            self._changed.set()

    async def run(self, opened: BrokerClient, send: Send) -> None:
        """Keep a connection's announcements until it is cancelled. Raises MqttError with the connection."""
        if self._prefix is None:
            await asyncio.Event().wait()
            return
        self._sent.clear()
        self._stale.clear()
        # The broker sends what it still retains, and nothing else.
        answers = await opened.listen(own(self._prefix, self._site))
        if _refused(answers):
            log.warning(
                "not allowed to read the announcements: those of removed lines stay",
                action="discovery_unread",
                prefix=self._prefix,
            )
        while True:
            self._changed.clear()
            await self._bring_up_to_date(send)
            await self._changed.wait()

    async def _bring_up_to_date(self, send: Send) -> None:
        stale, self._stale = self._stale, set()
        for topic in sorted((stale | self._sent.keys()) - self._wanted.keys()):
            await send(topic, b"")
            self._sent.pop(topic, None)
        for topic, payload in list(self._wanted.items()):
            if self._sent.get(topic) != payload:
                await send(topic, payload)
                self._sent[topic] = payload


async def take_away(config: Config, prefix: str) -> int:
    """Have the broker forget all announcements of a site under a prefix; returns how many there were.

    Raises FeedError if the broker cannot be reached, or does not let it be read.
    """
    topics = Topics(config.mqtt.root, config.site.name)
    marker = secrets.token_hex(8).encode()
    there: list[str] = []
    opened = broker.client(
        config,
        identifier=f"callsteward-undiscover-{secrets.token_hex(4)}",
        on_too_large=lambda _opened, topic, _retained: there.append(topic),
    )
    try:
        async with asyncio.timeout(TAKE_AWAY_S), broker.connected(opened):
            await opened.listen(topics.check)
            if _refused(await opened.listen(own(prefix, config.site.name))):
                text = f"the broker does not let {config.mqtt.username or 'us'} read {prefix}/#"
                raise FeedError(text)
            # Retained messages come at once, and so before this one.
            await opened.publish(topics.check, marker, qos=1)
            async for message in opened.messages:
                if message.topic.value == topics.check:
                    if message.payload == marker:
                        break
                elif message.payload:
                    there.append(message.topic.value)
            for topic in there:
                await opened.deliver(topic, b"", retain=True, properties=None)
    except TimeoutError as error:
        text = f"the broker has not answered within {TAKE_AWAY_S:.0f} s which announcements it has"
        raise FeedError(text) from error
    except (aiomqtt.MqttError, RefusedError, OSError, ssl.SSLError) as error:
        text = f"the broker at {config.mqtt.host}:{config.mqtt.port}: {told(error, 'mqtt')}"
        raise FeedError(text) from error
    return len(there)


def _refused(answers: Sequence[int | ReasonCode]) -> bool:
    """True if a subscription was refused: a reason code of MQTT 5, or the plain number of 3.1.1."""
    return any((answer if isinstance(answer, int) else answer.value) >= 0x80 for answer in answers)
