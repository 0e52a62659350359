"""Readings of digits without a plus: every number that they can be in a region. Pure.

Trunks deliver `79031234567`, `89031234567`, `9031234567`, `81074951234567` without saying which form that is.
The same digits can be two people's: 4740057948 is Norway (+47 40057948) and Lipetsk (+7 474 005-79-48). So
all readings are found here, and a number is used only if it is the single one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumberFormat, PhoneNumberType

# Ways of reading digits.
CODE: Final = "code"
"""With the country code, without its plus: 79031234567, 4740057948."""
NATIONAL: Final = "national"
"""As the region writes its own numbers: 9031234567."""
PREFIXED: Final = "prefixed"
"""With the region's trunk prefix: 89031234567."""
ABROAD: Final = "abroad"
"""With the region's international prefix: 8104740057948."""
LOCAL: Final = "local"
"""Without its area code: the digits do not say whose number it is."""

_SHORTEST: Final = 7

E164: Final = "e164"
AS_DIALLED: Final = "national"


class Reading(NamedTuple):
    """One number that digits can be (E.164), and the way they are read for it. A local one has no number."""

    how: str
    number: str


class NumberFormat(NamedTuple):
    """How a trunk writes numbers without a plus.

    `style` is `e164` (with country code) or `national` (as the region dials). `strip` stands before each
    number; `add` is missing before the rest.
    """

    style: str
    strip: str = ""
    add: str = ""


def exact(number: str) -> str | None:
    """A number with its plus if it is valid as it stands; nothing is inserted or removed."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    written = str(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))
    return number if written == number and phonenumbers.is_valid_number(parsed) else None


class Numbering:
    """The numbering plan of a region (ISO 3166), as `phonenumbers` has it."""

    def __init__(self, region: str) -> None:
        self._region = region
        self.code = str(phonenumbers.country_code_for_region(region))
        plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
        assert plan is not None
        self.prefix = plan.national_prefix or ""
        self._abroad = re.compile(plan.international_prefix) if plan.international_prefix else None
        # Regions where more than the trunk prefix is dialled: a carrier's code, a mobile's 15 in Argentina,
        # an island's numbers without their area code.
        self._rules = bool(
            plan.national_prefix_transform_rule
            or (plan.national_prefix_for_parsing or "") != (plan.national_prefix or "")
        )
        general = plan.general_desc
        assert general is not None
        # For any other digits no reading has to be tried: that costs more than all the rest of a record.
        self._lengths = frozenset(general.possible_length)
        self.shortest = min(_SHORTEST, *_usual_lengths(region))
        """Digits of the region's shortest usual numbers; fewer than seven on some islands only."""
        self._local_lengths = frozenset(general.possible_length_local_only)

    def readings(self, digits: str) -> list[Reading]:
        """Each number that the digits can be, once."""
        found: list[Reading] = []
        _take(found, CODE, exact(f"+{digits}"))
        self._take_national(found, digits)
        if found and len(digits) in self._local_lengths and all(item.how == CODE for item in found):
            found.append(Reading(LOCAL, ""))
        return found

    def written(self, digits: str, style: str) -> list[Reading]:
        """Each number that the digits can be if their style is known."""
        if style == E164:
            number = exact(f"+{digits}")
            return [] if number is None else [Reading(CODE, number)]
        found: list[Reading] = []
        self._take_national(found, digits)
        if not found and digits.startswith(self.code):
            # Digits with the region's own country code that are no national number can be nobody else's.
            _take(found, CODE, exact(f"+{digits}"))
        return found

    def _take_national(self, found: list[Reading], digits: str) -> None:
        """The readings as a phone of the region dials."""
        prefix = self.prefix
        if len(digits) in self._lengths:
            _take(found, NATIONAL, exact(f"+{self.code}{digits}"))
        if prefix and digits.startswith(prefix) and len(digits) - len(prefix) in self._lengths:
            _take(found, PREFIXED, exact(f"+{self.code}{digits[len(prefix) :]}"))
        if self._rules:
            _take(found, PREFIXED, self._dialled(digits))
        if self._abroad is not None:
            prefixed = self._abroad.match(digits)
            if prefixed is not None:
                _take(found, ABROAD, exact(f"+{digits[prefixed.end() :]}"))

    def _dialled(self, digits: str) -> str | None:
        """The digits as `phonenumbers` reads them when dialled within the region, by its own rules."""
        try:
            parsed = phonenumbers.parse(digits, self._region, keep_raw_input=True)
        except phonenumbers.NumberParseException:
            return None
        if parsed.country_code_source != CountryCodeSource.FROM_DEFAULT_COUNTRY:
            return None
        if not phonenumbers.is_valid_number(parsed):
            return None
        return str(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))


def _usual_lengths(region: str) -> Iterator[int]:
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
        example = phonenumbers.example_number_for_type(region, kind)
        yield _SHORTEST if example is None else len(phonenumbers.national_significant_number(example))


def _take(found: list[Reading], how: str, number: str | None) -> None:
    if number is not None and all(number != item.number for item in found):
        found.append(Reading(how, number))
