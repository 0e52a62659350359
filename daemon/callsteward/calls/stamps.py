"""Asterisk's timestamps read as milliseconds, at the price of one event out of a thousand."""

from __future__ import annotations

from callsteward.ari.events import epoch_ms


class Stamps:
    """Reads timestamps of one stream. What two of them share, the second and the zone, is parsed once."""

    __slots__ = ("_base_ms", "_second", "_zone")

    def __init__(self) -> None:
        # 2026-11-22T02:06:46. and +0000 of the last one read, and the moment the two mean.
        self._second = ""
        self._zone = ""
        self._base_ms = 0

    def ms(self, stamp: str) -> int | None:
        """Just what `epoch_ms` says of it: ms since 1970, None for what is no timestamp."""
        second, millis, zone = stamp[:20], stamp[20:23], stamp[23:]
        if second != self._second or zone != self._zone:
            read = epoch_ms(stamp)
            if read is None:
                return None
            self._second, self._zone = second, zone
            self._base_ms = read - int(millis)
            return read
        try:
            return self._base_ms + int(millis)
        except ValueError:
            return None
