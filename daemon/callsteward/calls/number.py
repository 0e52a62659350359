"""A client's number: read, masked, keyed. The number itself goes no further than this."""

from __future__ import annotations

import functools
import hashlib
import hmac

import phonenumbers

_LONGEST = 32  # a line delivers at most 15 digits; what is longer is no number
_EXTENSION = 6  # the longest that a house numbers its phones with


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

    def e164(self, raw: str) -> str | None:
        """The number as +79031234567, or None for what cannot be one.

        The caller id is the attacker's: only plain digits with one leading + are looked at.
        """
        return self._read(raw)

    def _parse(self, raw: str) -> str | None:
        digits = raw.removeprefix("+")
        if not (digits.isascii() and digits.isdigit()) or not 7 <= len(digits) <= _LONGEST:
            return None
        # 79031234567 comes without a plus: as it stands first, then as dialled in the region. But what looks
        # dialled in the region is of the region first: 8 495… is Moscow, though +84 95… is Vietnam.
        readings: list[tuple[str, str | None]] = [(f"+{digits}", None), (digits, self._region)]
        if digits == raw and (
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
        return self._mask(raw)

    def _hide(self, raw: str) -> str | None:
        number = self.e164(raw)
        if number is not None:
            return f"{number[:5]}***{number[-4:]}"
        digits = raw.removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            return None
        if len(digits) <= _EXTENSION:
            return digits
        return f"{digits[:2]}***{digits[-2:]}"

    def extension(self, raw: str) -> str:
        """What was dialled, masked where a client's number can be in it (behind a 9, behind *72)."""
        if sum(char.isdigit() for char in raw) <= _EXTENSION:
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
