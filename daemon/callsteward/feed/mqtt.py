"""The feed: what the daemon says, published over MQTT.

`publish`, `gauges` and `link` return at once and never fail, whatever the broker does; `run` does the
publishing, connects again after every loss, and sends what waited in the order it happened.

With an outbox, what must arrive (records, callbacks, ratings, complaints, intervals) comes from there: it was
stored in the transaction that made it, and `publish` only says that it may go. Alerts, call events and gauges
never touch the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Sequence

import aiomqtt
import structlog

from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.feed import broker, messages
from callsteward.feed.announcer import Announcer
from callsteward.feed.backlog import MessageKind
from callsteward.feed.broker_client import BrokerClient
from callsteward.feed.delivery import Delivery
from callsteward.feed.gauges import Gauges
from callsteward.feed.post import Post
from callsteward.feed.presence import Presence
from callsteward.feed.session import GOODBYE_S, Session
from callsteward.feed.tell import Tells
from callsteward.feed.today import Today
from callsteward.feed.wire import Wire
from callsteward.health import FeedState, Health
from callsteward.network.backoff import Backoff
from callsteward.network.causes import told
from callsteward.network.waiting import cancelled
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, LineNow, OperatorNow

log = structlog.get_logger("callsteward.feed")

# Messages of each kind that wait for the broker: a record has 1 to 4 KB, so some 40 MB at the worst.
QUEUE_LIMIT = 10_000
# No other daemon of the site is ready for this long: an alert. One that was restarted is ready sooner.
STANDBY_ALERT_S = 30.0
# A connection that held this long was a good one: the next attempt need not wait.
STABLE_S = 10.0


class Feed:
    """The daemon's side of MQTT. One `run` per feed; it ends after `drain`, or when it is cancelled."""

    def __init__(
        self,
        config: Config,
        *,
        boot_id: str,
        tells: Tells,
        outbox: Delivery | None = None,
        queue_limit: int = QUEUE_LIMIT,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_act`: true while no other daemon of the site publishes."""
        self._config = config
        self._site = config.site.name
        self._boot_id = boot_id
        self._clock = clock
        self._backoff = backoff or Backoff(limit_s=30.0)
        self._may_act = may_act
        self._not_ready_s: float | None = None
        self._dialect = broker.Dialect(config.mqtt.version)
        self.topics = tells.topics
        self._wire = Wire(self.topics, config.mqtt.cloudevents)
        self._announcer = Announcer(config, self.topics)
        self._outbox = outbox
        self._post = Post(
            site=self._site,
            boot_id=boot_id,
            tells=tells,
            expires=lambda: self._dialect.version != "3.1.1",
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
        self._emptied = self._post.emptied
        self._closing = asyncio.Event()
        self._begun = False
        self._ended = asyncio.Event()
        self._session = Session(
            topics=self.topics,
            wire=self._wire,
            announcer=self._announcer,
            post=self._post,
            gauges=self._gauges,
            presence=self._presence,
            outbox=outbox,
            closing=self._closing,
            asterisk_now_ms=lambda: self._now_ms() + self._asterisk_ahead_ms,
            may_act=may_act,
        )
        self._moved = self._session.moved

    @property
    def connected(self) -> bool:
        """True if the broker can be reached at this moment."""
        return self._session.connected

    @property
    def queue_depth(self) -> int:
        """Records, alerts and call events the broker has not acknowledged yet."""
        return self._post.backlog.depth

    @property
    def dropped(self) -> dict[MessageKind, int]:
        """Messages given up because too many waited, since the start."""
        return dict(self._post.backlog.dropped)

    # --- what the daemon says: none of these waits or fails -----------------------------------------

    def publish(self, fact: object) -> None:
        """Publish a fact. Facts are delivered in the order given here, at least once."""
        if not self._config.mqtt.enabled:
            return
        if isinstance(fact, CallEnded):
            self._gauges.count(fact.record)
            self._moved.set()
        self._post.tell(fact)

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
        outbox = None if self._outbox is None else self._outbox.state
        return FeedState(self.connected, self._post.backlog.depth, dropped, outbox)

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
        self._announcer.reconfigure(config)
        self._moved.set()

    def health(self, health: Health) -> None:
        """Say on `status` how the daemon itself does."""
        news = health.news != self._presence.health.news
        self._presence.health = health
        if news:
            self._moved.set()
        if health.role == "acts":
            self._watch_standby(health)

    def _watch_standby(self, health: Health) -> None:
        """Alert once, where nobody could take over for a while."""
        if health.standby == "ready":
            self._not_ready_s = None
            return
        now_s = time.monotonic()
        if self._not_ready_s is None:
            self._not_ready_s = now_s
        elif now_s - self._not_ready_s > STANDBY_ALERT_S:
            self._not_ready_s = float("inf")
            self.warn("standby_not_ready", f"no other daemon could take over: {health.standby_detail}")

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
                session = asyncio.create_task(self._connection(), name="feed session")
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

    async def _connection(self) -> None:
        """One connection, from its first to its last moment; what ended it is logged."""
        if not self._config.mqtt.enabled:
            await self._closing.wait()
            return
        if not self._may_act():
            # The other daemon has the same client id: the broker would end its connection.
            self._backoff.reset()
            return
        since_s: float | None = None
        try:
            async with broker.connected(opened := self._client()):
                since_s = time.monotonic()
                await self._session.serve(opened, self._dialect.version)
        except (aiomqtt.MqttError, CallstewardError, OSError, ssl.SSLError, ValueError) as error:
            if self._dialect.changes(error):
                self._backoff.reset()
                return
            log.warning(
                "no connection to the broker" if since_s is None else "connection to the broker lost",
                action="mqtt_unreachable" if since_s is None else "mqtt_lost",
                error=told(error, "mqtt"),
                host=self._config.mqtt.host,
                port=self._config.mqtt.port,
                waiting=self._post.backlog.depth,
            )
        if since_s is not None and time.monotonic() - since_s >= STABLE_S:
            self._backoff.reset()

    def _client(self) -> BrokerClient:
        will = messages.encode(self._post.stamped(self._presence.will()))
        payload, properties = self._wire.publish(self.topics.status, will, self._dialect.version, will=True)
        return broker.client(
            self._config,
            # Always the same: when the daemon returns before the broker has missed it, the broker ends the
            # old connection (and publishes its will) first.
            identifier=self._config.mqtt.client_id or f"callsteward-{self._site}",
            version=self._dialect.version,
            plain=self._dialect.plain,
            will=aiomqtt.Will(self.topics.status, payload, qos=1, retain=True, properties=properties),
            on_too_large=lambda _opened, topic, retained: self._announcer.too_large(topic, retained),
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
