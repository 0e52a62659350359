"""The messages of one connection to the broker, from the first one to the goodbye.

Everything is sent with QoS 1. Records and alerts must arrive; call events must too, since a subscriber that
misses an `unhold` shows a hold that never ends, and MQTT keeps the order among messages of one QoS only; a
lost gauge would stay wrong in the broker until something changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Coroutine, Iterable

import aiomqtt
import msgspec
import structlog

from callsteward.feed import messages
from callsteward.feed.announcer import Announcer, Send
from callsteward.feed.backlog import MessageKind, Waiting
from callsteward.feed.broker_client import BrokerClient, RefusedError
from callsteward.feed.delivery import Delivery
from callsteward.feed.gauges import Gauges
from callsteward.feed.messages import Message
from callsteward.feed.post import Post
from callsteward.feed.presence import Presence
from callsteward.feed.topics import Topics
from callsteward.feed.wire import Wire

log = structlog.get_logger("callsteward.feed")

# The most gauges under way at a time: they must not take the whole room of messages that must arrive.
GAUGES_AT_ONCE = 20
# Changes close together become one gauge.
COALESCE_S = 0.1
GOODBYE_S = 2.0
# How often a daemon that may not act at the moment looks whether it may again.
NOT_NOW_S = 0.1
_IMPOSSIBLE = (ValueError, msgspec.DecodeError)


class Session:
    """Publishes on one connection after the other. `asterisk_now_ms`: this moment by Asterisk's clock."""

    def __init__(
        self,
        *,
        topics: Topics,
        wire: Wire,
        announcer: Announcer,
        post: Post,
        gauges: Gauges,
        presence: Presence,
        outbox: Delivery | None,
        closing: asyncio.Event,
        asterisk_now_ms: Callable[[], int],
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._topics = topics
        self._wire = wire
        self._announcer = announcer
        self._post = post
        self._gauges = gauges
        self._presence = presence
        self._outbox = outbox
        self._plain = Wire(topics, "off")
        self._closing = closing
        self._asterisk_now_ms = asterisk_now_ms
        self._may_act = may_act
        self._version = ""
        # Messages that the broker has answered with an error.
        self._refusals = 0
        self.moved = asyncio.Event()
        """Set when a gauge or the status may have changed."""
        self.connected = False
        """Whether the broker can be reached at this moment."""

    async def serve(self, opened: BrokerClient, version: str) -> None:
        """Publish on a connection until it is lost (MqttError) or the feed closes. `version`: of MQTT."""
        self._version = version
        lost = False
        try:
            # First of all, so that nobody sees gauges of a daemon that is offline.
            await self._send(opened, self._topics.status, self._presence.status(self._post.seq))
            self.connected = True
            log.info("connected to the broker", action="mqtt_connected", waiting=self._post.backlog.depth)
            self._gauges.resend()
            tasks = [
                asyncio.create_task(work, name=f"feed {name}")
                for name, work in (
                    ("watch", self._watch(opened)),
                    ("backlog", self._send_backlog(opened)),
                    ("gauges", self._send_gauges(opened)),
                    ("discovery", self._announcer.run(opened, self._announce(opened))),
                    ("closing", self._wait_for_closing()),
                )
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()
        except aiomqtt.MqttError:
            # The broker publishes the will.
            lost = True
            raise
        finally:
            self.connected = False
            if not lost:
                with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._say_goodbye(opened)

    async def _say_goodbye(self, opened: BrokerClient) -> None:
        """The last gauges, then that the daemon stopped: after a clean DISCONNECT no will is published."""
        if not self._may_act():
            return
        await self._send_due_gauges(opened, at_once=True)
        if self._outbox is not None:
            await self._outbox.flush()
        await self._send(opened, self._topics.status, self._presence.status(self._post.seq, stopped=True))

    async def _until_it_may_act(self) -> None:
        while not self._may_act():  # noqa: ASYNC110 - a lease ends by a clock, and nobody says so
            await asyncio.sleep(NOT_NOW_S)

    async def _wait_for_closing(self) -> None:
        await self._closing.wait()

    async def _watch(self, opened: BrokerClient) -> None:
        """Raise MqttError when the connection is lost; a publish alone would notice only by its timeout."""
        async for message in opened.messages:
            self._announcer.heard(message)

    def _announce(self, opened: BrokerClient) -> Send:
        async def send(topic: str, payload: bytes) -> None:
            await self._until_it_may_act()
            # Not a message of ours: Home Assistant's own form, even if ours are CloudEvents.
            properties = self._plain.publish(topic, payload, self._version)[1]
            try:
                await opened.deliver(topic, payload, retain=True, properties=properties)
            except RefusedError as error:
                self._refused(topic, str(error), None)

        return send

    async def _send_backlog(self, opened: BrokerClient) -> None:
        """Send in order, as many at a time as the broker accepts; unacknowledged messages wait again."""
        # By identity: messages that clear a topic have no number of their own.
        under_way: dict[int, Waiting] = {}
        failed: list[aiomqtt.MqttError] = []

        def answered(item: Waiting, why: str | aiomqtt.MqttError) -> None:
            if isinstance(why, aiomqtt.MqttError):
                failed.append(why)
                self._post.news.set()
            elif under_way.pop(id(item), None) is not None:
                if why:
                    self._refused(item.topic, why, item)
                self._post.acknowledged(item)

        opened.on_room = self._post.news.set
        try:
            while not failed:
                await self._until_it_may_act()
                batch = self._post.next(opened.room)
                under_way.update((id(item), item) for item in batch)
                for item in batch:
                    try:
                        body, properties = self._wire.publish(
                            item.topic, item.payload, self._version, expiry_s=item.expire_s
                        )
                        opened.send(
                            item.topic,
                            body,
                            retain=item.retain,
                            properties=properties,
                            answered=functools.partial(answered, item),
                        )
                    except _IMPOSSIBLE as error:
                        del under_way[id(item)]
                        self._impossible(item.topic, error, item)
                        self._post.acknowledged(item)
                await self._post.news.wait()
            raise failed[0]
        finally:
            self._post.unsent(under_way.values())
            # An answer that comes later changes nothing any more.
            under_way.clear()

    async def _send_gauges(self, opened: BrokerClient) -> None:
        while True:
            self.moved.clear()
            if self._may_act():
                await self._send_due_gauges(opened)
                await self._send_due_status(opened)
            await asyncio.sleep(COALESCE_S)
            wait_s = self._gauges.wait_s(time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.moved.wait()

    async def _send_due_gauges(self, opened: BrokerClient, *, at_once: bool = False) -> None:
        due = self._gauges.due(self._asterisk_now_ms(), time.monotonic(), at_once=at_once)
        for start in range(0, len(due), GAUGES_AT_ONCE):
            some = due[start : start + GAUGES_AT_ONCE]
            await _together(self._send(opened, topic, gauge) for topic, gauge in some)
        gone = self._gauges.gone
        while gone:
            await self._deliver(opened, gone[-1], b"")
            gone.pop()

    async def _send_due_status(self, opened: BrokerClient) -> None:
        if self._presence.due():
            await self._send(opened, self._topics.status, self._presence.status(self._post.seq))

    async def _send(self, opened: BrokerClient, topic: str, message: Message) -> None:
        await self._deliver(opened, topic, messages.encode(self._post.stamped(message)))

    async def _deliver(self, opened: BrokerClient, topic: str, payload: bytes) -> None:
        """Return once the broker has a message that it keeps: a gauge, the status, or that one is gone."""
        try:
            body, properties = self._wire.publish(topic, payload, self._version)
            await opened.deliver(topic, body, retain=True, properties=properties)
        except RefusedError as error:
            self._refused(topic, str(error), None)
        except _IMPOSSIBLE as error:
            self._impossible(topic, error, None)

    def _impossible(self, topic: str, error: Exception, item: Waiting | None) -> None:
        """MQTT cannot carry a message. If it were tried again it would block all after it for ever."""
        log.warning("not a message MQTT can carry", action="mqtt_impossible", topic=topic, error=str(error))
        if item is not None:
            self._post.refused(item)

    def _refused(self, topic: str, why: str, item: Waiting | None) -> None:
        """The broker has refused a message. If it were tried again it would block the waiting ones."""
        self._refusals += 1
        if item is not None:
            self._post.refused(item)
        if self._refusals > 10 and self._refusals % 1000:
            return
        log.error(
            "the broker refuses a message: is callsteward allowed to publish there?",
            action="mqtt_refused",
            topic=topic,
            reason=why,
            refused=self._refusals,
        )
        # No alert because of an alert: it may well be refused too.
        if item is not None and item.kind is not MessageKind.ALERT:
            self._post.warn("publish_refused", f"{topic}: {why}", value=self._refusals)


async def _together(deliveries: Iterable[Coroutine[None, None, None]]) -> None:
    """Await all, begun in the order given, which is the order on the wire. Raises MqttError."""
    try:
        async with asyncio.TaskGroup() as group:
            for delivery in deliveries:
                group.create_task(delivery)
    except* aiomqtt.MqttError as failed:
        raise aiomqtt.MqttError(str(failed.exceptions[0])) from failed
