import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.config import Config
from callsteward.outgoing.guard import Guard, Refusal
from callsteward.record.number import Numbers
from callsteward.record.numbering import NumberFormat

RUSSIAN = Numbers("RU", b"key")
FORMATS = ["+79031234567", "79031234567", "89031234567", "9031234567", "81079031234567"]


@pytest.mark.parametrize("raw", FORMATS)
def test_every_format_of_a_number_is_one_client(raw: str):
    assert RUSSIAN.e164(raw) == "+79031234567"
    assert RUSSIAN.masked(raw) == "+7903***4567"
    assert RUSSIAN.ref(raw) == hmac.new(b"key", b"+79031234567", hashlib.sha256).hexdigest()[:32]


@pytest.mark.parametrize("area", ["343", "383", "351", "812", "861"])
def test_a_number_as_dialled_in_the_region_is_of_the_region(area: str):
    nobody = f"{area}0000000"
    assert RUSSIAN.e164(f"8{nobody}") == f"+7{nobody}"
    assert RUSSIAN.e164(nobody) == f"+7{nobody}"
    assert RUSSIAN.e164(f"7{nobody}") == f"+7{nobody}"


# 8 495 is Moscow as Russia dials it and +84 95 a mobile in Vietnam; 495 begins a German number too.
@pytest.mark.parametrize(
    ("raw", "readings"),
    [
        ("84950000000", ("+84950000000", "+74950000000")),
        ("4951234567", ("+4951234567", "+74951234567")),
        # Norway, Lebanon, Vietnam, the Maldives: each has a Russian reading, too.
        ("4740057948", ("+4740057948", "+74740057948")),
        ("9613123456", ("+9613123456", "+79613123456")),
        ("84912675888", ("+84912675888", "+74912675888")),
        ("9607712345", ("+9607712345", "+79607712345")),
        ("38267622901", ("+38267622901",)),  # Montenegro, and no Russian number has such digits
    ],
)
def test_digits_with_two_readings_are_ambiguous(raw: str, readings: tuple[str, ...]):
    assert RUSSIAN.readings(raw) == readings
    assert RUSSIAN.e164(raw) == (readings[0] if len(readings) == 1 else None)
    if len(readings) > 1:
        assert RUSSIAN.ref(raw) is None
        assert RUSSIAN.masked(raw) == f"{raw[:2]}***{raw[-2:]}"


@pytest.mark.parametrize("raw", ["+9601234567", "+9031234567", "+89031234567", "+789031234567", "+6101"])
def test_a_number_with_a_plus_is_never_mended(raw: str):
    assert RUSSIAN.e164(raw) is None
    assert RUSSIAN.readings(raw) == ()


@pytest.mark.parametrize("rest", [f"{code}1234567" for code in range(900, 1000)])
def test_a_russian_mobile_with_seven_or_eight_is_never_anybody_elses(rest: str):
    # As Russian trunks deliver them: 7 and 8 work without a format.
    assert RUSSIAN.e164(f"7{rest}") == f"+7{rest}"
    assert RUSSIAN.e164(f"8{rest}") == f"+7{rest}"


def test_a_number_without_its_area_code_is_nobodys():
    american = Numbers("US", None)
    # Seven digits may be somebody in the town, and a line in Saint Helena.
    assert american.e164("2902345") is None
    assert american.e164("5551234") is None


NATIONAL, E164 = NumberFormat("national"), NumberFormat("e164")


