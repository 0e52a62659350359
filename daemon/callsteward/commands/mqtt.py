"""The MQTT door: `commands/NAME` in, `replies/ID` out, on a connection of its own.

A flood of commands, or a slow one, is then none of the feed's business. What arrives while nobody has
time is bounded: more is thrown away, and a sender without a reply sends again with the same id.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from datetime import datetime
from typing import TYPE_CHECKING, Any

import aiomqtt
import structlog
from paho.mqtt.properties import Properties

from callsteward.ari.backoff import Backoff
from callsteward.commands.core import Commands
from callsteward.commands.reply import Reply
from callsteward.commands.request import LARGEST
from callsteward.exceptions import CallstewardError
from callsteward.feed import broker, messages
from callsteward.feed.topics import Topics
from callsteward.feed.wire import Wire
from callsteward.tags.tag import Source
from callsteward.tally import Tally

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

WAITING = 200
# Retained commands that one connection has the broker forget.
RETAINED_AT_ONCE = 1_000
_LONGEST_TOPIC = 200


class MqttDoor:
    """Takes commands until cancelled. Never raises because of the broker."""

    def __init__(
        self, config: Config, commands: Commands, *, boot_id: str, backoff: Backoff | None = None
    ) -> None:
        self._config = config
        self._commands = commands
        self._boot_id = boot_id
        self._backoff = backoff or Backoff(limit_s=30.0)
        self._dialect = broker.Dialect(config.mqtt.version)
        self._topics = Topics(config.mqtt.root, config.site.name)
        self._wire = Wire(self._topics, config.mqtt.cloudevents)
        self._said: str | None = None
        self._tally = Tally(log)

    async def run(self) -> None:
        """Serve, and connect again after every loss."""
        while True:
            try:
                await self._session()
            except (aiomqtt.MqttError, CallstewardError, OSError, ssl.SSLError, ValueError) as error:
                if self._dialect.changes(error):
                    continue
                if str(error) != self._said:
                    self._said = str(error)
                    log.warning("no commands: no connection", action="commands_unreachable", error=str(error))
            await asyncio.sleep(self._backoff.next_s())

    async def _session(self) -> None:
        identifier = self._config.mqtt.client_id or f"callsteward-{self._config.site.name}"
        opened = broker.client(
            self._config,
            identifier=f"{identifier}-commands",
            version=self._dialect.version,
            plain=self._dialect.plain,
            incoming=WAITING,
        )
        taken_away = itertools.count()

        def take_away(topic: str, retained: bool) -> None:
            # Before it is carried out, and before it comes again with the next connection.
            if retained and next(taken_away) < RETAINED_AT_ONCE:
                opened.forget(topic)

        opened.on_too_large = take_away
        async with broker.connected(opened):
            await opened.listen(self._topics.commands, retained=False)
            self._backoff.reset()
            self._said = None
            log.info("taking commands", action="commands_open", topic=self._topics.commands)
            async for message in opened.messages:
                if message.retain:
                    self._tally.note(
                        "a retained command is not carried out",
                        "command_retained",
                        kind="retained",
                        sender=Source.MQTT.value,
                    )
                    take_away(message.topic.value, True)
                else:
                    await self._serve(opened, message)

    async def _serve(self, opened: aiomqtt.Client, message: aiomqtt.Message) -> None:
        name = message.topic.value.rpartition("/")[2]
        body = message.payload
        if not isinstance(body, bytes | bytearray):
            return
        reply = await self._commands.handle(name[:32], bytes(body[: LARGEST + 1]), Source.MQTT)
        await self._answer(opened, reply, message.properties)

    async def _answer(self, opened: aiomqtt.Client, reply: Reply, asked: Properties | None) -> None:
        """On `replies/ID`, and where MQTT 5 says the sender listens."""
        topics = [self._topics.reply(reply.id)] if reply.id else []
        response = self._response_topic(asked)
        if response is not None and response not in topics:
            topics.append(response)
        if not topics:
            return
        payload = messages.encode(
            messages.stamped(
                messages.reply(self._config.site.name, reply),
                boot_id=self._boot_id,
                seq=0,
                now_ms=_ms(reply.at),
            )
        )
        correlation = getattr(asked, "CorrelationData", None)
        for topic in topics:
            body, properties = self._wire.publish(
                topic,
                payload,
                self._dialect.version,
                correlation=correlation if isinstance(correlation, bytes) else None,
            )
            await opened.publish(topic, body, qos=1, properties=properties)

    def _response_topic(self, asked: Properties | None) -> str | None:
        """Only below replies/: else a sender could have the daemon publish what it may not itself."""
        topic: Any = getattr(asked, "ResponseTopic", None)
        if not isinstance(topic, str) or not topic.startswith(self._topics.replies):
            return None
        if len(topic) > _LONGEST_TOPIC or not topic.isprintable() or set("+#") & set(topic):
            return None
        return topic


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
