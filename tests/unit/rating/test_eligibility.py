"""The rules that forbid asking for a rating: each alone, and each pair in its order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from callsteward.config.profile import Profile
from callsteward.outgoing.guard import Checked, Refusal
from callsteward.rating.eligibility import Talk, against, drawn
from callsteward.record.call import Decision, Direction

NUMBER = Checked("+79031234567")
ASKED: dict[str, Any] = {
    "call_id": "1795313835.6",
    "direction": Direction.INBOUND,
    "connected": True,
    "dialogue": True,
    "client": NUMBER,
}

# The rules in their order: the word for each, and a change of the talk, the profile or the
# switch that brings it up.
RULES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("not_configured", {}, {}, False),
    ("line_does_not_ask", {}, {"rating": "off"}, True),
    ("internal", {"direction": Direction.INTERNAL}, {}, True),
    ("outbound", {"direction": Direction.OUTBOUND}, {}, True),
    ("rating_call", {"direction": Direction.RATING}, {}, True),
    ("after_callback", {"direction": Direction.CALLBACK}, {}, True),
    ("not_connected", {"connected": False}, {}, True),
    ("no_dialogue", {"dialogue": False}, {}, True),
    ("callback_due", {"callback": Decision.DUE}, {}, True),
    ("callback_pending", {"callback_pending": True}, {}, True),
    ("connection_broke", {"broke": True}, {}, True),
    ("atypical", {"tags": frozenset({"ticket", "atypical"})}, {}, True),
    ("do_not_call", {"do_not_call": True}, {}, True),
    ("premium_number", {"client": Checked(None, Refusal.PREMIUM)}, {}, True),
    ("no_number", {"client": None}, {}, True),
    ("asked_recently", {"asked_days_ago": 29.9}, {}, True),
    ("not_in_sample", {}, {"rating_share": 0.0}, True),
]
OF_CALLING_ALONE = {"do_not_call", "premium_number", "no_number"}


def decided(*changes: tuple[str, dict[str, Any], dict[str, Any], bool], mode: str = "call") -> str | None:
    talk: dict[str, Any] = dict(ASKED)
    profile: dict[str, Any] = {"rating": mode}
    enabled = True
    for _, of_talk, of_profile, on in changes:
        talk |= of_talk
        profile |= of_profile
        enabled = enabled and on
    return against(Talk(**talk), Profile(**profile), enabled=enabled)


@pytest.mark.parametrize("mode", ["stay", "transfer", "call"])
def test_an_inbound_talk_that_reached_dialogue_is_asked_about(mode: str) -> None:
    assert decided(mode=mode) is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[0])
def test_each_rule_alone_says_why(rule: tuple[str, dict[str, Any], dict[str, Any], bool]) -> None:
    assert decided(rule) == rule[0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[0])
@pytest.mark.parametrize("mode", ["stay", "transfer"])
def test_the_number_counts_only_where_it_is_dialled(
    rule: tuple[str, dict[str, Any], dict[str, Any], bool], mode: str
) -> None:
    expected = None if rule[0] in OF_CALLING_ALONE else rule[0]
    assert decided(rule, mode=mode) == expected


def _can_be_together(
    first: tuple[str, dict[str, Any], dict[str, Any], bool],
    second: tuple[str, dict[str, Any], dict[str, Any], bool],
) -> bool:
    return not (first[1].keys() & second[1].keys())


PAIRS = [pair for pair in itertools.combinations(RULES, 2) if _can_be_together(*pair)]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0][0]}+{pair[1][0]}")
def test_of_two_rules_the_weightier_says_why(pair: Any) -> None:
    assert decided(*pair) == pair[0][0]
    # Whichever change came first.
    assert decided(*reversed(pair)) == pair[0][0]


def test_every_pair_that_can_be_is_in_the_table() -> None:
    # 17 rules make 136 pairs; of these, 6 pairs of directions and 1 pair of number states cannot occur.
    assert len(PAIRS) == 136 - 7


def test_the_end_of_a_callback_is_asked_about_where_the_profile_says_so() -> None:
    talk = Talk(**(ASKED | {"direction": Direction.CALLBACK}))
    assert against(talk, Profile(rating="stay"), enabled=True) == "after_callback"
    assert against(talk, Profile(rating="stay", rating_after_callback=True), enabled=True) is None


def test_a_client_may_be_asked_again_after_the_quiet_days() -> None:
    talk = Talk(**(ASKED | {"asked_days_ago": 7.0}))
    assert against(talk, Profile(rating="stay", rating_quiet_days=7), enabled=True) is None
    assert against(talk, Profile(rating="stay", rating_quiet_days=7.1), enabled=True) == "asked_recently"
    assert against(talk, Profile(rating="stay", rating_quiet_days=0), enabled=True) is None


def test_a_suppressed_callback_leaves_a_talk_that_broke_and_is_not_asked_about() -> None:
    talk = Talk(**(ASKED | {"callback": Decision.SUPPRESSED, "broke": True}))
    assert against(talk, Profile(rating="stay"), enabled=True) == "connection_broke"


def test_the_share_is_drawn_by_the_call_and_by_nothing_else() -> None:
    calls = [f"17953{number:05d}.{number % 7}" for number in range(20_000)]
    for share in (0.1, 0.5, 0.9):
        asked = [call for call in calls if drawn(call, share)]
        assert abs(len(asked) / len(calls) - share) < 0.01
        assert asked == [call for call in calls if drawn(call, share)]
    # A client who is asked at a small share is asked at every larger one.
    assert all(drawn(call, 0.5) for call in calls if drawn(call, 0.1))
    assert all(drawn(call, 1.0) and not drawn(call, 0.0) for call in calls[:1000])


def test_the_draw_of_a_call_never_changes() -> None:
    # With another result here, a re-run would ask a client whom the first run did not ask.
    assert [drawn(f"1795313835.{number}", 0.5) for number in range(10)] == [
        True,
        True,
        False,
        True,
        False,
        False,
        True,
        True,
        False,
        True,
    ]
