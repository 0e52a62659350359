"""The MQTT door: `commands/NAME` in, `replies/ID` out, on a connection of its own.

A flood of commands, or a slow one, is then none of the feed's business. What arrives while nobody has
time is bounded: more is thrown away, and a sender without a reply sends again with the same id. The broker
does not say who sent a message, so senders are told apart by `by`; what is no command never waits in a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import aiomqtt
import structlog
from paho.mqtt.properties import Properties

from callsteward.commands.core import Commands
from callsteward.commands.messages import reply as answer
from callsteward.commands.rate import Rate
from callsteward.commands.reply import Reply
from callsteward.commands.request import MalformedCommandError, parse
from callsteward.commands.turns import Turns
from callsteward.exceptions import CallstewardError
from callsteward.feed import broker, messages
from callsteward.feed.broker_client import BrokerClient
from callsteward.feed.topics import Topics
from callsteward.feed.wire import Wire
from callsteward.network.backoff import Backoff
from callsteward.network.causes import told
from callsteward.network.tally import RefusalTally
from callsteward.record.tag import Source

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

WAITING = 200
WAITING_OF_ONE = 100
# Retained commands that one connection has the broker forget.
RETAINED_AT_ONCE = 1_000
_LONGEST_TOPIC = 200


class _Session:
    """The commands that wait on one connection, and the replies to be sent outside of their turns."""

    def __init__(self) -> None:
        self.turns: Turns[tuple[str, bytes, Properties | None]] = Turns(WAITING, WAITING_OF_ONE)
        self.replies: asyncio.Queue[tuple[Reply, Properties | None]] = asyncio.Queue(WAITING)
        self._taken_away = 0

    def say(self, reply: Reply, asked: Properties | None) -> None:
        """Answer as soon as may be; of too many the rest stays unsaid: who gets no reply sends again."""
        with contextlib.suppress(asyncio.QueueFull):
            self.replies.put_nowait((reply, asked))

    def take_away(self, opened: BrokerClient, topic: str, retained: bool) -> None:
        """Have the broker forget what it retains on a topic of commands."""
        if retained and self._taken_away < RETAINED_AT_ONCE:
            self._taken_away += 1
            opened.forget(topic)


async def _lost(opened: BrokerClient) -> None:
    """Raise MqttError when the connection is lost: all messages are admitted elsewhere."""
    async for _ in opened.messages:
        pass


class MqttDoor:
    """Takes commands until cancelled. Never raises because of the broker."""

    def __init__(
        self,
        config: Config,
        commands: Commands,
        *,
        boot_id: str,
        backoff: Backoff | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._commands = commands
        self._boot_id = boot_id
        self._backoff = backoff or Backoff(limit_s=30.0)
        self._may_act = may_act
        self._dialect = broker.Dialect(config.mqtt.version)
        self._topics = Topics(config.mqtt.root, config.site.name)
        self._wire = Wire(self._topics, config.mqtt.cloudevents)
        self._said: str | None = None
        self._tally = RefusalTally(log)
        # Answers to what is no command: each costs a round trip.
        self._refusals = Rate(config.commands.per_minute)

    async def run(self) -> None:
        """Serve, and connect again after every loss."""
        while True:
            try:
                await self._session()
            except (aiomqtt.MqttError, CallstewardError, OSError, ssl.SSLError, ValueError) as error:
                if self._dialect.changes(error):
                    continue
                why = told(error, "mqtt")
                if why != self._said:
                    self._said = why
                    log.warning("no commands: no connection", action="commands_unreachable", error=why)
            await asyncio.sleep(self._backoff.next_s())

    async def _session(self) -> None:
        if not self._may_act():
            # The other daemon's connection has the same name: it would end it.
            return
        identifier = self._config.mqtt.client_id or f"callsteward-{self._config.site.name}"
        session = _Session()
        opened = broker.client(
            self._config,
            identifier=f"{identifier}-commands",
            version=self._dialect.version,
            plain=self._dialect.plain,
            admit=functools.partial(self._admit, session),
            on_too_large=session.take_away,
        )
        async with broker.connected(opened):
            await opened.listen(self._topics.below("commands/+"), retained=False)
            self._backoff.reset()
            self._said = None
            log.info("taking commands", action="commands_open", topic=self._topics.below("commands/+"))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_lost(opened), name="commands connection")
                    group.create_task(self._work(opened, session), name="commands work")
                    group.create_task(self._say(opened, session), name="commands answers")
            except* aiomqtt.MqttError as failed:
                raise aiomqtt.MqttError(str(failed.exceptions[0])) from failed

    def _admit(self, session: _Session, opened: BrokerClient, message: aiomqtt.Message) -> bool:
        """Put a command into its sender's queue; what is none is refused here, at little cost."""
        topic = message.topic.value
        name = topic.rpartition("/")[2][:32]
        body = message.payload
        if message.retain:
            # It would come again with every connection, also long after it was meant.
            self._tally.note(
                "a retained command is not carried out",
                "command_retained",
                kind="retained",
                sender=Source.MQTT.value,
            )
            session.take_away(opened, topic, True)
        elif isinstance(body, bytes | bytearray):
            try:
                by = parse(name, bytes(body)).by
            except MalformedCommandError as error:
                reply = self._commands.refusal(name, error, Source.MQTT)
                if self._refusals.take(time.monotonic()):
                    session.say(reply, message.properties)
            else:
                if not session.turns.put(by, (name, bytes(body), message.properties)):
                    self._tally.note(
                        "too many commands wait: one is thrown away",
                        "command_discarded",
                        kind="too_many",
                        sender=f"{Source.MQTT.value} {by}".strip(),
                    )
        return False

    async def _work(self, opened: BrokerClient, session: _Session) -> None:
        while True:
            name, body, asked = await session.turns.get()
            later = functools.partial(session.say, asked=asked)
            reply = await self._commands.handle(name, body, Source.MQTT, later=later)
            await self._answer(opened, reply, asked)

    async def _say(self, opened: BrokerClient, session: _Session) -> None:
        while True:
            reply, asked = await session.replies.get()
            await self._answer(opened, reply, asked)

    async def _answer(self, opened: BrokerClient, reply: Reply, asked: Properties | None) -> None:
        """On `replies/ID`, and where MQTT 5 says the sender listens."""
        if not self._may_act():
            return
        topics = [self._topics.of("replies", reply.id)] if reply.id else []
        response = self._response_topic(asked)
        if response is not None and response not in topics:
            topics.append(response)
        if not topics:
            return
        payload = messages.encode(
            messages.stamped(
                answer(self._config.site.name, reply),
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
        if not isinstance(topic, str) or not topic.startswith(self._topics.below("replies/")):
            return None
        if len(topic) > _LONGEST_TOPIC or not topic.isprintable() or set("+#") & set(topic):
            return None
        return topic


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
