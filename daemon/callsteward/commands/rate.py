"""How many commands may come: a bucket that fills evenly. Pure, the clock is the caller's."""

from __future__ import annotations


class Rate:
    """So many a minute, and as many at once."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._left = self._size
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more may come now (seconds of a clock that does not go back)."""
        if self._at_s is not None:
            gained = max(0.0, now_s - self._at_s) * self._size / 60
            self._left = min(self._size, self._left + gained)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
