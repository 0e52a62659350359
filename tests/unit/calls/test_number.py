import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.calls.number import Numbers

RUSSIAN = Numbers("RU", b"key")
FORMATS = ["+79031234567", "79031234567", "89031234567", "9031234567", "81079031234567"]


@pytest.mark.parametrize("raw", FORMATS)
def test_every_format_of_a_number_is_one_client(raw: str):
    assert RUSSIAN.e164(raw) == "+79031234567"
    assert RUSSIAN.masked(raw) == "+7903***4567"
    assert RUSSIAN.ref(raw) == hmac.new(b"key", b"+79031234567", hashlib.sha256).hexdigest()[:32]


# 8 495 is Moscow as Russia dials it and +84 95 a mobile in Vietnam; 495 begins a German number too.
@pytest.mark.parametrize("area", ["495", "343", "383", "351", "812", "861"])
def test_a_number_as_dialled_in_the_region_is_of_the_region(area: str):
    nobody = f"{area}0000000"
    assert RUSSIAN.e164(f"8{nobody}") == f"+7{nobody}"
    assert RUSSIAN.e164(nobody) == f"+7{nobody}"
    assert RUSSIAN.e164(f"7{nobody}") == f"+7{nobody}"


def test_a_number_with_a_plus_is_of_the_country_it_names():
    assert RUSSIAN.e164("+84950000000") == "+84950000000"


def test_a_number_of_another_country_comes_without_a_plus_too():
    assert Numbers("DE", None).e164("79031234567") == "+79031234567"


HOSTILE = [
    "",
    "+",
    "anonymous",
    "Anonymous",
    "unknown",
    "s",
    "-",
    "++79031234567",
    "7903+1234567",
    "+7 903 123-45-67",
    "79031234567;ext=1",
    "79031234567@evil",
    "79031234567&PJSIP/trunk",
    "79031234567,tTwW",
    "79031234567|g",
    "${EXTEN}",
    "79031234567)",
    "79031234567\n",
    "79031234567\x00",
    " 79031234567",
    "٧٩٠٣١٢٣٤٥٦٧",  # arabic-indic digits
    "７９０３１２３４５６７",  # fullwidth digits  # noqa: RUF001
    "²³¹²³¹²³¹²³",
    "'; DROP TABLE calls; --",
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("raw", HOSTILE)
def test_what_is_no_plain_number_is_no_number(raw: str):
    assert RUSSIAN.e164(raw) is None
    assert RUSSIAN.masked(raw) is None
    assert RUSSIAN.ref(raw) is None


@pytest.mark.parametrize("raw", ["0000000", "1" * 33, "9" * 5000, "79031234567" * 3, "00000000000000"])
def test_digits_that_are_no_number_show_four_at_most(raw: str):
    assert RUSSIAN.e164(raw) is None
    assert RUSSIAN.ref(raw) is None
    assert RUSSIAN.masked(raw) == f"{raw[:2]}***{raw[-2:]}"


@pytest.mark.parametrize("raw", ["1", "101", "123456", "+101"])
def test_a_colleagues_extension_stays_as_it_is(raw: str):
    assert RUSSIAN.e164(raw) is None
    assert RUSSIAN.masked(raw) == raw.removeprefix("+")


def test_without_a_key_there_is_no_reference():
    assert Numbers("RU", None).ref("79031234567") is None


def test_another_key_is_another_reference():
    assert Numbers("RU", b"other").ref("79031234567") != RUSSIAN.ref("79031234567")


@given(st.text(max_size=40) | st.from_regex(r"\+?[0-9]{0,40}", fullmatch=True))
def test_whatever_a_line_delivers_no_more_than_eight_digits_are_shown(raw: str):
    number = RUSSIAN.e164(raw)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdigit())
    masked = RUSSIAN.masked(raw)
    assert masked is None or sum(char.isdigit() for char in masked) <= 8
    assert (RUSSIAN.ref(raw) is None) == (number is None)
