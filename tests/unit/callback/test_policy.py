"""The decision: for every case, and always with the strongest reason."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.callback.policy import Case, Policy
from callsteward.config import CallbackSettings, Config
from callsteward.outgoing.may import Standing
from callsteward.record.call import CallbackDecision, Decision

NOON = int(datetime.fromisoformat("2026-11-22T12:00:00+03:00").timestamp() * 1000)
MINUTE = 60_000
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
MOSCOW = Standing("+74951234567")
LISTED = Standing("+74951234567", "do_not_call")
policy = Policy(Config())


def decided(**changes: Any) -> tuple[Decision, str]:
    values: dict[str, Any] = {
        "decision": DUE,
        "line": "support",
        "client": MOSCOW,
        "dropped_ms": NOON - MINUTE,
        "now_ms": NOON,
    }
    decision = policy.decide(Case(**(values | changes)))
    return decision.decision, decision.reason


def test_a_talk_that_broke_is_called_back():
    assert decided() == (Decision.DUE, "mid_dialogue_drop")


@pytest.mark.parametrize("reason", ["early_drop", "client_hung_up", "operator_hung_up", "not_answered"])
def test_a_call_that_makes_no_callback_due_keeps_its_reason(reason):
    kept = CallbackDecision(Decision.NOT_DUE, reason)
    assert decided(decision=kept, client=LISTED) == (Decision.NOT_DUE, reason)


def test_the_break_of_a_callback_makes_no_other():
    was = CallbackDecision(Decision.SUPPRESSED, "was_callback")
    assert decided(decision=was) == (Decision.SUPPRESSED, "was_callback")
    assert decided(decision=was, forestalled=True) == (Decision.SUPPRESSED, "was_callback")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client": Standing(None, "premium_number", now=False)}, "premium_number"),
        ({"client": LISTED}, "do_not_call"),
        ({"called_again": True}, "client_called_again"),
        ({"client": Standing("+74951234567", now=False)}, "calling_hours"),
        ({"to_number_today": 3}, "number_limit"),
        ({"of_line_this_hour": 60}, "line_limit"),
    ],
)
def test_each_bar_suppresses_it_with_its_reason(changes, reason):
    assert decided(**changes) == (Decision.SUPPRESSED, reason)


def test_the_weightiest_reason_is_told():
    everything = {"called_again": True, "to_number_today": 9, "of_line_this_hour": 99}
    never = Standing("+74951234567", "do_not_call", now=False)
    assert decided(client=never, **everything)[1] == "do_not_call"
    closed = Standing("+74951234567", now=False)
    assert decided(client=closed, **everything)[1] == "client_called_again"
    assert decided(client=closed, to_number_today=9)[1] == "calling_hours"


@pytest.mark.parametrize(
    ("today", "expected"), [(0, Decision.DUE), (2, Decision.DUE), (3, Decision.SUPPRESSED)]
)
def test_the_limit_of_a_number_is_what_the_configuration_says(today, expected):
    assert decided(to_number_today=today)[0] is expected


def test_a_client_who_called_first_is_told_so_in_that_calls_record():
    ended = CallbackDecision(Decision.NOT_DUE, "client_hung_up")
    assert decided(decision=ended, forestalled=True) == (Decision.NOT_DUE, "instead_of_callback")
    # If the second call broke, too, that one makes the callback.
    assert decided(forestalled=True) == (Decision.DUE, "mid_dialogue_drop")


@given(
    st.builds(CallbackDecision, st.sampled_from(Decision), st.text(min_size=1, max_size=12)),
    st.builds(
        Standing,
        st.none() | st.just("+74951234567"),
        st.none() | st.sampled_from(["do_not_call", "premium_number"]),
        st.booleans(),
    ),
    st.integers(min_value=0, max_value=10**13),
    st.integers(min_value=0, max_value=10**13),
    st.booleans(),
    st.integers(min_value=0, max_value=100),
    st.integers(min_value=0, max_value=100),
)
def test_every_case_is_decided_and_none_becomes_due_that_was_not(
    base, client, dropped_ms, now_ms, again, today, hour
):
    config = Config(callback=CallbackSettings())
    decision = Policy(config).decide(
        Case(
            decision=base,
            line="x",
            client=client,
            dropped_ms=dropped_ms,
            now_ms=now_ms,
            called_again=again,
            to_number_today=today,
            of_line_this_hour=hour,
        )
    )
    assert decision.reason
    if decision.decision is Decision.DUE:
        assert base.decision is Decision.DUE
        assert client.never is None
        assert client.now
        assert not again
