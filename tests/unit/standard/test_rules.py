from typing import Any

import pytest

from callsteward.config.profile import Profile
from callsteward.record.call import Direction, Party, RuleCheck, RuleResult
from callsteward.standard.rules import Measured, Rules, registered_within

MET, BROKEN, NOT_APPLICABLE = RuleResult.MET, RuleResult.BROKEN, RuleResult.NOT_APPLICABLE

VALUES: dict[str, Any] = {
    "direction": Direction.INBOUND,
    "hung_up_first": Party.CLIENT,
    "connected": True,
    "answer_latency_s": 3.0,
    "longest_ring_s": 3.0,
    "first_operator_word_s": 0.5,
    "greeting_heard": True,
    "longest_silence_s": 0.0,
    "holds_s": (),
    "consultation_s": 60.0,
    "operator_interruptions": 0,
    "transfers": 0,
    "tagged": False,
    "ticket": False,
    "registered_s": None,
}


def like(call: Measured, **changes: Any) -> Measured:
    """The same call but for some of what was measured."""
    return Measured(**{name: getattr(call, name) for name in VALUES} | changes)


GOOD = Measured(**VALUES)
LOST = like(
    GOOD,
    connected=False,
    answer_latency_s=None,
    longest_ring_s=None,
    first_operator_word_s=None,
    longest_silence_s=None,
    consultation_s=None,
    operator_interruptions=None,
)
INTERNAL = like(GOOD, direction=Direction.INTERNAL)


def check(rule: str, call: Measured = GOOD, profile: Profile | None = None, **changes: Any) -> RuleCheck:
    checks = Rules(profile or Profile()).evaluate(like(call, **changes))
    return next(item for item in checks if item.rule == rule)


def test_every_rule_stands_once_in_the_order_of_the_standard():
    assert [item.rule for item in Rules(Profile()).evaluate(GOOD)] == [
        "answer_within",
        "no_contact_lost",
        "greeting",
        "silence_limit",
        "hold_limit",
        "talk_limit",
        "interruptions",
        "transfers",
        "transfer_with_ticket",
        "operator_hangs_up_last",
        "registered_within",
    ]


def test_a_good_call_breaks_nothing():
    results = {item.rule: item.result for item in Rules(Profile()).evaluate(GOOD)}
    assert results.pop("interruptions") is NOT_APPLICABLE  # only counted
    assert results.pop("transfer_with_ticket") is NOT_APPLICABLE  # nobody was transferred
    assert results.pop("registered_within") is NOT_APPLICABLE  # the time for it is not over
    assert set(results.values()) == {MET}


@pytest.mark.parametrize(
    ("rule", "field", "at_the_limit", "over", "limit"),
    [
        ("answer_within", "answer_latency_s", 5.0, 5.001, 5.0),
        ("greeting", "first_operator_word_s", 2.0, 2.001, 2.0),
        ("talk_limit", "consultation_s", 900.0, 900.001, 900.0),
        ("transfers", "transfers", 1, 2, 1.0),
    ],
)
def test_at_the_limit_a_rule_is_met_and_over_it_broken(
    rule: str, field: str, at_the_limit: float, over: float, limit: float
):
    assert check(rule, like(GOOD, **{field: at_the_limit})) == RuleCheck(rule, MET, at_the_limit, limit)
    assert check(rule, like(GOOD, **{field: over})) == RuleCheck(rule, BROKEN, over, limit)


@pytest.mark.parametrize(
    ("rule", "field", "limit"),
    [
        ("answer_within", "answer_latency_s", 5.0),
        ("greeting", "first_operator_word_s", 2.0),
        ("silence_limit", "longest_silence_s", 10.0),
        ("talk_limit", "consultation_s", 900.0),
        ("interruptions", "operator_interruptions", None),
    ],
)
def test_nobody_is_judged_by_a_number_that_was_not_observed(rule: str, field: str, limit: float | None):
    unseen = like(GOOD, greeting_heard=False, **{field: None})
    assert check(rule, unseen) == RuleCheck(rule, NOT_APPLICABLE, None, limit)


def test_an_operator_who_is_heard_to_say_nothing_did_not_greet():
    mute = like(GOOD, first_operator_word_s=None)
    assert check("greeting", mute) == RuleCheck("greeting", BROKEN, None, 2.0)
    assert check("greeting", mute, consultation_s=2.0).result is NOT_APPLICABLE


def test_a_pause_of_the_limit_is_the_first_that_is_too_long():
    assert check("silence_limit", longest_silence_s=9.999).result is MET
    assert check("silence_limit", longest_silence_s=10.0) == RuleCheck("silence_limit", BROKEN, 10.0, 10)


def test_for_an_unanswered_call_the_longest_ring_counts():
    assert check("answer_within", LOST, longest_ring_s=20.0) == RuleCheck("answer_within", BROKEN, 20.0, 5)
    assert check("answer_within", LOST, longest_ring_s=5.0).result is NOT_APPLICABLE
    assert check("answer_within", LOST).result is NOT_APPLICABLE


