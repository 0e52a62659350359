import pytest

from callsteward.calls.directory import Directory, EndpointKind
from callsteward.config import Config, Endpoints, Line, Operator


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        ("PJSIP/101-0000001c", EndpointKind.OPERATOR, "101"),
        ("SIP/123456-00000001", EndpointKind.OPERATOR, "123456"),
        ("PJSIP/1-00000001", EndpointKind.TRUNK, "1"),
        ("PJSIP/1234567-00000001", EndpointKind.TRUNK, "12***67"),
        ("PJSIP/trunk-0000001c", EndpointKind.TRUNK, "trunk"),
        ("PJSIP/my-own-trunk-0000001c", EndpointKind.TRUNK, "my-own-trunk"),
        ("PJSIP/79031234567-00000001", EndpointKind.TRUNK, "+7903***4567"),
        ("SIP/78126060-00000012", EndpointKind.TRUNK, "78***60"),
        ("DAHDI/i1/89000000000-1", EndpointKind.TRUNK, "i1"),
        ("DAHDI/i1/79031234567:12-1", EndpointKind.TRUNK, "i1"),
        ("DAHDI/i1/201-1", EndpointKind.TRUNK, "i1/201"),
        ("DAHDI/1-1", EndpointKind.TRUNK, "1"),
        ("CAPI/ISDN1/79031234567-2", EndpointKind.TRUNK, "ISDN1"),
        ("IAX2/79031234567-1234", EndpointKind.TRUNK, "+7903***4567"),
        ("OOH323/79031234567@192.0.2.1-5", EndpointKind.TRUNK, "+7903***4567@192.0.2.1"),
        ("Mobile/phone1-0a1b", EndpointKind.TRUNK, "phone1"),
        ("Local/101@from-queue-00000000;1", EndpointKind.RELAY, "Local"),
        ("Local/101@from-queue-00000000;2", EndpointKind.RELAY, "Local"),
        ("CBAnn/room-00000001;1", EndpointKind.MACHINE, "room"),
        ("Snoop/1795-0001", EndpointKind.MACHINE, "1795"),
        ("Recorder/ARI-00000002;2", EndpointKind.MACHINE, "ARI"),
        ("UnicastRTP/127.0.0.1:1-0x7f", EndpointKind.MACHINE, "127.0.0.1:1"),
        ("PJSIP", EndpointKind.TRUNK, "PJSIP"),
        ("", EndpointKind.TRUNK, ""),
    ],
)
def test_a_channels_name_gives_its_kind(channel: str, kind: EndpointKind, name: str):
    endpoint = Directory(Config()).endpoint(channel)
    assert (endpoint.kind, endpoint.name) == (kind, name)


def test_patterns_say_who_is_an_operator_and_a_trunk_pattern_wins():
    directory = Directory(
        Config(endpoints=Endpoints(operators=("PJSIP/anna", "PJSIP/t*"), trunks=("PJSIP/trunk*", "PJSIP/99")))
    )
    assert directory.endpoint("PJSIP/anna-1").kind is EndpointKind.OPERATOR
    assert directory.endpoint("PJSIP/team-1").kind is EndpointKind.OPERATOR
    assert directory.endpoint("PJSIP/trunk2-1").kind is EndpointKind.TRUNK
    assert directory.endpoint("PJSIP/99-1").kind is EndpointKind.TRUNK
    assert directory.endpoint("PJSIP/98-1").kind is EndpointKind.OPERATOR


def test_an_isdn_channel_is_its_span_and_patterns_may_name_either():
    """`DAHDI/*` is for all of them, as ever; a span has no number of its own."""
    for pattern in ("DAHDI/*", "DAHDI/i1", "DAHDI/i1/*"):
        directory = Directory(Config(endpoints=Endpoints(operators=(pattern,))))
        endpoint = directory.endpoint("DAHDI/i1/79031234567-3")
        assert (endpoint.kind, endpoint.name, endpoint.shown) == (EndpointKind.OPERATOR, "i1", "DAHDI/i1")


def test_an_operator_whom_the_configuration_names_keeps_a_name_that_is_a_number():
    settings = Config(
        endpoints=Endpoints(operators=("PJSIP/7495*",)), operators={"74950000101": Operator(grade="senior")}
    )
    directory = Directory(settings)
    assert directory.endpoint("PJSIP/74950000101-00000001").name == "74950000101"
    assert directory.endpoint("PJSIP/74950000102-00000001").name == "+7495***0102"


@pytest.mark.parametrize(
    ("channel", "shown"),
    [
        ("PJSIP/trunk-00000006", "PJSIP/trunk-00000006"),
        ("PJSIP/101-01234567", "PJSIP/101-01234567"),
        ("Odd/line-1234567", "Odd/line-12***67"),
        ("Odd/line-12345678", "Odd/line-12***78"),
        ("DAHDI/i1/79031234567-3", "DAHDI/i1/+7903***4567-3"),
        ("SIP/78126060-00000012", "SIP/78***60-00000012"),
        ("Local/79031234567@ctx-00000001;1", "Local/+7903***4567@ctx-00000001;1"),
        ("Local/101@from-queue-00000001;2", "Local/101@from-queue-00000001;2"),
        ("PJSIP/+79031234567-00000001<ZOMBIE>", "PJSIP/+7903***4567-00000001<ZOMBIE>"),
        ("AsyncGoto/SIP/79031234567-00000001", "AsyncGoto/SIP/+7903***4567-00000001"),
        ("Odd/line-79031234567", "Odd/line-+7903***4567"),
        ("SIP/78126060", "SIP/78***60"),
        ("79031234567", "+7903***4567"),
        ("PJSIP/٧٩٠٣١٢٣٤٥٦٧-00000001", "PJSIP/***-00000001"),
        ("dialplan/builtin", "dialplan/builtin"),
        ("", ""),
    ],
)
def test_a_channels_name_is_shown_without_a_number(channel: str, shown: str):
    assert Directory(Config()).shown(channel) == shown


def test_endpoints_without_end_are_not_all_kept():
    directory = Directory(Config())
    for serial in range(10_000):
        directory.endpoint(f"DAHDI/i1/790{serial:08}-{serial:x}")
    assert len(directory._endpoints) <= 4096


def test_the_channels_of_one_phone_share_one_endpoint():
    directory = Directory(Config())
    assert directory.endpoint("PJSIP/101-00000001") is directory.endpoint("PJSIP/101-00000002")


def test_no_number_dialled_by_a_local_channel_is_kept():
    directory = Directory(Config())
    for serial in range(50):
        directory.endpoint(f"Local/{serial}@out-00000000;1")
    assert directory._endpoints == {}


def test_a_line_is_known_by_queue_by_number_and_by_context():
    directory = Directory(
        Config(
            lines=(
                Line(name="support", queues=("help", "help2"), dids=("1000", "20??")),
                Line(name="sales", queues=("buy",), contexts=("from-shop",)),
            )
        )
    )
    assert directory.line_of_queue("help2") == "support"
    assert directory.line_of_queue("buy") == "sales"
    assert directory.line_of_queue("other") is None
    assert directory.line_of_number("1000", "") == "support"
    assert directory.line_of_number("2042", "from-shop") == "support"
    assert directory.line_of_number("3000", "from-shop") == "sales"
    assert directory.line_of_number("3000", "from-trunk") is None


def test_a_grade_is_the_configured_one_and_empty_for_anybody_else():
    directory = Directory(Config(operators={"102": Operator(grade="senior")}))
    assert directory.grade("102") == "senior"
    assert directory.grade("101") == ""
    assert directory.grade(None) == ""
