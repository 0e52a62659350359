"""The numbered messages: put in the order of what happened, taken by the connection, gone once acknowledged.

What must arrive comes from the outbox where there is one (`feed.delivery`); alerts and call events, and
everything where there is none, are kept in memory alone. Pure but for the clock: no IO.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec
import structlog

from callsteward.feed import messages
from callsteward.feed.backlog import Backlog, MessageKind, Waiting
from callsteward.feed.delivery import Delivery, Level
from callsteward.feed.messages import Message
from callsteward.feed.tell import Forget, Tells
from callsteward.store.outbox import OutboxSize, Stored

log = structlog.get_logger("callsteward.feed")

# Messages of the outbox held in memory, to be sent next; the others wait on disk.
HELD = 1_000

M = TypeVar("M", bound=Message)


class Post:
    """The messages that wait for the broker. The outbox calls `room` to `filled` (`delivery.Sink`).

    `expires`: whether the broker forgets by itself a message that is past its time (MQTT 5).
    """

    def __init__(
        self,
        *,
        site: str,
        boot_id: str,
        tells: Tells,
        expires: Callable[[], bool],
        limit: int,
        now_ms: Callable[[], int],
        outbox: Delivery | None,
    ) -> None:
        self._site = site
        self._boot_id = boot_id
        self._tells = tells
        self._topics = tells.topics
        self._expires = expires
        self._now_ms = now_ms
        self._outbox = outbox
        self.backlog = Backlog(limit)
        self.seq = 0
        """The last number given out."""
        self.news = asyncio.Event()
        """Set when something was put in, or acknowledged."""
        self.emptied = asyncio.Event()
        """Set while the broker has everything."""
        self._note_emptied()

    def stamped(self, message: M) -> M:
        """The message with its envelope; of a gauge or status, which take no number, the last one's."""
        return messages.stamped(message, boot_id=self._boot_id, seq=self.seq, now_ms=self._now_ms())

    def put(
        self,
        kind: MessageKind,
        topic: str,
        message: Message,
        *,
        stored: bool = False,
        retain: bool = False,
        expire_s: int | None = None,
    ) -> None:
        """Number a message and keep it in memory. `stored`: it is in the outbox too."""
        self.seq += 1
        payload = messages.encode(self.stamped(message))
        name = message.message_id if stored else None
        self._queue(Waiting(self.seq, kind, topic, payload, name, retain, expire_s))

    def tell(self, fact: object) -> None:
        """Put in the message of a fact; a fact without one is nothing.

        A message that must arrive is in the outbox already, where there is one, and may go now.
        """
        entry = self._tells.of(fact)
        if entry is None:
            return
        topic = self._tells.topic(entry, fact)
        if isinstance(entry, Forget):
            if not self._expires():
                self._clear(topic)
            return
        expire_s = self._tells.expire_s(entry)
        if entry.durable:
            self.emptied.clear()
            if self._outbox is not None:
                name = self._tells.message_id(entry, fact)
                if self._outbox.release(name, self.room(), by_hand=entry.at_once):
                    self.put(MessageKind.RECORD, topic, self._tells.stored(entry, fact, name), stored=True)
                return
        message = self._tells.message(entry, fact)
        self.put(entry.kind, topic, message, retain=expire_s is not None, expire_s=expire_s)

    def _clear(self, topic: str) -> None:
        """Have the broker forget what it keeps of a topic. An empty message, which takes no number."""
        self._queue(Waiting(self.seq, MessageKind.RECORD, topic, b"", retain=True))

    def warn(self, rule: str, detail: str, *, value: float | None = None, limit: float | None = None) -> None:
        """Alert to something that is wrong with the daemon's own work."""
        alert = messages.daemon_alert(
            self._site, rule, self._now_ms(), value=value, limit=limit, detail=detail
        )
        self.put(MessageKind.ALERT, self._topics.daemon_alert(rule), alert)

    def next(self, count: int) -> list[Waiting]:
        """The oldest messages, to be sent now; each comes back as `acknowledged` or `unsent`."""
        self.news.clear()
        batch = self.backlog.take(count)
        self._note_emptied()
        return batch

    def acknowledged(self, item: Waiting) -> None:
        """The broker has it."""
        self.backlog.sent([item])
        if self.backlog.waits:
            self.news.set()
        else:
            self._note_emptied()
        if self._outbox is not None and item.message_id is not None:
            self._outbox.sent([item.message_id])
            if self.backlog.waiting(MessageKind.RECORD) < HELD // 2:
                self._outbox.go_on()

    def refused(self, item: Waiting) -> None:
        """The broker does not take it, now or later; the caller goes on as if it were `acknowledged`."""
        self.backlog.dropped[item.kind] += 1
        if self._outbox is not None and item.message_id is not None:
            self._outbox.refused(item.message_id)

    def unsent(self, items: Iterable[Waiting]) -> None:
        """The broker may not have these: they go out again, in the same order."""
        self.backlog.unsent(items)

    def left(self) -> tuple[int, int]:
        """The messages that the broker does not have: how many are on disk, and how many in memory only."""
        if self._outbox is None:
            return 0, self.backlog.depth
        return self._outbox.measure.messages, self.backlog.depth - self.backlog.stored

    # --- what the outbox calls: none of these waits or fails ----------------------------------------

    def room(self) -> int:
        return HELD - self.backlog.waiting(MessageKind.RECORD)

    def take(self, message: Stored) -> None:
        self.seq += 1
        try:
            payload = messages.addressed(message.payload, boot_id=self._boot_id, seq=self.seq)
        except msgspec.DecodeError as error:
            log.error("not a message, dropped", action="outbox_broken", row=message.id, error=str(error))  # noqa: TRY400
            self.backlog.dropped[MessageKind.RECORD] += 1
            if self._outbox is not None:
                self._outbox.sent([message.message_id])
            return
        retain, expire_s = message.retain, message.expire_s
        if expire_s is not None:
            # Counted from when it was made: what has waited too long is told, but no longer kept.
            expire_s -= max(0, self._now_ms() - message.made_at_ms) // 1000
            if expire_s <= 0:
                retain, expire_s = False, None
        self._queue(
            Waiting(
                self.seq, MessageKind.RECORD, message.topic, payload, message.message_id, retain, expire_s
            )
        )

    def on_the_way(self) -> Collection[str]:
        return self.backlog.stored_in_flight

    def forget(self, names: Collection[str]) -> int:
        return self.backlog.forget(names)

    def dropped(self, messages: int, taken: int) -> None:
        # Those without a number get one now: a subscriber is to see that something is missing.
        self.seq += messages - taken
        self.backlog.dropped[MessageKind.RECORD] += messages

    def caught_up(self) -> None:
        self._note_emptied()

    def filled(self, now: Level, measure: OutboxSize, limit: int) -> None:
        if now is not Level.NORMAL:
            detail = f"{measure.messages} messages wait for the broker"
            self.warn(f"outbox_{now.value}", detail, value=measure.size, limit=limit)

    # ------------------------------------------------------------------------------------------------

    def _note_emptied(self) -> None:
        if not self.backlog.depth and (self._outbox is None or self._outbox.in_step):
            self.emptied.set()

    def _queue(self, item: Waiting) -> None:
        dropped = self.backlog.put(item)
        self.emptied.clear()
        self.news.set()
        if dropped is not None:
            count = self.backlog.dropped[dropped.kind]
            if count == 1 or count % 1000 == 0:
                log.error(
                    "too many messages wait for the broker, the oldest are dropped",
                    action="mqtt_dropped",
                    kind=dropped.kind.value,
                    seq=dropped.seq,
                    dropped=count,
                )
