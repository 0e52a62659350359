"""The feed: what the daemon says, published over MQTT.

`publish`, `gauges` and `link` return at once and never fail, whatever the broker does; `run` does the
publishing, connects again after every loss, and sends what waited in the order it happened.

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
from callsteward.feed.backlog import Backlog, Kind, Waiting
from callsteward.feed.gauges import Gauges
from callsteward.feed.messages import Message, StatusMessage
from callsteward.feed.today import Today
from callsteward.feed.topics import Topics
from callsteward.health import FeedState, Health
from callsteward.intervals.row import IntervalExpired, IntervalRow
from callsteward.intervals.row import Kind as RowKind
from callsteward.rating.states import ComplaintRaised, RatingMoved

log = structlog.get_logger("callsteward.feed")

# Messages of each kind that wait for the broker: a record has 1 to 4 KB, so some 40 MB at the worst.
QUEUE_LIMIT = 10_000
# Messages sent before the first is acknowledged; Mosquitto's own default window.
WINDOW = 20
# Status is sent when something in it changes, and this often all the same: its numbers grow old.
STATUS_EVERY_S = 30.0
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
        self._backlog = Backlog(queue_limit)
        lines = [line.name for line in config.lines] or [config.default_line]
        self._gauges = Gauges(
            site=self._site,
            topics=self.topics,
            today=Today(config.site.zone),
            lines=lines,
            operators=config.operators,
        )
        self._seq = 0
        self._started_ms = self._now_ms()
        # Asterisk's clock less ours: a wait is counted by the clock that began it.
        self._asterisk_ahead_ms = 0
        self._asterisk: tuple[bool, str] = (False, "not connected yet")
        self._health = Health()
        self._status_sent: tuple[object, ...] = ()
        self._status_sent_s = 0.0
        self._unsent = asyncio.Event()
        self._moved = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._closing = asyncio.Event()
        self._begun = False
        self._ended = asyncio.Event()
        self.connected = False
        """Whether the broker can be reached at this moment."""

    @property
    def queue_depth(self) -> int:
        """Records, alerts and call events the broker has not acknowledged yet."""
        return self._backlog.depth

    @property
    def dropped(self) -> dict[Kind, int]:
        """Messages given up because too many waited, since the start."""
        return dict(self._backlog.dropped)

    # --- what the daemon says: none of these waits or fails -----------------------------------------

    def publish(
        self, fact: Fact | CallbackMoved | RatingMoved | ComplaintRaised | IntervalRow | IntervalExpired
    ) -> None:
        """Publish a fact. Facts are delivered in the order given here, at least once."""
        match fact:
            case CallEnded(record):
                self._gauges.count(record)
                self._moved.set()
                self._put(Kind.RECORD, self.topics.call_ended(record.line), messages.call_ended(record))
            case Alert():
                topic = self.topics.alert(fact.line, fact.rule)
                self._put(Kind.ALERT, topic, messages.alert(self._site, fact))
            case CallHappened():
                topic = self.topics.call_events(fact.line)
                self._put(Kind.EVENT, topic, messages.call_event(self._site, fact))
            case CallTagged():
                self._put(Kind.EVENT, self.topics.call_events(fact.line), messages.call_tag(self._site, fact))
            case CallbackMoved():
                topic = self.topics.callbacks(fact.callback.line)
                self._put(Kind.RECORD, topic, messages.callback(self._site, fact))
            case IntervalRow():
                topic = self._interval_topic(fact.kind, fact.name, fact.start_ms)
                retain_s = self._config.intervals.expire_hours * 3600
                self._put(Kind.RECORD, topic, messages.interval(fact), retain_s=retain_s)
            case IntervalExpired() if self._version == "3.1.1":
                # Only MQTT 5 has messages that expire; an empty one makes the broker forget.
                topic = self._interval_topic(fact.kind, fact.name, fact.start_ms)
                self._wait(Waiting(self._seq, Kind.RECORD, topic, b"", retain_s=0))
            case RatingMoved(moved):
                topic = self.topics.ratings(moved.line)
                self._put(Kind.RECORD, topic, rating_messages.rating(self._site, moved))
            case ComplaintRaised(raised):
                topic = self.topics.alert(raised.line, "complaint_escalated")
                self._put(Kind.ALERT, topic, rating_messages.complaint(self._site, raised))
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
        dropped = {kind.value: count for kind, count in self._backlog.dropped.items()}
        return FeedState(self.connected, self._backlog.depth, dropped)

    def link(self, asterisk_connected: bool, detail: str) -> None:
        """Say on `status` whether Asterisk is connected, and why not."""
        self._asterisk = (asterisk_connected, detail)
        self._moved.set()

    def reconfigure(self, config: Config) -> None:
        """Show other lines and operators from now on; the broker stays the same."""
        self._gauges.add([line.name for line in config.lines], config.operators)
        self._moved.set()

    def health(self, health: Health) -> None:
        """Say on `status` how the daemon itself does."""
        news = health.news != self._health.news
        self._health = health
        if news:
            self._moved.set()

    async def drain(self, timeout_s: float) -> int:
        """Wait until the broker has everything, say goodbye on `status` and end `run`.

        Returns how many messages it still does not have when the time is over (0: none was lost).
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
        if left := self._backlog.depth:
            log.error("stopped with messages the broker does not have", action="mqtt_unsent", messages=left)
        return left

    # --- the connection -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Publish until `drain` is called. Never raises because of the broker."""
        self._begun = True
        closing = asyncio.create_task(self._closing.wait(), name="feed closing")
        try:
            while not self._closing.is_set():
                session = asyncio.create_task(self._session(), name="feed session")
                try:
                    await asyncio.wait({session, closing}, return_when=asyncio.FIRST_COMPLETED)
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
            self._ended.set()

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
                waiting=self._backlog.depth,
            )
        if since_s is not None and time.monotonic() - since_s >= STABLE_S:
            self._backoff.reset()

    def _client(self) -> broker.Client:
        # No time of death is known when the will is made; the broker publishes it word for word.
        will = self._message(
            messages.status(
                site=self._site, started_ms=self._started_ms, state="offline", reason="connection_lost"
            )
        )
        opened = broker.client(
            self._config,
            # Always the same: when the daemon returns before the broker has missed it, the broker ends the
            # old connection (and publishes its will) first.
            identifier=self._config.mqtt.client_id or f"callsteward-{self._site}",
            version=self._version,
            will=aiomqtt.Will(self.topics.status, messages.encode(will), qos=1, retain=True),
        )
        opened.pending_calls_threshold = 4 * WINDOW
        return opened

    async def _serve(self, opened: aiomqtt.Client) -> None:
        """Publish on a connection until it is lost (MqttError) or the feed closes."""
        lost = False
        try:
            # First of all, so that nobody sees gauges of a daemon that is offline.
            await self._send(opened, self.topics.status, self._status())
            self.connected = True
            log.info("connected to the broker", action="mqtt_connected", waiting=self._backlog.depth)
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

    async def _say_goodbye(self, opened: aiomqtt.Client) -> None:
        """The last gauges, then that the daemon stopped: after a clean DISCONNECT no will is published."""
        await self._send_due_gauges(opened, at_once=True)
        await self._send(opened, self.topics.status, self._status(stopped=True))

    async def _wait_for_closing(self) -> None:
        await self._closing.wait()

    async def _send_backlog(self, opened: aiomqtt.Client) -> None:
        while True:
            self._unsent.clear()
            batch = self._backlog.take(WINDOW)
            if not batch:
                self._emptied.set()
                await self._unsent.wait()
                continue
            try:
                await _together(
                    self._deliver(
                        opened,
                        waiting.topic,
                        waiting.payload,
                        kind=waiting.kind,
                        retain_s=waiting.retain_s,
                    )
                    for waiting in batch
                )
            except BaseException:
                self._backlog.unsent(batch)
                raise
            self._backlog.sent(batch)

    async def _send_gauges(self, opened: aiomqtt.Client) -> None:
        while True:
            self._moved.clear()
            await self._send_due_gauges(opened)
            await self._send_due_status(opened)
            await asyncio.sleep(COALESCE_S)
            wait_s = self._gauges.wait_s(time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._moved.wait()

    async def _send_due_gauges(self, opened: aiomqtt.Client, *, at_once: bool = False) -> None:
        now_ms = self._now_ms() + self._asterisk_ahead_ms
        due = self._gauges.due(now_ms, time.monotonic(), at_once=at_once)
        for start in range(0, len(due), WINDOW):
            await _together(self._send(opened, topic, gauge) for topic, gauge in due[start : start + WINDOW])

    async def _send_due_status(self, opened: aiomqtt.Client) -> None:
        now_s = time.monotonic()
        changed = self._status_sent != self._status_news()
        age_s = now_s - self._status_sent_s
        if (changed and age_s >= 1) or age_s >= STATUS_EVERY_S:
            await self._send(opened, self.topics.status, self._status())

    async def _send(self, opened: aiomqtt.Client, topic: str, message: Message) -> None:
        await self._deliver(opened, topic, messages.encode(self._message(message)))

    async def _deliver(
        self,
        opened: aiomqtt.Client,
        topic: str,
        payload: bytes,
        *,
        kind: Kind | None = None,
        retain_s: int | None = None,
    ) -> None:
        """Return once the broker has the message; without a `kind` it is a gauge or status, and retained.

        Any other is retained for `retain_s`, where that is given and the broker speaks MQTT 5.
        """
        properties = broker.json_properties(expiry_s=retain_s) if self._version == "5" else None
        retain = kind is None or retain_s is not None
        try:
            await opened.publish(topic, payload, qos=1, retain=retain, properties=properties)
        except ValueError as error:
            # MQTT cannot carry it. Tried again it would stop all that wait behind it, for ever.
            log.warning(
                "not a message MQTT can carry", action="mqtt_impossible", topic=topic, error=str(error)
            )
            if kind is not None:
                self._backlog.dropped[kind] += 1

    # --- messages -----------------------------------------------------------------------------------

    def _interval_topic(self, kind: RowKind, name: str, start_ms: int) -> str:
        if kind is RowKind.LINE:
            return self.topics.line_interval(name, start_ms)
        return self.topics.operator_interval(name, start_ms)

    def _put(self, kind: Kind, topic: str, message: Message, *, retain_s: int | None = None) -> None:
        if not self._config.mqtt.enabled:
            return
        self._seq += 1
        payload = messages.encode(self._message(message))
        self._wait(Waiting(self._seq, kind, topic, payload, retain_s))

    def _wait(self, waiting: Waiting) -> None:
        dropped = self._backlog.put(waiting)
        self._emptied.clear()
        self._unsent.set()
        if dropped is not None:
            count = self._backlog.dropped[dropped.kind]
            if count == 1 or count % 1000 == 0:
                log.error(
                    "too many messages wait for the broker, the oldest are dropped",
                    action="mqtt_dropped",
                    kind=dropped.kind.value,
                    seq=dropped.seq,
                    dropped=count,
                )

    def _message(self, message: Message) -> Message:
        return messages.stamped(message, boot_id=self._boot_id, seq=self._seq, now_ms=self._now_ms())

    def _status(self, *, stopped: bool = False) -> StatusMessage:
        connected, detail = self._asterisk
        self._status_sent = self._status_news()
        self._status_sent_s = time.monotonic()
        dropped = self._backlog.dropped
        return messages.status(
            site=self._site,
            started_ms=self._started_ms,
            state="offline" if stopped else "online",
            reason="stopped" if stopped else "running",
            asterisk="connected" if connected else "disconnected",
            asterisk_detail=detail,
            last_seq=self._seq,
            queue_depth=self._backlog.depth,
            dropped=(dropped[Kind.RECORD], dropped[Kind.ALERT], dropped[Kind.EVENT]),
            health=self._health,
        )

    def _status_news(self) -> tuple[object, ...]:
        """What is worth a status at once: Asterisk's link, the daemon's health, and messages dropped."""
        return (self._asterisk, *self._health.news, *self._backlog.dropped.values())

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


async def _watch(opened: aiomqtt.Client) -> None:
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
