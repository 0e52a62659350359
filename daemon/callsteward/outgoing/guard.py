"""The number guard: the number, if any, that may be dialled for a caller id. Pure.

An attacker may choose the caller id. `record.caller_id` finds the number in it, `record.numbering` the
country it belongs to. The result is rebuilt from the digits that `phonenumbers` read, so nothing of the
caller id's text reaches a dial string. Anything but one valid number of an allowed type in an allowed region
is refused, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberType, shortnumberinfo

from callsteward.outgoing.domestic import elsewhere
from callsteward.record.number import Numbers
from callsteward.record.numbering import NumberFormat

if TYPE_CHECKING:
    from callsteward.config import Config

E164 = re.compile(r"\+[0-9]{7,15}\Z")

# Country codes without a country: 870 and 881 are satellites, 882 and 883 networks, 878, 888 and 979
# numbers that are billed like premium ones (ITU-T E.164, list of assigned country codes).
_SATELLITE = ("+870", "+881", "+882", "+883")
_SHORTEST = 7

_TYPES = {
    PhoneNumberType.MOBILE: ("mobile",),
    PhoneNumberType.FIXED_LINE: ("fixed_line",),
    PhoneNumberType.FIXED_LINE_OR_MOBILE: ("mobile", "fixed_line"),
    PhoneNumberType.VOIP: ("voip",),
    PhoneNumberType.PERSONAL_NUMBER: ("personal",),
    PhoneNumberType.TOLL_FREE: ("toll_free",),
}


class Refusal(StrEnum):
    """The reason why a number is not called."""

    NO_NUMBER = "no_number"
    NOT_A_NUMBER = "not_a_number"
    OWN_NUMBER = "own_number"
    EMERGENCY = "emergency_number"
    SHORT = "short_number"
    SATELLITE = "satellite_number"
    INVALID = "invalid_number"
    AMBIGUOUS = "ambiguous_number"
    REGION = "region_not_allowed"
    PREMIUM = "premium_number"
    TYPE = "type_not_allowed"
    DENIED = "denied_prefix"


class Checked(msgspec.Struct, frozen=True):
    """The result for a caller id: a number to dial (+79031234567), or the reason why there is none."""

    number: str | None
    refusal: Refusal | None = None


class Guard:
    """Checks caller ids as a site's configuration asks."""

    def __init__(self, config: Config) -> None:
        settings = config.callback
        self._region = config.site.region
        self._numbers = Numbers(config.site.region, None)
        self._regions = frozenset(settings.regions or (config.site.region,))
        self._types = frozenset(settings.types)
        self._denied = settings.denied_prefixes
        self._allowed = settings.allowed_prefixes
        self._elsewhere = tuple(start for starts in elsewhere(self._regions).values() for start in starts)
        self._phones = frozenset(
            [*config.operators, *(name for line in config.lines for name in line.operators)]
        )
        dids = [did for line in config.lines for did in line.dids]
        caller_ids = [settings.caller_id, *(line.callback_caller_id for line in config.lines)]
        # A callback to ourselves would ring the hotline, whose drop makes another callback.
        self._own = tuple(self._patterns([*dids, *(item for item in caller_ids if item is not None)]))

    def _patterns(self, own: Iterable[str]) -> Iterable[str]:
        for item in own:
            # A line that accepts every dialled number does not own every number.
            if sum(char.isdigit() for char in item) >= _SHORTEST - 2:
                yield item.removeprefix("+")
            for number in self._numbers.readings(item):
                yield number.removeprefix("+")

    def read(self, raw: str, form: NumberFormat | None = None) -> str | None:
        """The number as +79031234567, however it was written; None if it is no number, or may be one of two.

        So the do-not-call list and the limits know a number in whatever form it is written. `form`: how its
        writer, such as a trunk, writes numbers without a plus.
        """
        return self._numbers.e164(self._numbers.delivered(raw, form))

    def readings(self, raw: str) -> tuple[str, ...]:
        """All numbers that the text may stand for; several if it is ambiguous."""
        return self._numbers.readings(raw)

    def ambiguous(self, raw: str) -> bool:
        """True if the text may stand for more than one number."""
        looked = self._numbers.look(raw)
        return looked is not None and looked.ambiguous

    def kept(self, raw: str) -> str | None:
        """A client's number as the database keeps it: E.164, or the digits alone if they are ambiguous."""
        looked = self._numbers.look(raw)
        if looked is None:
            return None
        return looked.digits if looked.ambiguous else looked.number

    def check(self, raw: str) -> Checked:
        """The number to dial, or the first reason against it."""
        text = raw.strip(" ")
        if not text or text.lower() in {"anonymous", "unknown", "restricted", "unavailable", "private"}:
            return Checked(None, Refusal.NO_NUMBER)
        looked = self._numbers.look(text)
        if looked is None:
            return Checked(None, Refusal.NOT_A_NUMBER)
        digits, number = looked.digits, looked.number
        refusal = self._short(digits)
        if refusal is not None:
            return Checked(None, refusal)
        if digits.startswith(_SATELLITE):
            return Checked(None, Refusal.SATELLITE)
        if looked.ambiguous:
            ours = any(self._is_own(reading.removeprefix("+")) for reading in looked.readings)
            return Checked(None, Refusal.OWN_NUMBER if ours else Refusal.AMBIGUOUS)
        if number is None or not E164.match(number):
            return Checked(None, Refusal.INVALID)
        refusal = self._refusal(number)
        return Checked(number) if refusal is None else Checked(None, refusal)

    def _short(self, digits: str) -> Refusal | None:
        """The refusal of a number that no subscriber has: an emergency number, a colleague, a service."""
        bare = digits.removeprefix("+")
        if bare in self._phones:
            return Refusal.OWN_NUMBER
        if shortnumberinfo.is_emergency_number(bare, self._region):
            return Refusal.EMERGENCY
        return Refusal.SHORT if len(bare) < _SHORTEST else None

    def _is_own(self, bare: str) -> bool:
        return any(fnmatchcase(bare, own) for own in self._own)

    def _refusal(self, number: str) -> Refusal | None:
        bare = number.removeprefix("+")
        if self._is_own(bare):
            return Refusal.OWN_NUMBER
        if shortnumberinfo.connects_to_emergency_number(bare, self._region):
            # +91 1… dialled as digits from where 911 is the emergency number.
            return Refusal.EMERGENCY
        if number.startswith(_SATELLITE):
            return Refusal.SATELLITE
        if number.startswith(self._denied):
            return Refusal.DENIED
        parsed = phonenumbers.parse(number, None)
        if not number.startswith(self._allowed) and (
            number.startswith(self._elsewhere)
            or phonenumbers.region_code_for_number(parsed) not in self._regions
        ):
            return Refusal.REGION
        kind = phonenumbers.number_type(parsed)
        if kind in {PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST}:
            return Refusal.PREMIUM
        return None if self._types.intersection(_TYPES.get(kind, ())) else Refusal.TYPE
