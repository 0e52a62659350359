"""Events that may come twice: over two sockets, or to two processes."""

from __future__ import annotations

# 200 calls a second in the seconds around a stop.
RECENT_LIMIT = 20_000


class Recent:
    """Events that came already, in order to recognise each when it comes a second time.

    Bounded: the oldest go.
    """

    def __init__(self, limit: int = RECENT_LIMIT) -> None:
        self._limit = limit
        self._keys: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, raw: bytes | str) -> None:
        """Take note of an event."""
        self._keys[_key(raw)] = None
        if len(self._keys) > self._limit:
            del self._keys[next(iter(self._keys))]

    def take(self, raw: bytes | str) -> bool:
        """True if the event came before. It is then forgotten: no event comes a third time."""
        key = _key(raw)
        if key not in self._keys:
            return False
        del self._keys[key]
        return True

    def clear(self) -> None:
        self._keys.clear()


def _key(raw: bytes | str) -> int:
    return hash(raw.encode() if isinstance(raw, str) else raw)
