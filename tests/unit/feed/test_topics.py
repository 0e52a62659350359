import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.feed.topics import Topics, level

TOPICS = Topics("callsteward", "main")


def test_the_topics_of_the_contract() -> None:
    assert TOPICS.everything == "callsteward/main/#"
    assert TOPICS.status == "callsteward/main/status"
    assert TOPICS.line_now("support") == "callsteward/main/lines/support/now"
    assert TOPICS.operator_now("101") == "callsteward/main/operators/101/now"
    assert TOPICS.of("calls", "support", "ended") == "callsteward/main/calls/support/ended"
    assert TOPICS.of("calls", "support", "events") == "callsteward/main/calls/support/events"
    assert (
        TOPICS.of("alerts", "support", "hold_over_limit") == "callsteward/main/alerts/support/hold_over_limit"
    )


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("hot.line_1-a", "hot.line_1-a"),
        ("a/b", "a%2Fb"),
        ("#", "%23"),
        ("+", "%2B"),
        ("a\0b", "a%00b"),
        ("../status", "..%2Fstatus"),
        ("$SYS", "%24SYS"),
        ("%2F", "%252F"),
        ("a b\n", "a%20b%0A"),
        ("Линия", "%D0%9B%D0%B8%D0%BD%D0%B8%D1%8F"),
        ("\ud800", "%3F"),
        ("", "%"),
    ],
)
def test_no_name_can_leave_its_level(name: str, escaped: str) -> None:
    assert level(name) == escaped
    assert TOPICS.line_now(name) == f"callsteward/main/lines/{escaped}/now"
    assert TOPICS.of("alerts", name, name) == f"callsteward/main/alerts/{escaped}/{escaped}"


@given(st.text(), st.text())
def test_two_names_never_share_a_topic(one: str, other: str) -> None:
    assert (level(one) == level(other)) == (one == other)
    assert not set(level(one)) & set("+#/\0 $")


@pytest.mark.parametrize(
    ("root", "status"),
    [
        ("wfm/pbx", "wfm/pbx/main/status"),
        ("/wfm/", "wfm/main/status"),
        ("a//b", "a/b/main/status"),
        ("/", "main/status"),
    ],
)
def test_the_root_may_have_levels_but_no_empty_ones(root: str, status: str) -> None:
    assert Topics(root, "main").status == status
