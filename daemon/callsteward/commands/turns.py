"""Commands that wait, a queue for each sender: who sends many waits behind the own ones. Pure."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Takes one of each sender in turn. `most` wait in all, `most_of_one` of one sender."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0
        self._arrived = asyncio.Event()

    def put(self, sender: str, item: T) -> bool:
        """Put an item into its sender's queue. False if there is no room.

        When all room is taken, the newest item of the sender with the most makes room for it.
        """
        own = self._waiting.get(sender, ())
        if len(own) >= self._most_of_one:
            return False
        if self._count >= self._most:
            longest = max(self._waiting.values(), key=len)
            if len(longest) <= len(own) + 1:
                return False
            longest.pop()
            self._count -= 1
        self._waiting.setdefault(sender, deque()).append(item)
        self._count += 1
        self._arrived.set()
        return True

    async def get(self) -> T:
        """The next one, once there is one."""
        while not self._count:
            self._arrived.clear()
            await self._arrived.wait()
        sender, items = self._waiting.popitem(last=False)
        item = items.popleft()
        self._count -= 1
        if items:
            # Behind all others.
            self._waiting[sender] = items
        return item
