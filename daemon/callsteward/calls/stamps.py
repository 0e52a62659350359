"""Asterisk's timestamps read as milliseconds, at the price of one event out of a thousand."""

from __future__ import annotations

from typing import Final

from callsteward.ari.events import epoch_ms

_SECONDS: Final = {f"{second:02d}.": second * 1000 for second in range(60)}
_MILLIS: Final = {f"{ms:03d}": ms for ms in range(1000)}


class Stamps:
    """Reads timestamps of one stream. What two of them share, the second and the zone, is parsed once."""

    __slots__ = ("_base_ms", "_length", "_minute", "_minute_ms", "_second", "_zone")

    def __init__(self) -> None:
        # 2026-11-22T02:06: and 2026-11-22T02:06:46. and +0000 of the last one read, its length, and the
        # moments that minute and second mean there.
        self._minute = ""
        self._second = ""
        self._zone = ""
        self._length = -1
        self._minute_ms = 0
        self._base_ms = 0

    def ms(self, stamp: str) -> int | None:
        """Just what `epoch_ms` says of it: ms since 1970, None for what is no timestamp."""
        millis = _MILLIS.get(stamp[20:23])
        if millis is None:
            return epoch_ms(stamp)
        if len(stamp) == self._length and stamp.endswith(self._zone):
            if stamp.startswith(self._second):
                return self._base_ms + millis
            second_ms = _SECONDS.get(stamp[17:20])
            if second_ms is not None and stamp.startswith(self._minute):
                self._second = stamp[:20]
                self._base_ms = self._minute_ms + second_ms
                return self._base_ms + millis
        read = epoch_ms(stamp)
        second_ms = _SECONDS.get(stamp[17:20])
        if read is not None and second_ms is not None:
            self._minute, self._second, self._zone = stamp[:17], stamp[:20], stamp[23:]
            self._length = len(stamp)
            self._base_ms = read - millis
            self._minute_ms = self._base_ms - second_ms
        return read