@pytest.mark.parametrize(
    ("form", "raw", "number"),
    [
        (NATIONAL, "9613123456", "+79613123456"),
        (NATIONAL, "84950000000", "+74950000000"),
        (NATIONAL, "4740057948", "+74740057948"),
        (NATIONAL, "79031234567", "+79031234567"),
        (NATIONAL, "8104740057948", "+4740057948"),
        (NATIONAL, "380441234567", None),
        (NATIONAL, "79031234", None),
        (E164, "9613123456", "+9613123456"),
        (E164, "84912675888", "+84912675888"),
        (E164, "4740057948", "+4740057948"),
        (E164, "79031234567", "+79031234567"),
        # Without the format it would be a Russian mobile: +903 … is nobody's.
        (E164, "9031234567", None),
        (E164, "89031234567", None),
        (NumberFormat("national", strip="9"), "99031234567", "+79031234567"),
        (NumberFormat("national", strip="9"), "989031234567", "+79031234567"),
        (NumberFormat("national", strip="9"), "89031234567", None),
        (NumberFormat("national", strip="0", add="495"), "01234567", "+74951234567"),
        (NumberFormat("e164", strip="00"), "004740057948", "+4740057948"),
    ],
)
def test_a_trunks_number_is_read_in_the_trunks_format(form: NumberFormat, raw: str, number: str | None):
    delivered = RUSSIAN.delivered(raw, form)
    assert RUSSIAN.e164(delivered) == number
    assert Guard(Config()).read(raw, form) == number
    if number is None:
        assert RUSSIAN.ref(delivered) is None
        assert RUSSIAN.masked(delivered) == f"{raw[:2]}***{raw[-2:]}"
        assert Guard(Config()).check(delivered).refusal is Refusal.INVALID


@pytest.mark.parametrize("form", [None, NATIONAL, E164, NumberFormat("national", "9", "495")])
@pytest.mark.parametrize(
    "raw", ["+9613123456", "+9601234567", "anonymous", "", "101", "101;cpc=ordinary", "+101"]
)
def test_a_plus_a_short_number_and_no_number_stay_as_they_are(form: NumberFormat | None, raw: str):
    assert RUSSIAN.delivered(raw, form) == raw


def test_an_islands_numbers_are_short():
    andorra = Numbers("AD", None)
    assert andorra.e164(andorra.delivered("312345", NATIONAL)) == "+376312345"
    assert andorra.delivered("312345", None) == "312345"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("+79031234567", "plus"),
        ("+9601234567", "plus"),
        ("9613123456;phone-context=+7", "plus"),
        ("79031234567", "own_code"),
        ("380441234567", "code"),
        ("9031234567", "national"),
        ("89031234567", "prefixed"),
        ("81074951234567", "abroad"),
        ("9613123456", "ambiguous"),
        ("0000000", "unread"),
        ("101", ""),
        ("anonymous", ""),
    ],
)
def test_the_way_a_number_was_written_is_reported_without_the_number(raw: str, kind: str):
    assert RUSSIAN.kind(raw, None) == kind
    assert RUSSIAN.kind(raw, NATIONAL) == kind
    if kind not in {"", "plus"}:
        assert RUSSIAN.kind(f"9{raw}", NumberFormat("national", "9")) == kind


def test_a_number_with_a_plus_is_of_the_country_it_names():
    assert RUSSIAN.e164("+84950000000") == "+84950000000"


def test_a_number_of_another_country_comes_without_a_plus_too():
    # As a German trunk dials it 7903 is Mainhardt; with the prefix it says so.
    assert Numbers("DE", None).readings("79031234567") == ("+79031234567", "+4979031234567")
    assert Numbers("DE", None).e164("0079031234567") == "+79031234567"
    assert Numbers("FR", None).e164("79031234567") == "+79031234567"


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
def test_text_around_a_number_is_not_part_of_it(raw: str):
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
def test_text_that_is_no_plain_number_is_rejected(raw: str):
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


def test_a_masked_number_stays_masked():
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
    checked = Guard(Config()).check(raw)
    assert checked.number in {None, number}
    if number is not None:
        assert RUSSIAN.masked(raw) == f"{number[:5]}***{number[-4:]}"


@given(st.text(max_size=40) | st.from_regex(r"\+?[0-9]{0,40}", fullmatch=True))
def test_at_most_eight_digits_of_any_caller_id_are_shown(raw: str):
    number = RUSSIAN.e164(raw)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdigit())
    masked = RUSSIAN.masked(raw)
    assert masked is None or sum(char.isdigit() for char in masked) <= 8
    assert (RUSSIAN.ref(raw) is None) == (number is None)
