"""Messages waiting to be published: bounded, oldest first; a flood of one kind never pushes out another.

Pure: no IO. Records, alerts and call events each have their own bound. When a kind is over its bound its
oldest message is dropped and counted; nothing is dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from enum import StrEnum

import msgspec


class MessageKind(StrEnum):
    RECORD = "record"
    ALERT = "alert"
    EVENT = "event"


class Waiting(msgspec.Struct, frozen=True):
    """A message as it will go out, the same on every try.

    `message_id`: its name in the outbox, None if it is kept in memory only. `retain` and `expire_s`: whether
    and for how long the broker keeps it.
    """

    seq: int
    kind: MessageKind
    topic: str
    payload: bytes
    message_id: str | None = None
    retain: bool = False
    expire_s: int | None = None


class Backlog:
    """Messages not yet acknowledged by the broker, in the order of their `seq`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[MessageKind, deque[Waiting]] = {kind: deque() for kind in MessageKind}
        self._in_flight = 0
        self._stored_in_flight: set[str] = set()
        self.dropped: dict[MessageKind, int] = dict.fromkeys(MessageKind, 0)

    @property
    def depth(self) -> int:
        """Messages not yet acknowledged, including those being sent."""
        return self._in_flight + sum(map(len, self._queues.values()))

    @property
    def waits(self) -> bool:
        """True if a message waits that is not being sent."""
        return any(self._queues.values())

    def waiting(self, kind: MessageKind) -> int:
        """How many of a kind wait, without those being sent."""
        return len(self._queues[kind])

    @property
    def stored(self) -> int:
        """How many of all messages are in the outbox too."""
        waiting = self._queues[MessageKind.RECORD]
        return len(self._stored_in_flight) + sum(item.message_id is not None for item in waiting)

    @property
    def stored_in_flight(self) -> Collection[str]:
        """The message_ids of messages being sent from the outbox."""
        return frozenset(self._stored_in_flight)

    def put(self, message: Waiting) -> Waiting | None:
        """Add a message; returns the one dropped for it, if any."""
        queue = self._queues[message.kind]
        queue.append(message)
        if len(queue) <= self._limit:
            return None
        self.dropped[message.kind] += 1
        return queue.popleft()

    def take(self, count: int) -> list[Waiting]:
        """The oldest messages, to be sent now; return them with `sent` or `unsent`."""
        taken: list[Waiting] = []
        while len(taken) < count:
            queue = min(
                (queue for queue in self._queues.values() if queue),
                key=lambda queue: queue[0].seq,
                default=None,
            )
            if queue is None:
                break
            taken.append(queue.popleft())
        self._in_flight += len(taken)
        self._stored_in_flight.update(item.message_id for item in taken if item.message_id is not None)
        return taken

    def sent(self, messages: Iterable[Waiting]) -> None:
        """The broker has them."""
        for message in messages:
            self._in_flight -= 1
            self._stored_in_flight.discard(message.message_id or "")

    def unsent(self, messages: Iterable[Waiting]) -> None:
        """The broker may not have them: they are sent again, in the same order."""
        for message in reversed(list(messages)):
            self._queues[message.kind].appendleft(message)
            self._in_flight -= 1
            self._stored_in_flight.discard(message.message_id or "")

    def forget(self, names: Collection[str]) -> int:
        """Give up these messages of the outbox if they wait; returns how many did."""
        gone = set(names)
        queue = self._queues[MessageKind.RECORD]
        before = len(queue)
        kept = [message for message in queue if message.message_id not in gone]
        queue.clear()
        queue.extend(kept)
        return before - len(kept)
