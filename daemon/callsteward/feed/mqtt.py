"""The feed: what the daemon says, published over MQTT.

`publish`, `gauges` and `link` return at once and never fail, whatever the broker does; `run` does the
publishing, connects again after every loss, and sends what waited in the order it happened.

With an outbox, what must arrive (records, callbacks, ratings, complaints, intervals) comes from there: it was
stored in the transaction that made it, and `publish` only says that it may go. Alerts, call events and gauges
never touch the disk.

Everything goes out with QoS 1. Records and alerts must arrive; call events must too, since a subscriber
that misses an `unhold` shows a hold that never ends, and MQTT keeps the order of messages of one QoS
only; a gauge that is lost would stay wrong in the broker for as long as nothing changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence

import aiomqtt
import structlog

from callsteward.ari.backoff import Backoff
from callsteward.ari.link import cancelled
from callsteward.callback.states import CallbackMoved
from callsteward.calls.facts import (
    Alert,
    CallEnded,
    CallHappened,
    CallTagged,
    Fact,
    HandOver,
    LineNow,
    OperatorNow,
)
from callsteward.calls.record import CallRecord
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.feed import broker, messages, rating_messages
from callsteward.feed.backlog import Kind, Waiting
from callsteward.feed.delivery import Delivery
from callsteward.feed.gauges import Gauges
from callsteward.feed.messages import Message
from callsteward.feed.post import Post
from callsteward.feed.presence import Presence
from callsteward.feed.today import Today
from callsteward.feed.topics import Topics
from callsteward.health import FeedState, Health
from callsteward.intervals.row import IntervalExpired, IntervalRow
from callsteward.rating.states import ComplaintRaised, RatingMoved

log = structlog.get_logger("callsteward.feed")

# Messages of each kind that wait for the broker: a record has 1 to 4 KB, so some 40 MB at the worst.
QUEUE_LIMIT = 10_000
# Messages sent before the first is acknowledged; Mosquitto's own default window.
WINDOW = 20
# Changes that come close together become one gauge.
COALESCE_S = 0.1
# A connection that held this long was a good one: the next attempt need not wait.
STABLE_S = 10.0
GOODBYE_S = 2.0


class Feed:
    """The daemon's side of MQTT. One `run` per feed; it ends after `drain`, or when it is cancelled."""

    def __init__(
        self,
        config: Config,
        *,
        boot_id: str,
        outbox: Delivery | None = None,
        queue_limit: int = QUEUE_LIMIT,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        self._config = config
        self._site = config.site.name
        self._boot_id = boot_id
        self._clock = clock
        self._backoff = backoff or Backoff(limit_s=30.0)
        self._version = config.mqtt.version
        self.topics = Topics(config.mqtt.root, self._site)
        self._outbox = outbox
        self._post = Post(
            site=self._site,
            boot_id=boot_id,
            topics=self.topics,
            limit=queue_limit,
            now_ms=self._now_ms,
            outbox=outbox,
        )
        lines = [line.name for line in config.lines] or [config.default_line]
        self._gauges = Gauges(
            site=self._site,
            topics=self.topics,
            today=Today(config.site.zone),
            lines=lines,
            operators=config.operators,
        )
        self._presence = Presence(
            site=self._site, started_ms=self._now_ms(), backlog=self._post.backlog, delivery=outbox
        )
        # Asterisk's clock less ours: a wait is counted by the clock that began it.
        self._asterisk_ahead_ms = 0
        self._moved = asyncio.Event()
        self._emptied = self._post.emptied
        self._closing = asyncio.Event()
        self._begun = False
        # Messages that the broker has answered with an error.
        self._refusals = 0
        self._ended = asyncio.Event()
        self.connected = False
        """Whether the broker can be reached at this moment."""

    @property
    def queue_depth(self) -> int:
        """Records, alerts and call events the broker has not acknowledged yet."""
        return self._post.backlog.depth

    @property
    def dropped(self) -> dict[Kind, int]:
        """Messages given up because too many waited, since the start."""
        return dict(self._post.backlog.dropped)

    # --- what the daemon says: none of these waits or fails -----------------------------------------

    def publish(
        self, fact: Fact | CallbackMoved | RatingMoved | ComplaintRaised | IntervalRow | IntervalExpired
    ) -> None:
        """Publish a fact. Facts are delivered in the order given here, at least once."""
        if not self._config.mqtt.enabled:
            return
        match fact:
            case CallEnded(record):
                self._gauges.count(record)
                self._moved.set()
                self._post.put_durable(self.topics.call_ended(record.line), messages.call_ended(record))
            case Alert():
                topic = self.topics.alert(fact.line, fact.rule)
                self._post.put(Kind.ALERT, topic, messages.alert(self._site, fact))
            case CallHappened():
                topic = self.topics.call_events(fact.line)
                self._post.put(Kind.EVENT, topic, messages.call_event(self._site, fact))
            case CallTagged():
                topic = self.topics.call_events(fact.line)
                self._post.put(Kind.EVENT, topic, messages.call_tag(self._site, fact))
            case CallbackMoved():
                topic = self.topics.callbacks(fact.callback.line)
                self._post.put_durable(topic, messages.callback(self._site, fact))
            case IntervalRow():
                # With an outbox they come from there alone: `intervals.publisher` enqueues them.
                topic = self.topics.interval(fact.kind, fact.name, fact.start_ms)
                expire_s = self._config.intervals.expire_hours * 3600
                self._post.put_durable(topic, messages.interval(fact), retain=True, expire_s=expire_s)
            case IntervalExpired() if self._version == "3.1.1":
                # Only MQTT 5 has messages that expire; an empty one makes the broker forget.
                self._post.clear(self.topics.interval(fact.kind, fact.name, fact.start_ms))
            case RatingMoved(moved):
                topic = self.topics.ratings(moved.line)
                self._post.put_durable(topic, rating_messages.rating(self._site, moved))
            case ComplaintRaised(raised):
                topic = self.topics.complaint(raised.line)
                self._post.put_durable(topic, rating_messages.complaint(self._site, raised), kind=Kind.ALERT)
            case HandOver():
                pass  # for the rating alone

    def gauges(self, lines: Sequence[LineNow], operators: Sequence[OperatorNow], now_ms: int) -> None:
        """Show this moment: every line and operator with a call; all others are at rest.

        `now_ms` is Asterisk's clock. At most one message a second leaves per line and operator.
        """
        self._asterisk_ahead_ms = now_ms - self._now_ms()
        self._gauges.show(lines, operators, now_ms)
        self._moved.set()

    def recall(self, records: Iterable[CallRecord]) -> None:
        """Count calls that ended before this daemon started into today's numbers; they are not sent."""
        for record in records:
            self._gauges.count(record)
        self._moved.set()

    def state(self) -> FeedState:
        """How the feed does at this moment."""
        dropped = {kind.value: count for kind, count in self._post.backlog.dropped.items()}
        return FeedState(self.connected, self._post.backlog.depth, dropped)

    def link(self, asterisk_connected: bool, detail: str) -> None:
        """Say on `status` whether Asterisk is connected, and why not."""
        self._presence.asterisk = (asterisk_connected, detail)
        self._moved.set()

    def warn(self, rule: str, detail: str, *, value: float | None = None, limit: float | None = None) -> None:
        """Alert to something that is wrong with the daemon's own work, on `alerts/$daemon/RULE`."""
        if self._config.mqtt.enabled:
            self._post.warn(rule, detail, value=value, limit=limit)

    def reconfigure(self, config: Config) -> None:
        """Show other lines and operators from now on; the broker stays the same."""
        self._gauges.add([line.name for line in config.lines], config.operators)
        self._moved.set()

    def health(self, health: Health) -> None:
        """Say on `status` how the daemon itself does."""
        news = health.news != self._presence.health.news
        self._presence.health = health
        if news:
            self._moved.set()

    async def drain(self, timeout_s: float) -> int:
        """Wait until the broker has everything, say goodbye on `status` and end `run`.

        Returns how many messages it still does not have when the time is over (0: none was lost). Those of
        the outbox are sent by the next run.
        """
        if not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
        self._closing.set()
        if self._begun:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * GOODBYE_S):
                    await self._ended.wait()
        kept, lost = self._post.left()
        if kept:
            log.warning("messages wait in the outbox for the next start", action="outbox_kept", messages=kept)
        if lost:
            log.error("stopped with messages the broker does not have", action="mqtt_unsent", messages=lost)
        return kept + lost

    # --- the connection -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Publish until `drain` is called. Never raises because of the broker."""
        self._begun = True
        closing = asyncio.create_task(self._closing.wait(), name="feed closing")
        outbox = asyncio.create_task(self._take_from_outbox(), name="feed outbox")
        try:
            while not self._closing.is_set():
                session = asyncio.create_task(self._session(), name="feed session")
                try:
                    await asyncio.wait({session, closing, outbox}, return_when=asyncio.FIRST_COMPLETED)
                    if outbox.done():
                        outbox.result()
                    if not session.done():
                        # The session takes part in the goodbye itself, unless it is still connecting.
                        if not self.connected:
                            session.cancel()
                        await asyncio.wait({session})
                finally:
                    session.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await session
                if not self._closing.is_set():
                    await asyncio.wait({closing}, timeout=self._backoff.next_s())
        finally:
            closing.cancel()
            if self._outbox is None:
                await cancelled(outbox)
            else:
                self._outbox.stop()
                await asyncio.wait({outbox}, timeout=GOODBYE_S)
                await cancelled(outbox)
                await self._outbox.flush()
            self._ended.set()

    async def _take_from_outbox(self) -> None:
        if self._outbox is None:
            await self._closing.wait()
        else:
            await self._outbox.run(self._post)

    async def _session(self) -> None:
        """One connection, from its first to its last moment; what ended it is logged."""
        if not self._config.mqtt.enabled:
            await self._closing.wait()
            return
        since_s: float | None = None
        try:
            async with broker.connected(opened := self._client()):
                since_s = time.monotonic()
                await self._serve(opened)
        except (aiomqtt.MqttError, CallstewardError, OSError, ssl.SSLError, ValueError) as error:
            if (
                self._version == "5"
                and isinstance(error, aiomqtt.MqttError)
                and broker.refuses_version(error)
            ):
                self._version = "3.1.1"
                self._backoff.reset()
                log.warning("the broker has no MQTT 5, going on with 3.1.1", action="mqtt_version")
                return
            log.warning(
                "no connection to the broker" if since_s is None else "connection to the broker lost",
                action="mqtt_unreachable" if since_s is None else "mqtt_lost",
                error=str(error),
                host=self._config.mqtt.host,
                port=self._config.mqtt.port,
                waiting=self._post.backlog.depth,
            )
        if since_s is not None and time.monotonic() - since_s >= STABLE_S:
            self._backoff.reset()

    def _client(self) -> broker.Client:
        will = self._post.stamped(self._presence.will())
        return broker.client(
            self._config,
            # Always the same: when the daemon returns before the broker has missed it, the broker ends the
            # old connection (and publishes its will) first.
            identifier=self._config.mqtt.client_id or f"callsteward-{self._site}",
            version=self._version,
            will=aiomqtt.Will(self.topics.status, messages.encode(will), qos=1, retain=True),
        )

    async def _serve(self, opened: broker.Client) -> None:
        """Publish on a connection until it is lost (MqttError) or the feed closes."""
        lost = False
        try:
            # First of all, so that nobody sees gauges of a daemon that is offline.
            await self._send(opened, self.topics.status, self._presence.status(self._post.seq))
            self.connected = True
            log.info("connected to the broker", action="mqtt_connected", waiting=self._post.backlog.depth)
            self._gauges.resend()
            tasks = [
                asyncio.create_task(work, name=f"feed {name}")
                for name, work in (
                    ("watch", _watch(opened)),
                    ("backlog", self._send_backlog(opened)),
                    ("gauges", self._send_gauges(opened)),
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

    async def _say_goodbye(self, opened: broker.Client) -> None:
        """The last gauges, then that the daemon stopped: after a clean DISCONNECT no will is published."""
        await self._send_due_gauges(opened, at_once=True)
        if self._outbox is not None:
            await self._outbox.flush()
        await self._send(opened, self.topics.status, self._presence.status(self._post.seq, stopped=True))

    async def _wait_for_closing(self) -> None:
        await self._closing.wait()

    async def _send_backlog(self, opened: broker.Client) -> None:
        """Send in order, up to WINDOW before the first is acknowledged; what was not, waits again."""
        # By identity: messages that clear a topic have no number of their own.
        under_way: dict[int, Waiting] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    for item in self._post.next(WINDOW - len(under_way)):
                        under_way[id(item)] = item
                        group.create_task(self._deliver_waiting(opened, item, under_way))
                    await self._post.news.wait()
        except* aiomqtt.MqttError as failed:
            raise aiomqtt.MqttError(str(failed.exceptions[0])) from failed
        finally:
            self._post.unsent(under_way.values())

    async def _deliver_waiting(
        self, opened: broker.Client, item: Waiting, under_way: dict[int, Waiting]
    ) -> None:
        await self._deliver(opened, item.topic, item.payload, item)
        del under_way[id(item)]
        self._post.acknowledged(item)

    async def _send_gauges(self, opened: broker.Client) -> None:
        while True:
            self._moved.clear()
            await self._send_due_gauges(opened)
            await self._send_due_status(opened)
            await asyncio.sleep(COALESCE_S)
            wait_s = self._gauges.wait_s(time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._moved.wait()

    async def _send_due_gauges(self, opened: broker.Client, *, at_once: bool = False) -> None:
        now_ms = self._now_ms() + self._asterisk_ahead_ms
        due = self._gauges.due(now_ms, time.monotonic(), at_once=at_once)
        for start in range(0, len(due), WINDOW):
            await _together(self._send(opened, topic, gauge) for topic, gauge in due[start : start + WINDOW])

    async def _send_due_status(self, opened: broker.Client) -> None:
        if self._presence.due():
            await self._send(opened, self.topics.status, self._presence.status(self._post.seq))

    async def _send(self, opened: broker.Client, topic: str, message: Message) -> None:
        await self._deliver(opened, topic, messages.encode(self._post.stamped(message)))

    async def _deliver(
        self, opened: broker.Client, topic: str, payload: bytes, item: Waiting | None = None
    ) -> None:
        """Return once the broker has the message; without an `item` it is a gauge or status, and retained."""
        expire_s = None if item is None else item.expire_s
        properties = broker.json_properties(expiry_s=expire_s) if self._version == "5" else None
        retain = item is None or item.retain
        try:
            await opened.deliver(topic, payload, retain=retain, properties=properties)
        except broker.RefusedError as error:
            self._refused(topic, str(error), item)
        except ValueError as error:
            # MQTT cannot carry it. Tried again it would stop all that wait behind it, for ever.
            log.warning(
                "not a message MQTT can carry", action="mqtt_impossible", topic=topic, error=str(error)
            )
            if item is not None:
                self._post.refused(item)

    def _refused(self, topic: str, why: str, item: Waiting | None) -> None:
        """The broker has answered that it does not take a message. Tried again it would stop what waits."""
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
        if item is not None and item.kind is not Kind.ALERT:
            self.warn("publish_refused", f"{topic}: {why}", value=self._refusals)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


async def _watch(opened: broker.Client) -> None:
    """Raise MqttError when the connection is lost; a publish alone would notice it only by its timeout."""
    async for _ in opened.messages:
        pass


async def _together(deliveries: Iterable[Coroutine[None, None, None]]) -> None:
    """Await all, begun in the order given, which is the order on the wire. Raises MqttError."""
    try:
        async with asyncio.TaskGroup() as group:
            for delivery in deliveries:
                group.create_task(delivery)
    except* aiomqtt.MqttError as failed:
        raise aiomqtt.MqttError(str(failed.exceptions[0])) from failed
