import pytest

from callsteward.calls.directory import Directory, Kind
from callsteward.config import Config, Endpoints, Line, Operator


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        ("PJSIP/101-0000001c", Kind.OPERATOR, "101"),
        ("SIP/123456-00000001", Kind.OPERATOR, "123456"),
        ("PJSIP/1-00000001", Kind.TRUNK, "1"),
        ("PJSIP/1234567-00000001", Kind.TRUNK, "1234567"),
        ("PJSIP/trunk-0000001c", Kind.TRUNK, "trunk"),
        ("PJSIP/my-own-trunk-0000001c", Kind.TRUNK, "my-own-trunk"),
        ("DAHDI/i1/89000000000-1", Kind.TRUNK, "i1/89000000000"),
        ("Local/101@from-queue-00000000;1", Kind.RELAY, "Local"),
        ("Local/101@from-queue-00000000;2", Kind.RELAY, "Local"),
        ("CBAnn/room-00000001;1", Kind.MACHINE, "room"),
        ("Snoop/1795-0001", Kind.MACHINE, "1795"),
        ("Recorder/ARI-00000002;2", Kind.MACHINE, "ARI"),
        ("UnicastRTP/127.0.0.1:1-0x7f", Kind.MACHINE, "127.0.0.1:1"),
        ("PJSIP", Kind.TRUNK, "PJSIP"),
        ("", Kind.TRUNK, ""),
    ],
)
def test_what_a_channel_is_by_its_name(channel: str, kind: Kind, name: str):
    endpoint = Directory(Config()).endpoint(channel)
    assert (endpoint.kind, endpoint.name) == (kind, name)


def test_patterns_say_who_is_an_operator_and_a_trunk_pattern_wins():
    directory = Directory(
        Config(endpoints=Endpoints(operators=("PJSIP/anna", "PJSIP/t*"), trunks=("PJSIP/trunk*", "PJSIP/99")))
    )
    assert directory.endpoint("PJSIP/anna-1").kind is Kind.OPERATOR
    assert directory.endpoint("PJSIP/team-1").kind is Kind.OPERATOR
    assert directory.endpoint("PJSIP/trunk2-1").kind is Kind.TRUNK
    assert directory.endpoint("PJSIP/99-1").kind is Kind.TRUNK
    assert directory.endpoint("PJSIP/98-1").kind is Kind.OPERATOR


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
