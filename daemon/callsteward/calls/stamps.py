"""Asterisk's timestamps as milliseconds, fully parsed for one event in a thousand only."""

from __future__ import annotations

from typing import Final

from callsteward.ari.events import epoch_ms

_SECONDS: Final = {f"{second:02d}.": second * 1000 for second in range(60)}
# A moment that no timestamp can mean.
_NONE: Final = -(1 << 61)


def _millis(stamp: str) -> int:
    """The three digits after the dot, negative if they are not digits.

    As bare numbers, since it runs for every event.
    """
    if len(stamp) < 23:
        return -1
    hundreds, tens, ones = ord(stamp[20]) - 48, ord(stamp[21]) - 48, ord(stamp[22]) - 48
    if 0 <= hundreds <= 9 and 0 <= tens <= 9 and 0 <= ones <= 9:
        return hundreds * 100 + tens * 10 + ones
    return -1


class Stamps:
    """Reads the timestamps of one stream. The parts that two of them share are parsed once."""

    __slots__ = ("_base_ms", "_length", "_minute", "_minute_ms", "_second", "_zone")

    def __init__(self) -> None:
        # Of the last timestamp read: 2026-11-22T02:06: and 2026-11-22T02:06:46. and +0000, its length, and
        # the moments that its minute and its second mean.
        self._minute = ""
        self._second = ""
        self._zone = ""
        self._length = -1
        self._minute_ms = 0
        self._base_ms = 0

    def ms(self, stamp: str) -> int | None:
        """The same as `epoch_ms`: ms since 1970, None for text that is no timestamp."""
        read = self.ms_or(stamp, _NONE)
        return None if read == _NONE else read

    def ms_or(self, stamp: str, otherwise: int) -> int:
        """The same, with a number of the caller's for text that is no timestamp."""
        millis = _millis(stamp)
        if millis < 0:
            return self._parsed(stamp, otherwise)
        if len(stamp) == self._length and stamp.endswith(self._zone):
            if stamp.startswith(self._second):
                return self._base_ms + millis
            second_ms = _SECONDS.get(stamp[17:20])
            if second_ms is not None and stamp.startswith(self._minute):
                self._second = stamp[:20]
                self._base_ms = self._minute_ms + second_ms
                return self._base_ms + millis
        read = self._parsed(stamp, _NONE)
        if read == _NONE:
            return otherwise
        second_ms = _SECONDS.get(stamp[17:20])
        if second_ms is not None:
            self._minute, self._second, self._zone = stamp[:17], stamp[:20], stamp[23:]
            self._length = len(stamp)
            self._base_ms = read - millis
            self._minute_ms = self._base_ms - second_ms
        return read

    @staticmethod
    def _parsed(stamp: str, otherwise: int) -> int:
        read = epoch_ms(stamp)
        return otherwise if read is None else read
