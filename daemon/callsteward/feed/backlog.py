"""What waits to be published: bounded, oldest first, and a flood of one kind never pushes out another.

Pure: no IO. Records, alerts and call events each have their own bound. When a kind is over its bound
its oldest message is dropped and counted; nothing is dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    RECORD = "record"
    ALERT = "alert"
    EVENT = "event"


class Waiting(msgspec.Struct, frozen=True):
    """A message as it will go out, the same on every try."""

    seq: int
    kind: Kind
    topic: str
    payload: bytes
    retain_s: int | None = None
    """Kept by the broker for so long; None: not at all."""


class Backlog:
    """Messages not yet acknowledged by the broker, in the order of their `seq`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[Kind, deque[Waiting]] = {kind: deque() for kind in Kind}
        self._in_flight = 0
        self.dropped: dict[Kind, int] = dict.fromkeys(Kind, 0)

    @property
    def depth(self) -> int:
        """Messages not yet acknowledged, those just being sent included."""
        return self._in_flight + sum(map(len, self._queues.values()))

    def put(self, message: Waiting) -> Waiting | None:
        """Add a message; the one that had to go for it, if any."""
        queue = self._queues[message.kind]
        queue.append(message)
        if len(queue) <= self._limit:
            return None
        self.dropped[message.kind] += 1
        return queue.popleft()

    def take(self, count: int) -> list[Waiting]:
        """The oldest messages, to be sent now; give them back with `sent` or `unsent`."""
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
        return taken

    def sent(self, messages: Iterable[Waiting]) -> None:
        """The broker has them."""
        self._in_flight -= sum(1 for _ in messages)

    def unsent(self, messages: Iterable[Waiting]) -> None:
        """The broker may not have them: they go out again, in the same order."""
        for message in reversed(list(messages)):
            self._queues[message.kind].appendleft(message)
            self._in_flight -= 1
