"""A client's number: read, masked, keyed. The number itself goes no further than this."""

from __future__ import annotations

import functools
import hmac
import re
from typing import Final, NamedTuple

from callsteward.record import caller_id, numbering
from callsteward.record.numbering import NumberFormat

_SHORTEST = 7
_LONGEST = 32  # a line delivers at most 15 digits; longer text is no number
_EXTENSION = 6  # the longest extension in a house
_REMEMBERED = 256  # characters of the longest text worth caching; no caller id is longer
# No country has the code 0: digits that are a number only within it belong to nobody.
_NOBODYS: Final = ";phone-context=+0"
# Results of `Numbers.kind` besides those of `record.numbering`.
PLUS: Final = "plus"
OWN_CODE: Final = "own_code"
AMBIGUOUS: Final = "ambiguous"
UNREAD: Final = "unread"
# In a name (of a channel, an endpoint, an extension): enough digits to be somebody's number.
_RUN: Final = re.compile(r"\+?\d(?:[ ()-]{0,2}\d){6,}")
_MASKED: Final = re.compile(r"\+?[0-9]{2,4}\*\*\*[0-9]{2,4}\Z")


class Looked(NamedTuple):
    """A caller id as it was read.

    `digits` as written, with their plus if they had one. `readings`: every number that they can be, each
    once; a number without its area code is the empty text. `kind`: see `Numbers.kind`.
    """

    digits: str
    readings: tuple[str, ...]
    kind: str

    @property
    def number(self) -> str | None:
        """The number as +79031234567, None if there is none or more than one."""
        return (self.readings[0] or None) if len(self.readings) == 1 else None

    @property
    def ambiguous(self) -> bool:
        """True if the digits can be more than one person's number."""
        return len(self.readings) > 1


def _one(number: str | None) -> tuple[str, ...]:
    return () if number is None else (number,)


class Numbers:
    """Reads numbers as they are dialled in a region (ISO 3166), and keys them with `key` if there is one.

    A number with a plus is taken as it is or not at all; it is never mended. Digits without a plus are a
    number if exactly one reading of them is valid: in the region, with a country code, or with the region's
    international prefix. If a trunk's way of writing is configured, `delivered` decides which reading counts.
    """

    def __init__(self, region: str, key: bytes | None) -> None:
        self._plan = numbering.Numbering(region)
        self._key = key
        # A call's number is needed several times; reading it costs more than the rest of the record.
        self._looked = functools.lru_cache(maxsize=1024)(self._look)
        self._mask = functools.lru_cache(maxsize=1024)(self._hide)
        self._name = functools.lru_cache(maxsize=1024)(self._hide_in)

    def look(self, raw: str) -> Looked | None:
        """A caller id as it was read, None for text that is no number at all.

        It may be an attacker's text.
        """
        return self._looked(raw) if len(raw) <= _REMEMBERED else None

    def e164(self, raw: str) -> str | None:
        """The number as +79031234567; None if it cannot be one, or can be more than one."""
        looked = self.look(raw)
        return None if looked is None else looked.number

    def readings(self, raw: str) -> tuple[str, ...]:
        """Every number that it can be."""
        looked = self.look(raw)
        return () if looked is None else tuple([number for number in looked.readings if number])

    def _look(self, raw: str) -> Looked | None:
        written = caller_id.read(raw)
        if written is None:
            return None
        digits, context = written
        bare = digits.removeprefix("+")
        if not _SHORTEST <= len(bare) <= _LONGEST:
            return Looked(digits, (), UNREAD if len(bare) > _EXTENSION else "")
        if bare != digits:
            return Looked(digits, _one(numbering.exact(digits)), PLUS)
        found = self._plan.readings(digits)
        readings = tuple([reading.number for reading in found])
        if not context:
            return Looked(digits, readings, self._kind(digits, found))
        # phone-context=+7: the number within that prefix, else the number with the prefix in front.
        within = tuple([number for number in readings if number.startswith(context)])
        return Looked(digits, within or _one(numbering.exact(context + digits)), PLUS)

    def delivered(self, raw: str, form: NumberFormat | None) -> str:
        """A number as a trunk delivered it, made ready for reading: +79031234567 if its format says so.

        A number with a plus, a short number and text that is no number stay as they are. A number that is not
        in the trunk's format is nobody's number, even if it could be read without the format.
        """
        written = caller_id.read(raw) if form is not None and len(raw) <= _REMEMBERED else None
        if form is None or written is None or written.context or written.digits.startswith("+"):
            return raw
        digits = written.digits
        found: list[numbering.Reading] = []
        if digits.startswith(form.strip):
            left = form.add + digits[len(form.strip) :]
            enough = self._plan.shortest <= len(left) <= _LONGEST
            found = self._plan.written(left, form.style) if enough else []
            if len(found) > 1:
                return left
        if found:
            return found[0].number
        return raw if len(digits) <= _EXTENSION else f"{digits}{_NOBODYS}"

    def kind(self, raw: str, form: NumberFormat | None) -> str:
        """How a trunk wrote a number, for `check` to propose a format; empty if it delivered none.

        One of `record.numbering`'s ways to read digits if there is just one (with the region's own country
        code `own_code`), else `plus`, `ambiguous` or `unread`.
        """
        looked = self.look(raw)
        if looked is None or form is None or looked.kind in {"", PLUS} or not (form.strip or form.add):
            return "" if looked is None else looked.kind
        if not looked.digits.startswith(form.strip):
            return UNREAD
        left = self.look(form.add + looked.digits[len(form.strip) :])
        return UNREAD if left is None else left.kind

    def _kind(self, digits: str, found: list[numbering.Reading]) -> str:
        if len(found) != 1:
            return AMBIGUOUS if found else UNREAD
        how = found[0].how
        return OWN_CODE if how == numbering.CODE and digits.startswith(self._plan.code) else how

    def masked(self, raw: str) -> str | None:
        """The masked number: +7903***4567.

        A short internal number as it is; None for text that is no number at all.
        """
        return self._mask(raw) if len(raw) <= _REMEMBERED else self._hide(raw)

    def _hide(self, raw: str) -> str | None:
        number = self.e164(raw)
        if number is not None:
            return f"{number[:5]}***{number[-4:]}"
        looked = self.look(raw)
        digits = (raw if looked is None else looked.digits).removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            return None
        if len(digits) <= _EXTENSION:
            return digits
        return f"{digits[:2]}***{digits[-2:]}"

    def hidden(self, text: str) -> str:
        """A name with each number of seven or more digits in it masked, separated or not."""
        if len(text) < _SHORTEST:
            return text
        return self._name(text) if len(text) <= _REMEMBERED else self._hide_in(text)

    def _hide_in(self, text: str) -> str:
        return _RUN.sub(self._hide_run, text)

    def _hide_run(self, run: re.Match[str]) -> str:
        return self.masked("".join([char for char in run.group() if char not in " ()-"])) or "***"

    def extension(self, raw: str) -> str:
        """A dialled extension, masked if a client's number can be in it (behind a 9, behind *72)."""
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
        return hmac.digest(self._key, number.encode(), "sha256").hex()[:32]
