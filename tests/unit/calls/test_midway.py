"""A call that nobody saw begin: how long it was is not known, and it is called back by a rule of its own."""

from __future__ import annotations

import pytest

from callsteward.calls.outcome import GREETING_NOT_OBSERVED, TAGGED
from callsteward.config import Tags
from callsteward.intervals import scope
from callsteward.intervals.measures import MEASURES
from callsteward.record.call import CallbackDecision, CallRecord, Decision, Outcome, Party, RuleResult
from tests.unit.calls.stream import Phone, Stream, at, config, rule

DUE_UNSEEN = CallbackDecision(Decision.DUE, GREETING_NOT_OBSERVED)
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


def met_midway(*, listed: bool = True, at_s: float = 30) -> tuple[Stream, Phone, Phone]:
    """A talk is on when the daemon comes; with or without Asterisk's lists."""
    stream = Stream()
    client, operator = stream.talk()
    stream.at(at_s)
    stream.unseen()
    if listed:
        stream.snapshot()
    return stream, client, operator


@pytest.mark.parametrize("listed", [True, False])
def test_a_talk_that_began_unobserved_has_no_length(listed: bool) -> None:
    stream, client, operator = met_midway(listed=listed)
    stream.speak(operator, 4)
    stream.speak(client, 4)
    stream.bye(client)
    record = stream.record()
    assert (record.talk_s, record.answered_at, record.wait_s) == (None, None, None)
    assert (record.operator, record.started_at, record.ended_at) == ("101", at(0), at(38))
    assert record.duration_s == 38
    assert record.outcome is Outcome.COMPLETED
    assert rule(record, "talk_limit").result is RuleResult.NOT_APPLICABLE
    assert record.connected


def test_a_talk_that_began_observed_is_measured_even_in_a_call_joined_midway() -> None:
    stream = Stream()
    client = stream.incoming()
    stream.enter(client, "support")
    stream.at(30)
    stream.unseen()
    stream.snapshot()
    operator = stream.dial(client, "101")
    stream.ring(operator)
    stream.answer(operator, after=2)
    stream.bridge(client, operator)
    stream.wait(10)
    stream.bye(client)
    record = stream.record()
    assert (record.talk_s, record.complete) == (10, False)


def test_a_later_talk_does_not_make_the_first_ones_length_known() -> None:
    stream, client, operator = met_midway()
    stream.wait(3)
    stream.blind(operator, client, "102")
    colleague = stream.dial(client, "102")
    stream.ring(colleague)
    stream.answer(colleague, after=1)
    stream.bridge(client, colleague)
    stream.wait(20)
    stream.bye(client)
    record = stream.record()
    assert (record.operator, record.talk_s) == ("102", None)


def test_the_observed_part_alone_can_exceed_the_talk_limit() -> None:
    stream, client, _ = met_midway()
    stream.wait(901)
    stream.bye(client)
    check = rule(stream.record(), "talk_limit")
    assert (check.result, check.value) == (RuleResult.BROKEN, 901)


def drops(stream: Stream, client: Phone) -> CallRecord:
    stream.lost(client)
    record = stream.record()
    assert (record.outcome, record.hangup.first) == (Outcome.MID_DIALOGUE_DROP, Party.NETWORK)
    return record


def test_a_drop_soon_after_the_daemon_started_is_called_back_with_its_reason() -> None:
    stream, client, _ = met_midway()
    stream.wait(1)
    assert drops(stream, client).callback == DUE_UNSEEN


def test_after_enough_observed_talk_a_drop_is_like_any_other() -> None:
    stream, client, _ = met_midway()
    stream.wait(5)
    assert drops(stream, client).callback == DUE
    # Where the operator is heard, it is their speech that counts.
    stream, client, operator = met_midway()
    stream.speak(operator, 4)
    assert drops(stream, client).callback == DUE
    stream, client, operator = met_midway()
    stream.speak(operator, 1)
    stream.wait(5)
    assert drops(stream, client).callback == DUE_UNSEEN


def test_an_operators_tag_overrides_the_unobserved_greeting() -> None:
    stream, client, operator = met_midway()
    stream.emit(
        "ChannelUserevent",
        eventname="callsteward-tag",
        userevent={"tag": "dropped"},
        channel=stream._channel(operator),
    )
    stream.wait(1)
    stream.bye(client)
    record = stream.record(config(tags=Tags(enabled=True)))
    assert record.callback == CallbackDecision(Decision.DUE, TAGGED)


def test_a_call_observed_from_the_beginning_is_judged_by_its_greeting() -> None:
    stream = Stream()
    client, _ = stream.talk()
    stream.wait(1)
    stream.lost(client)
    record = stream.record()
    assert record.outcome is Outcome.EARLY_DROP
    assert record.callback == CallbackDecision(Decision.NOT_DUE, "early_drop")


def test_an_interval_does_not_count_an_unknown_talk_as_none() -> None:
    stream, client, _ = met_midway()
    stream.wait(20)
    stream.bye(client)
    contact = scope.Contact(stream.record())
    measures = {measure.name: measure for measure in MEASURES}
    assert measures["talk_s_sum"].adds(contact, None) is None
    assert measures["shared_contact_s_sum"].adds(contact, "101") is None
