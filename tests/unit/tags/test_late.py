"""A call that somebody tags as dropped after its end."""

from typing import Any

import msgspec
import pytest

from callsteward.config.profile import Profile
from callsteward.record.call import CallbackDecision, Decision, Direction, Outcome, Span, Speech
from callsteward.tags.late import dropped, requested
from tests.unit.store.samples import RECORD

DUE = CallbackDecision(Decision.DUE, "tagged_dropped")


def _speech(operator_s: float | None) -> Speech:
    return Speech(operator_s, 1.0, 0.0, 0, 0, 0.5)


def said(**changes: Any) -> CallbackDecision:
    record = msgspec.structs.replace(RECORD, **({"unobserved": (), "complete": True} | changes))
    return dropped(record, Profile())


@pytest.mark.parametrize(
    ("changes", "decision", "reason"),
    [
        ({}, Decision.DUE, "tagged_dropped"),
        ({"speech": _speech(3.0)}, Decision.DUE, "tagged_dropped"),
        ({"speech": _speech(2.9)}, Decision.NOT_DUE, "early_drop"),
        # The operator could not be heard: the talk's length decides.
        ({"speech": _speech(None)}, Decision.DUE, "tagged_dropped"),
        ({"speech": _speech(None), "talk_s": 2.9}, Decision.NOT_DUE, "early_drop"),
        ({"talk_s": 2.9}, Decision.NOT_DUE, "early_drop"),
        ({"talk_s": None}, Decision.NOT_DUE, "early_drop"),
        ({"outcome": Outcome.EARLY_DROP}, Decision.NOT_DUE, "early_drop"),
        ({"answered_at": None, "talk_s": 0.0}, Decision.NOT_DUE, "not_answered"),
        # Joined midway: it was answered before the daemon began to watch.
        ({"answered_at": None, "talk_s": 40.0}, Decision.DUE, "tagged_dropped"),
        ({"direction": Direction.OUTBOUND}, Decision.DUE, "tagged_dropped"),
        ({"direction": Direction.INTERNAL}, Decision.NOT_DUE, "internal"),
        ({"direction": Direction.CALLBACK}, Decision.SUPPRESSED, "was_callback"),
        ({"direction": Direction.RATING}, Decision.SUPPRESSED, "was_rating"),
    ],
)
def test_the_decision_after_the_tag_on_a_call_that_is_over(changes, decision, reason):
    assert said(**changes) == CallbackDecision(decision, reason)


@pytest.mark.parametrize(
    ("span", "due"),
    [
        (Span("2026-11-22T02:22:20.000Z", None), True),
        (Span("2026-11-22T02:22:14.000Z", "2026-11-22T02:22:16.000Z"), True),
        (Span(None, "2026-11-22T02:22:12.000Z"), False),
    ],
)
def test_a_greeting_nobody_watched_is_not_held_against_the_client(span, due):
    decision = said(talk_s=1.0, unobserved=(span,))
    assert (decision == DUE) is due


def test_a_call_may_be_asked_for_however_it_ended():
    assert requested(RECORD) == CallbackDecision(Decision.DUE, "requested")
    lost = msgspec.structs.replace(RECORD, outcome=Outcome.ABANDONED, answered_at=None)
    assert requested(lost).decision is Decision.DUE
    callback = msgspec.structs.replace(RECORD, direction=Direction.CALLBACK)
    assert requested(callback) == CallbackDecision(Decision.SUPPRESSED, "was_callback")