def test_the_answer_of_a_client_we_called_is_not_the_operators_duty():
    assert check("answer_within", direction=Direction.OUTBOUND).result is NOT_APPLICABLE


def test_no_contact_may_stay_unnoticed():
    assert check("no_contact_lost") == RuleCheck("no_contact_lost", MET, value=True, limit=True)
    assert check("no_contact_lost", LOST) == RuleCheck("no_contact_lost", BROKEN, value=False, limit=True)
    assert check("no_contact_lost", direction=Direction.OUTBOUND).result is NOT_APPLICABLE


def test_a_call_without_a_hold_meets_the_hold_limit():
    assert check("hold_limit") == RuleCheck("hold_limit", MET, 0.0, 120)


def test_the_hold_that_exceeded_its_limit_by_most_counts():
    assert check("hold_limit", holds_s=[(120.0, 120.0)]) == RuleCheck("hold_limit", MET, 120.0, 120.0)
    broken = check("hold_limit", holds_s=[(170.0, 180.0), (121.0, 120.0), (5.0, 120.0)])
    assert broken == RuleCheck("hold_limit", BROKEN, 121.0, 120.0)


def test_interruptions_are_counted_and_break_the_rule_only_where_a_limit_is_set():
    assert check("interruptions", operator_interruptions=3) == RuleCheck(
        "interruptions", NOT_APPLICABLE, 3.0, None
    )
    strict = Profile(interruptions_limit=2)
    assert check("interruptions", profile=strict, operator_interruptions=2).result is MET
    assert check("interruptions", profile=strict, operator_interruptions=3) == RuleCheck(
        "interruptions", BROKEN, 3.0, 2.0
    )


@pytest.mark.parametrize(
    ("first", "result"),
    [
        (Party.CLIENT, MET),
        (Party.OPERATOR, BROKEN),
        (Party.PBX, NOT_APPLICABLE),
        (Party.NETWORK, NOT_APPLICABLE),
        (Party.UNKNOWN, NOT_APPLICABLE),
    ],
)
def test_the_operator_does_not_hang_up_first(first: Party, result: RuleResult):
    found = check("operator_hangs_up_last", hung_up_first=first)
    assert found == RuleCheck("operator_hangs_up_last", result, first.value, "client")


def test_a_line_may_let_its_operators_hang_up_first():
    found = check(
        "operator_hangs_up_last",
        profile=Profile(operator_hangs_up_last=False),
        hung_up_first=Party.OPERATOR,
    )
    assert found.result is NOT_APPLICABLE


@pytest.mark.parametrize("call", [INTERNAL, LOST], ids=["among colleagues", "nobody answered"])
def test_a_talk_among_colleagues_is_not_judged_as_one_with_a_client(call: Measured):
    judged = {item.rule: item.result for item in Rules(Profile(interruptions_limit=0)).evaluate(call)}
    for rule in ("greeting", "silence_limit", "hold_limit", "talk_limit", "interruptions", "transfers"):
        assert judged[rule] is NOT_APPLICABLE
    assert judged["operator_hangs_up_last"] is NOT_APPLICABLE


@pytest.mark.parametrize(
    "numbers",
    [
        {"answer_limit_s": -1},
        {"silence_limit_s": 0},
        {"hold_limit_s": 0},
        {"max_transfers": -1},
        {"drop_on_bye": ["on a whim"]},
        {"unheard_of": 1},
    ],
)
def test_a_profile_with_an_impossible_number_is_refused(numbers: dict[str, object]):
    with pytest.raises(ValueError, match="1 validation error"):
        Profile.model_validate(numbers)


@pytest.mark.parametrize(
    ("changes", "result", "value"),
    [
        ({"transfers": 1, "ticket": True}, MET, True),
        ({"transfers": 1, "ticket": False}, BROKEN, False),
        ({"transfers": 0, "ticket": True}, NOT_APPLICABLE, None),
        # A site that gives no tags is not judged by their absence.
        ({"transfers": 1, "tagged": False}, NOT_APPLICABLE, None),
    ],
)
def test_a_transfer_needs_a_ticket(changes, result, value):
    found = check("transfer_with_ticket", **({"tagged": True} | changes))
    assert (found.result, found.value, found.limit) == (result, value, True)


def test_a_line_may_transfer_without_a_ticket():
    profile = Profile(transfer_needs_ticket=False)
    found = check("transfer_with_ticket", profile=profile, tagged=True, transfers=1)
    assert found.result is NOT_APPLICABLE


@pytest.mark.parametrize(
    ("after_s", "result"),
    [(0.0, MET), (300.0, MET), (300.001, BROKEN), (None, NOT_APPLICABLE)],
)
def test_a_call_is_registered_in_time(after_s, result):
    assert registered_within(after_s, 300.0) == RuleCheck("registered_within", result, after_s, 300.0)


def test_a_call_nobody_answered_has_nothing_to_register():
    assert check("registered_within", LOST, tagged=True).result is NOT_APPLICABLE
    assert check("registered_within", registered_s=12.0).value == 12.0
