import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.callback.guard import Guard
from callsteward.calls.number import Numbers
from callsteward.config import Config

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


# What SIP and people write around a number (RFC 3966, RFC 3261).
WRITTEN = [
    "+79031234567;cpc=ordinary",
    "79031234567;cpc=ordinary",
    "+79031234567;npdi;rn=+79000000001",
    "+79031234567;phone-context=+7",
    "9031234567;phone-context=+7",
    "89031234567;phone-context=+7",
    "89031234567;phone-context=ims.example",
    "+79031234567;isub=1;verstat=TN-Validation-Passed;user=phone",
    '+79031234567;x="a b; c"',
    "+79031234567%3Bcpc=ordinary",
    "%2B79031234567",
    "%2b79031234567%3bcpc%3dpayphone",
    "+7 903 123-45-67",
    "8 (903) 123-45-67",
    "+7(903)123-45-67",
    "+7.903.123.45.67",
    "  +79031234567  ",
    "tel:+79031234567",
    "TEL:+7-903-123-45-67;phone-context=+7",
    "sip:+79031234567@example.com",
    "sip:79031234567;cpc=ordinary@192.0.2.1:5060;user=phone",
    "sips:+79031234567@example.com",
    "<sip:79031234567@127.0.0.1>",
    '"Client 79000000001" <79031234567>',
    "Client <tel:+79031234567>",
]


@pytest.mark.parametrize("raw", WRITTEN)
def test_what_is_written_around_a_number_is_no_part_of_it(raw: str):
    assert RUSSIAN.e164(raw) == "+79031234567"
    assert RUSSIAN.masked(raw) == "+7903***4567"
    assert RUSSIAN.ref(raw) == RUSSIAN.ref("+79031234567")


def test_a_number_is_read_within_its_context():
    german = Numbers("DE", None)
    assert german.e164("9031234567;phone-context=+7") == "+79031234567"
    assert german.e164("030 123456;phone-context=+49") == "+4930123456"
    # A context in which the number is none: whose it is, nobody can tell.
    assert german.e164("8631234;phone-context=+1-914-555") is None


def test_a_colleagues_extension_may_have_parameters_too():
    assert RUSSIAN.masked("101;cpc=ordinary") == "101"
    assert RUSSIAN.e164("101;cpc=ordinary") is None


HOSTILE = [
    "79031234567;ext=12",  # behind a switchboard: the number alone is somebody else's
    "79031234567;",
    "79031234567;;cpc=ordinary",
    "79031234567;=1",
    "79031234567;rm -rf /",
    "79031234567;a=$(id)",
    "79031234567;a=1&PJSIP/trunk",
    "+79031234567%253Bcpc=ordinary",
    "%",
    "79031234567%",
    "79031234567%0a",
    "192.0.2.104",
    "7.903.123.45.67",
    "tel:",
    "tel:tel:79031234567",
    "sip:79031234567",
    "sip:79031234567@",
    "sip:79031234567:secret@example.com",
    "sip:79031234567@example.com,60",
    "http:79031234567@example.com",
    "<79031234567",
    "79031234567>",
    "<<79031234567>>",
    '"a" b <79031234567>',
    "<79031234567> trailing",
    "+79031234567;" + "x" * 250,
    "",
    "+",
    "anonymous",
    "Anonymous",
    "unknown",
    "s",
    "-",
    "++79031234567",
    "7903+1234567",
    "79031234567;ext=1",
    "79031234567@evil",
    "79031234567&PJSIP/trunk",
    "79031234567,tTwW",
    "79031234567|g",
    "${EXTEN}",
    "79031234567)",
    "79031234567\n",
    "79031234567\x00",
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


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("trunk", "trunk"),
        ("123456", "123456"),
        ("1234567", "12***67"),
        ("i1/79031234567", "i1/+7903***4567"),
        ("to +7 903 123-45-67 and 89000000001", "to +7903***4567 and +7900***0001"),
        ("192.168.100.200", "192.168.100.200"),
        ("x" + "9" * 40, "x99***99"),
        ("٧٩٠٣١٢٣٤٥٦٧", "***"),
    ],
)
def test_a_number_in_a_name_is_masked(name: str, hidden: str):
    assert RUSSIAN.hidden(name) == hidden


def test_what_is_masked_already_stays():
    assert RUSSIAN.extension("+7903***4567") == "+7903***4567"
    assert RUSSIAN.extension("***79031234567") == "***"


AROUND = st.sampled_from(
    ["{}", "+{}", "tel:+{}", "sip:{}@h", "{};cpc=ordinary", "<{}>", "%2B{}", "{}\n", "{};ext=1"]
)


@given(AROUND, st.from_regex(r"[0-9() .;=+-]{0,24}", fullmatch=True) | st.text(max_size=24))
def test_mask_reference_and_guard_read_the_same_number(around: str, text: str):
    raw = around.format(text)
    number = RUSSIAN.e164(raw)
    assert Guard(Config()).read(raw) == number
    plain = RUSSIAN.plain(raw)
    assert number == (None if plain is None else RUSSIAN.e164(plain))
    checked = Guard(Config()).check(raw)
    assert checked.number in {None, number}
    if number is not None:
        assert RUSSIAN.masked(raw) == f"{number[:5]}***{number[-4:]}"


@given(st.text(max_size=40) | st.from_regex(r"\+?[0-9]{0,40}", fullmatch=True))
def test_whatever_a_line_delivers_no_more_than_eight_digits_are_shown(raw: str):
    number = RUSSIAN.e164(raw)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdigit())
    masked = RUSSIAN.masked(raw)
    assert masked is None or sum(char.isdigit() for char in masked) <= 8
    assert (RUSSIAN.ref(raw) is None) == (number is None)
