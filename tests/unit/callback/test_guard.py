"""An attacker may choose the caller id: the numbers that may be dialled, and no others."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callsteward.config import CallbackSettings, Config, Line, Operator, SiteSettings
from callsteward.outgoing.guard import Guard, Refusal

GOOD = "+79031234567"
DIALABLE = re.compile(r"^\+?[0-9]{7,15}$")

CONFIG = Config(
    lines=(
        Line(name="support", dids=("100", "74950001122", "7499555*"), operators=("2001", "79000000050")),
        Line(name="rest", dids=("*", "4*"), callback_caller_id="+74957778899"),
    ),
    operators={"101": Operator(), "10234567": Operator()},
)
guard = Guard(CONFIG)


@pytest.mark.parametrize(
    "raw",
    [
        "+79031234567",
        "79031234567",
        "89031234567",
        "9031234567",
        "+7 903 123-45-67",
        "+7 (903) 123-45-67",
        "8 (903) 123-45-67",
        "8(903)1234567",
        "8-903-123-45-67",
        "81079031234567",
        "  +79031234567  ",
        "+7(903)123-45-67",
        "+79031234567;cpc=ordinary",
        "+79031234567%3Bcpc=ordinary",
        "sip:79031234567@example.com",
        "sips:79031234567@example.com",
        "tel:+79031234567",
        "tel:+7-903-123-45-67;phone-context=+7",
        "<sip:79031234567@127.0.0.1>",
        '"Client" <79031234567>',
    ],
)
def test_a_number_is_one_number_however_it_is_written(raw):
    assert guard.check(raw).number == GOOD
    assert guard.read(raw) == GOOD


_METACHARACTERS = "&/@,|(){};\\$^!?*#'\"`<>[]=~%:_.+-"

HOSTILE: dict[Refusal, list[str]] = {
    Refusal.NO_NUMBER: ["", " ", "anonymous", "Anonymous", "ANONYMOUS", "unknown", "restricted", "private"],
    Refusal.NOT_A_NUMBER: [
        # Every character that means something to a dial string, in the middle, at the end, in front.
        *(f"7903{char}{char}1234567" for char in _METACHARACTERS),
        *(f"79031234567{char}" for char in _METACHARACTERS),
        *(f"{char}79031234567" for char in _METACHARACTERS if char != "+"),
        # Attempts to make a dial string do something else.
        "79031234567&PJSIP/88091234567@trunk",
        "79031234567@trunk,60,g",
        "79031234567,60,U(evil)",
        "79031234567)Dial(PJSIP/1",
        "${EVAL(79031234567)}",
        "${SHELL(id)}",
        "$[1+1]",
        "79031234567|30",
        "Local/79031234567@from-internal",
        "PJSIP/101",
        "79031234567;rm -rf /",
        "79031234567' OR '1'='1",
        # Control characters and similar ones.
        "79031234567\n",
        "\n79031234567",
        "7903\n1234567",
        "7903\r\n1234567",
        "79031234567\x00",
        "7903\x001234567",
        "\x0079031234567",
        "7903\t1234567",
        "79031234567\x1b[2J",
        "79031234567\x7f",
        # Digits of other scripts, other blanks, marks that reverse the text.
        "٧٩٠٣١٢٣٤٥٦٧",
        "७९०३१२३४५६७",
        "７９０３１２３４５６７",
        "７9031234567",
        "7903123456７",
        "7903123456²",
        "790312345६७",
        "\u202e79031234567",
        "79031234567\u202c",
        "\u200f79031234567",
        "7903\u200b1234567",
        "7903\u00a01234567",
        "\ufeff79031234567",
        "＋79031234567",
        "7903123456O",
        # Addresses.
        "sip:79031234567",
        "sip:79031234567@example.com,60",
        "79031234567@127.0.0.1",
        "79031234567;ext=5",
        "79031234567 ext 5",
        "79031234567x5",
        "79031234567#5",
        "*72 79031234567",
        "*7279031234567",
        "#3179031234567",
        "**79031234567",
        "http://79031234567",
        "1-800-FLOWERS",
        "79O31234567",
        "+",
        "-",
        "()",
        "++79031234567",
        "+-79031234567",
        "7--9031234567",
        "7  9031234567",
        "7 ((903)) 1234567",
        "7 903) 1234567",
        "7 (903 1234567",
        "(7903)1234567",
        "-79031234567",
        "79031234567-",
        "7.9031234567e10",
        "0x79031234567",
        "None",
        "null",
        "asterisk",
        "s",
        "h",
        "i",
        "t",
        # Too long to be one.
        "7" * 33,
        "7903" * 100,
        "9" * 100_000,
        "1-" * 20,
    ],
    Refusal.EMERGENCY: ["112", "102", "103", "+112"],
    Refusal.SHORT: [
        "1",
        "0",
        "12",
        "900",
        "0611",
        "999",
        "911",
        "4444",
        "12345",
        "123456",
        "+12345",
        "+79",
        "100",
        "104",
    ],
    Refusal.OWN_NUMBER: [
        "2001",
        "101",
        "10234567",
        "+79000000050",
        "79000000050",
        "+74950001122",
        "84950001122",
        "74995551234",
        "+7 499 555-12-34",
        "+74957778899",
    ],
    Refusal.SATELLITE: [
        "+870773123456",
        "+881612345678",
        "+881812345678",
        "+8821234567890",
        "+883510012345678",
        "+88213123456789",
    ],
    Refusal.DENIED: ["+79541234567", "79541234567", "8 954 123-45-67"],
    Refusal.PREMIUM: ["+78091234567", "88091234567", "8 809 123-45-67", "+78031234567"],
    Refusal.TYPE: ["88001234567", "+78001234567"],
    Refusal.AMBIGUOUS: [
        "4740057948",
        "9613123456",
        "84912675888",
        "961 3 123-456",
        "84950000000",
        "8 804 123-45-67",  # toll-free here, +880 41 … in Bangladesh
    ],
    Refusal.REGION: [
        "+77011234567",  # Kazakhstan has Russia's country code
        "+78402345678",  # Abkhazia has codes of Russia's plan
        "88402345678",
        "+79401234567",
        "79401234567",
        "+73362221234",  # Baikonur
        "+12025550123",
        "+18765551234",  # Jamaica: wangiri
        "+442079460123",
        "+37060112345",
        "+25261234567",  # Somalia: wangiri
        "+53 5 1234567",
        "+960 7712345",
        "+911123456789",  # 911… where only the digits are dialled
        "+998901234567",
    ],
    Refusal.INVALID: [
        "1234567",
        "0000000",
        "00000000000",
        "+0000000000",
        "+10000000000",
        "79031234",
        "790312345678",
        "7903123456789012",
        "+7903123456",
        "99999999999",
        "+99999999999",
        "70001234567",
        "+8001234567890",  # universal freephone: no country
        "+9601234567",  # a Russian mobile without its plus
        "+9031234567",
        "+89031234567",
    ],
}
TABLE = [(raw, reason) for reason, inputs in HOSTILE.items() for raw in inputs]


def test_the_table_is_long_enough():
    assert len({raw for raw, _ in TABLE}) >= 150


@pytest.mark.parametrize(("raw", "reason"), TABLE, ids=range(len(TABLE)))
def test_a_hostile_caller_id_is_refused_with_its_reason(raw, reason):
    checked = guard.check(raw)
    assert checked.number is None
    # One dash or bracket between digits is how people write numbers; the table's are not.
    assert checked.refusal is reason


def test_the_dialled_number_of_a_catch_all_line_is_not_its_own_number():
    assert guard.check("+74951234567").number == "+74951234567"


@pytest.mark.parametrize("raw", ["+77011234567", "87011234567", "+7 701 123-45-67"])
def test_another_region_can_be_allowed(raw):
    allowed = Guard(Config(callback=CallbackSettings(regions=("RU", "KZ"))))
    assert allowed.check("+77011234567").number == "+77011234567"
    assert guard.check(raw).number is None


def test_numbers_that_are_not_plainly_domestic_can_be_allowed_again():
    allowed = Guard(Config(callback=CallbackSettings(allowed_prefixes=("+7840", "+96"))))
    assert allowed.check("+78402345678").number == "+78402345678"
    assert allowed.check("+79401234567").refusal is Refusal.REGION
    assert allowed.check("+9613123456").number == "+9613123456"
    denied = Guard(
        Config(callback=CallbackSettings(allowed_prefixes=("+7840",), denied_prefixes=("+78402",)))
    )
    assert denied.check("+78402345678").refusal is Refusal.DENIED


@pytest.mark.parametrize(
    ("region", "number"),
    [(region, f"{start}{example}") for region, start, example in [
        ("AM", "+37447", "123456"), ("GE", "+99534", "7123456"), ("GE", "+99544", "8354897"),
        ("IL", "+97259", "8175540"), ("IT", "+390549", "886377"), ("MA", "+2125288", "12345"),
        ("MC", "+37744", "612345"), ("NZ", "+64240", "99123"), ("RS", "+38128", "96677"),
        ("SI", "+38643", "123456"), ("TR", "+90392", "2281234"), ("TR", "+905338", "123456"),
        ("GB", "+447924", "123456"), ("ID", "+62868", "1234567"), ("KZ", "+7762", "7101318"),
        ("AU", "+6189162", "1234"), ("NO", "+4779", "123456"), ("FI", "+35818", "12345"),
        ("FR", "+262692", "123456"), ("US", "+1876", "5551234"), ("GB", "+447797", "712345"),
        ("RE", "+262639", "012345"), ("IT", "+3906698", "12345"), ("CW", "+599318", "1234"),
    ]],
)  # fmt: skip
def test_a_region_is_no_tariff_zone(region: str, number: str):
    assert Guard(Config(site=SiteSettings(region=region))).check(number).refusal is Refusal.REGION


def test_digits_that_reach_the_emergency_service_are_not_dialled():
    # To a trunk in the United States, +91 11 2345-6789 without its plus is 911 and some.
    american = Guard(Config(site=SiteSettings(region="US"), callback=CallbackSettings(regions=("US", "IN"))))
    assert american.check("+911123456789").refusal is Refusal.EMERGENCY
    assert american.check("+912266123456").refusal is not Refusal.EMERGENCY
    assert american.check("+12025550123").number == "+12025550123"


def test_types_are_allowed_one_by_one():
    only_mobile = Guard(Config(callback=CallbackSettings(types=("mobile",))))
    assert only_mobile.check("+74951234567").refusal is Refusal.TYPE
    assert only_mobile.check(GOOD).number == GOOD


_texts = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789+ -().", max_size=34),
    st.text(alphabet=f"0123456789{_METACHARACTERS}\n\x00٧७７\u202e", max_size=24),
    st.from_regex(r"\+?[0-9]{5,17}", fullmatch=True),
    st.builds("{}{}{}".format, st.text(max_size=3), st.just("79031234567"), st.text(max_size=3)),
)


@given(_texts)
@example("79031234567\n")
@example("+7 (903) 123-45-67")
def test_the_guard_gives_a_valid_number_or_none(raw):
    checked = guard.check(raw)
    assert (checked.number is None) is (checked.refusal is not None)
    if checked.number is not None:
        # `$` would let a newline through; fullmatch does not.
        assert DIALABLE.fullmatch(checked.number)
        assert checked.number.startswith("+7")
        assert guard.check(checked.number) == checked
        assert guard.read(raw) == checked.number


def test_no_input_takes_long():
    began = time.thread_time()
    for raw in ("1" * 31 + "x", "1 " * 16, "1-1" * 10 + "(", "+" + "9" * 31, "1(1)" * 8, "9" * 10_000_000):
        guard.check(raw)
    # This thread's own time; an expression that backtracks would take years.
    assert time.thread_time() - began < 5
