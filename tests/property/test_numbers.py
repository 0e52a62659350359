"""Numbers of every region that phonenumbers knows: none is taken for somebody else's."""

from __future__ import annotations

import functools
import random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from callsteward.config import CallbackSettings, Config, Endpoints, SiteSettings
from callsteward.config.hotline import TrunkNumbers
from callsteward.outgoing.guard import Guard, Refusal
from callsteward.record.number import Numbers
from callsteward.record.numbering import NumberFormat, Numbering

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
# The sites that the numbers of all regions are delivered to.
SITES = ["RU", "KZ", "DE", "US", "IT", "AR"]
TYPES = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP)
NATIONAL, E164 = NumberFormat("national"), NumberFormat("e164")


def valid(written: str, region: str | None) -> str | None:
    """The number as phonenumbers itself reads it, if that is valid."""
    try:
        parsed = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


@functools.cache
def numbers_of(region: str) -> tuple[tuple[str, str], ...]:
    """Example numbers of a region and random ones like them: national, and E.164."""
    chance = random.Random(region)  # the same ones each time
    code = phonenumbers.country_code_for_region(region)
    found = {}
    for kind in TYPES:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is None:
            continue
        national = phonenumbers.national_significant_number(example)
        found[national] = f"+{code}{national}"
        for _ in range(12):
            kept = len(national) - chance.randrange(2, len(national) + 1)
            digits = national[:kept] + "".join(chance.choices("0123456789", k=len(national) - kept))
            if valid(f"+{code}{digits}", None) == f"+{code}{digits}":
                found[digits] = f"+{code}{digits}"
    return tuple(found.items())


@functools.cache
def site(region: str) -> Numbers:
    return Numbers(region, b"key")


@pytest.mark.parametrize("home", SITES)
def test_a_number_of_any_region_without_its_plus_is_itself_or_nobodys(home: str) -> None:
    numbers = site(home)
    for region in REGIONS:
        for national, number in numbers_of(region):
            assert numbers.e164(number) == number
            # A trunk that writes E.164 without the plus.
            assert numbers.e164(number[1:]) in {None, number}
            # And one of that region that writes as it dials: of two valid readings neither is taken.
            other = valid(national, home)
            coded = valid(f"+{national}", None) == f"+{national}"
            if coded and other not in {None, f"+{national}"}:
                assert numbers.e164(national) is None


@pytest.mark.parametrize("region", REGIONS)
def test_in_a_trunks_format_a_number_is_exact(region: str) -> None:
    numbers = site(region)
    plan = Numbering(region)
    seen = numbers_of(region)
    assert seen or region == "TA"
    for national, number in seen:
        assert numbers.e164(numbers.delivered(national, NATIONAL)) == number
        if plan.prefix:
            assert numbers.e164(numbers.delivered(plan.prefix + national, NATIONAL)) == number
        assert numbers.e164(numbers.delivered(number[1:], E164)) == number
        assert numbers.ref(numbers.delivered(national, NATIONAL)) == numbers.ref(number)
        behind_nine = NumberFormat("national", strip="9")
        assert numbers.e164(numbers.delivered(f"9{national}", behind_nine)) == number


@pytest.mark.parametrize("home", SITES)
def test_in_the_format_e164_foreign_numbers_are_exact_too(home: str) -> None:
    numbers = site(home)
    for region in REGIONS:
        for _, number in numbers_of(region):
            assert numbers.e164(numbers.delivered(number[1:], E164)) == number


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REGIONS), st.from_regex(r"[0-9]{5,16}", fullmatch=True))
def test_digits_are_a_number_only_where_phonenumbers_knows_no_other(region: str, digits: str) -> None:
    number = site(region).e164(digits)
    others = {valid(f"+{digits}", None), valid(digits, region)} - {None}
    if number is not None:
        # phonenumbers mends what has a trunk prefix behind the country code: that is no reading of its own.
        assert {other for other in others if other in site(region).readings(digits)} == {number}
        assert number in others


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REGIONS), st.from_regex(r"\+[0-9]{5,16}", fullmatch=True))
def test_a_plus_is_never_mended(region: str, written: str) -> None:
    assert site(region).e164(written) in {None, written}
    for form in (NATIONAL, E164, NumberFormat("national", "9", "495")):
        assert site(region).delivered(written, form) == written


# By the numbers of these that the issue counts: without their plus each would have been a Russian's.
@pytest.mark.parametrize("region", ["NO", "MV", "LB", "VN", "ME"])
def test_nobody_abroad_is_called_in_russia_instead(region: str) -> None:
    guard = Guard(Config())
    refused = {guard.check(number[1:]).refusal for _, number in numbers_of(region)}
    assert refused <= {Refusal.AMBIGUOUS, Refusal.REGION, Refusal.INVALID, Refusal.PREMIUM}
    assert all(guard.check(number[1:]).number is None for _, number in numbers_of(region))


@pytest.mark.parametrize("home", REGIONS)
def test_by_default_only_the_regions_own_numbers_are_called(home: str) -> None:
    guard = Guard(Config(site=SiteSettings(region=home)))
    code = phonenumbers.country_code_for_region(home)
    # Whoever shares the country code, whose numbers are the ones that could be taken for domestic.
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        for _, number in numbers_of(region):
            called = guard.check(number).number
            if called is None:
                continue
            assert called == number
            assert phonenumbers.region_code_for_number(phonenumbers.parse(number)) == home


@pytest.mark.parametrize("home", SITES)
def test_by_default_no_number_of_another_region_is_called(home: str) -> None:
    guard = Guard(Config(site=SiteSettings(region=home)))
    for region in REGIONS:
        for _, number in numbers_of(region):
            at_home = phonenumbers.region_code_for_number(phonenumbers.parse(number)) == home
            assert at_home or guard.check(number).number is None


def test_a_trunks_pattern_says_its_format() -> None:
    from callsteward.calls.directory import Directory

    config = Config(
        endpoints=Endpoints(
            trunks=("PJSIP/*",),
            numbers={"PJSIP/a*": TrunkNumbers(format="e164"), "*": TrunkNumbers(format="national", add="7")},
        ),
        callback=CallbackSettings(),
    )
    directory = Directory(config)
    assert directory.endpoint("PJSIP/abc-00000001").numbers == E164
    assert directory.endpoint("PJSIP/b-00000001").numbers == NumberFormat("national", "", "7")
    assert directory.endpoint("Local/101@x-00000001;1").numbers is None
