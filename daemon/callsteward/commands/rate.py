"""How many commands may come: a bucket that fills evenly. Pure, the clock is the caller's."""

from __future__ import annotations

from collections import OrderedDict


class Rate:
    """A limit of commands per minute, and of as many at once."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._left = self._size
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """True if one more may come now (seconds of a clock that does not go back)."""
        if self._at_s is not None:
            gained = max(0.0, now_s - self._at_s) * self._size / 60
            self._left = min(self._size, self._left + gained)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Rates:
    """A rate for each sender, and one of `of_all` times as much for all that come by one way together.

    So nobody who sends without end takes the turns of the others. `known`: senders that are remembered.
    """

    def __init__(self, per_minute: int, of_all: int, known: int) -> None:
        self._per_minute = per_minute
        self._of_all = of_all
        self._known = known
        self._ways: dict[str, Rate] = {}
        self._senders: OrderedDict[str, Rate] = OrderedDict()

    def take(self, way: str, sender: str, now_s: float) -> bool:
        """True if one more of this sender may come now."""
        own = self._senders.get(sender)
        if own is None:
            own = self._senders[sender] = Rate(self._per_minute)
            if len(self._senders) > self._known:
                self._senders.popitem(last=False)
        self._senders.move_to_end(sender)
        if not own.take(now_s):
            return False
        return self._ways.setdefault(way, Rate(self._per_minute * self._of_all)).take(now_s)
