"""A client's number: read, masked, keyed. The number itself goes no further than this."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from typing import Final

import phonenumbers

from callsteward.calls import caller_id

_SHORTEST = 7
_LONGEST = 32  # a line delivers at most 15 digits; what is longer is no number
_EXTENSION = 6  # the longest that a house numbers its phones with
_REMEMBERED = 256  # characters of what is worth remembering; no caller id is longer
# In a name (of a channel, an endpoint, an extension): so many digits that they may be somebody's number.
_RUN: Final = re.compile(r"\+?\d(?:[ ()-]{0,2}\d){6,}")
_MASKED: Final = re.compile(r"\+?[0-9]{2,4}\*\*\*[0-9]{2,4}\Z")


class Numbers:
    """Reads numbers as they are dialled in a region (ISO 3166), keys them with `key` if there is one."""

    def __init__(self, region: str, key: bytes | None) -> None:
        self._region = region
        self._key = key
        # What a number of the region looks like as it is dialled: 8 903… with the prefix, 903… without.
        self._prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""
        example = phonenumbers.example_number(region)
        self._length = 0 if example is None else len(phonenumbers.national_significant_number(example))
        # A call's number is asked for several times; reading it costs more than the rest of the record.
        self._read = functools.lru_cache(maxsize=1024)(self._parse)
        self._mask = functools.lru_cache(maxsize=1024)(self._hide)

    def plain(self, raw: str) -> str | None:
        """The digits of a caller id, with their leading plus; None for what is no number at all.

        All that a caller id says besides is left out (`calls.caller_id`). Whoever masks, keys or dials a
        number begins here, so that none of them takes another one for it.
        """
        written = caller_id.read(raw)
        if written is None:
            return None
        digits, context = written
        if not context or len(digits) <= _EXTENSION:
            return digits
        # phone-context=+7: the region's reading where it lies within, else the number with that in front.
        reading = self._valid(digits)
        if reading is not None and reading.startswith(context):
            return reading
        return self._valid(context + digits)

    def e164(self, raw: str) -> str | None:
        """The number as +79031234567, or None for what cannot be one. The caller id is the attacker's."""
        return self._read(raw) if len(raw) <= _REMEMBERED else None

    def _parse(self, raw: str) -> str | None:
        digits = self.plain(raw)
        return None if digits is None else self._valid(digits)

    def _valid(self, plain: str) -> str | None:
        digits = plain.removeprefix("+")
        if not _SHORTEST <= len(digits) <= _LONGEST:
            return None
        # 79031234567 comes without a plus: as it stands first, then as dialled in the region. But what looks
        # dialled in the region is of the region first: 8 495… is Moscow, though +84 95… is Vietnam.
        readings: list[tuple[str, str | None]] = [(f"+{digits}", None), (digits, self._region)]
        if digits == plain and (
            len(digits) == self._length or (self._prefix and digits.startswith(self._prefix))
        ):
            readings.reverse()
        for candidate, region in readings:
            try:
                number = phonenumbers.parse(candidate, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        return None

    def masked(self, raw: str) -> str | None:
        """+7903***4567; a short internal number as it is; None for what is no number at all."""
        return self._mask(raw) if len(raw) <= _REMEMBERED else self._hide(raw)

    def _hide(self, raw: str) -> str | None:
        number = self.e164(raw)
        if number is not None:
            return f"{number[:5]}***{number[-4:]}"
        digits = (self.plain(raw) or raw).removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            return None
        if len(digits) <= _EXTENSION:
            return digits
        return f"{digits[:2]}***{digits[-2:]}"

    def hidden(self, text: str) -> str:
        """A name with each number in it masked: of seven digits and more, separated or not."""
        return _RUN.sub(self._hide_run, text) if len(text) >= _SHORTEST else text

    def _hide_run(self, run: re.Match[str]) -> str:
        return self.masked("".join([char for char in run.group() if char not in " ()-"])) or "***"

    def extension(self, raw: str) -> str:
        """What was dialled, masked where a client's number can be in it (behind a 9, behind *72)."""
        if sum(char.isdigit() for char in raw) <= _EXTENSION or _MASKED.match(raw):
            return raw
        return self.masked(raw) or "***"

    def ref(self, raw: str) -> str | None:
        """HMAC-SHA256 of the E.164 number in hex (first 32 digits), None without a key or a number."""
        if self._key is None:
            return None
        number = self.e164(raw)
        if number is None:
            return None
        return hmac.new(self._key, number.encode(), hashlib.sha256).hexdigest()[:32]
