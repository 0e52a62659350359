"""Durations that could not be heard are null: decided per endpoint, and held against nobody."""

from typing import Any

import pytest

from callsteward.ari import events
from callsteward.calls.directory import Directory
from callsteward.calls.tracker import Tracker
from callsteward.calls.voices import DEAF_AFTER, KEPT, Voices
from callsteward.config import Config, Endpoints
from callsteward.record.call import CallRecord, Decision, Outcome, RuleResult, Silence
from callsteward.record.facts import Happening
from tests.unit.calls.stream import (
    NOON,
    Phone,
    Stream,
    alerts,
    at,
    config,
    ended,
    happenings,
    rule,
)

NOT_APPLICABLE = RuleResult.NOT_APPLICABLE


def said(record: CallRecord) -> tuple[float | None, ...]:
    speech = record.speech
    assert speech is not None
    return (
        speech.operator_s,
        speech.client_s,
        speech.overlap_s,
        speech.operator_interruptions,
        speech.client_interruptions,
        speech.first_operator_word_s,
    )


def results(record: CallRecord) -> dict[str, RuleResult]:
    return {name: rule(record, name).result for name in ("greeting", "silence_limit", "interruptions")}


NOTHING_JUDGED = dict.fromkeys(("greeting", "silence_limit", "interruptions"), NOT_APPLICABLE)


def heard_before(*endpoints: str, quiet: int = 0) -> Tracker:
    """A tracker that knows the endpoints of earlier talk events."""
    tracker = Tracker(config())
    listened = tuple(events.Listened(endpoint, heard=True, quiet=quiet) for endpoint in endpoints)
    assert list(tracker.handle(events.Heard(endpoints=listened, whole=True))) == []
    return tracker


def only(s: Stream, tracker: Tracker) -> CallRecord:
    (record,) = ended(s.play(tracker))
    return record


# --- each field for itself -----------------------------------------------------------------------------


def test_with_talk_detection_on_the_trunk_alone_nothing_is_known_of_the_operator():
    s = Stream()
    client, _ = s.talk()
    s.speak(client, 12, at=4)
    s.wait(14)
    s.lost(client)
    record = s.record()
    assert said(record) == (None, 12.0, None, None, None, None)
    assert record.silences is None
    assert results(record) == NOTHING_JUDGED
    assert (record.outcome, record.callback.decision) == (Outcome.MID_DIALOGUE_DROP, Decision.DUE)


def test_with_talk_detection_on_the_operators_phone_alone_nothing_is_known_of_the_client():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4, at=2.5)
    s.wait(14)
    s.lost(client)
    record = s.record()
    assert said(record) == (4.0, None, None, None, None, 0.5)
    assert record.silences is None
    assert results(record) == NOTHING_JUDGED | {"greeting": RuleResult.MET}
    assert record.outcome is Outcome.MID_DIALOGUE_DROP


def test_speech_is_null_if_nobody_can_be_heard():
    s = Stream()
    client, _ = s.talk()
    s.wait(20)
    s.bye(client)
    record = s.record()
    assert (record.speech, record.silences) == (None, None)
    assert results(record) == NOTHING_JUDGED


@pytest.mark.parametrize(
    ("connected_s", "outcome"), [(2.999, Outcome.EARLY_DROP), (3.0, Outcome.MID_DIALOGUE_DROP)]
)
def test_the_greeting_of_an_operator_who_cannot_be_heard_is_over_by_time_talked(
    connected_s: float, outcome: Outcome
):
    s = Stream()
    client, _ = s.talk()
    s.speak(client, 1)
    s.at(2 + connected_s)
    s.lost(client)
    assert s.record().outcome is outcome


def test_holds_do_not_count_as_talk():
    s = Stream()
    client, phone = s.talk()
    s.speak(client, 1)
    s.hold(phone, 30)
    s.wait(1.9)
    s.lost(client)
    assert s.record().outcome is Outcome.EARLY_DROP


# --- heard when -------------------------------------------------------------------------------------------


def test_an_operator_heard_in_an_earlier_call_who_says_nothing_now_did_not_greet():
    tracker = Tracker(config())
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.speak(client, 2)
    s.bye(client)
    first = only(s, tracker)
    assert said(first) == (4.0, 2.0, 0.0, 0, 0, 0.0)
    s.at(100)
    client, _ = s.talk()
    s.speak(client, 2)
    s.wait(20)
    s.lost(client)
    second = only(s, tracker)
    assert said(second) == (0.0, 2.0, 0.0, 0, 0, None)
    assert second.silences == (Silence(at(104), 20.0),)
    assert results(second) == {
        "greeting": RuleResult.BROKEN,
        "silence_limit": RuleResult.BROKEN,
        "interruptions": NOT_APPLICABLE,
    }
    assert second.outcome is Outcome.EARLY_DROP


def test_talk_events_before_the_talk_and_in_other_calls_count():
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    s.speak(client, 1)  # at the announcement
    phone = s.dial(client, "101")
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(client, phone)
    other, colleague = s.talk(number="79000000001", operator="102")
    s.speak(colleague, 4)
    s.speak(phone, 2)
    s.bye(other)
    s.bye(client)
    first, second = s.records()
    assert said(first)[:2] == (4.0, 0.0)
    assert said(second)[:2] == (2.0, 0.0)


def test_an_operator_heard_only_after_the_call_leaves_its_record_as_it_is():
    tracker = Tracker(config())
    s = Stream()
    client, _ = s.talk()
    s.speak(client, 2)
    s.bye(client)
    assert said(only(s, tracker))[0] is None
    client, phone = s.talk()
    s.speak(phone, 4)
    s.bye(client)
    assert said(only(s, tracker))[:2] == (4.0, 0.0)


def test_a_mark_names_the_endpoints_heard_before_the_stream():
    s = Stream()
    client, _ = s.talk()
    s.wait(20)
    s.bye(client)
    record = only(s, heard_before("PJSIP/101", "PJSIP/trunk"))
    assert said(record) == (0.0, 0.0, 0.0, 0, 0, None)
    assert record.silences == (Silence(at(2), 20.0),)


def test_a_complete_mark_replaces_earlier_knowledge():
    tracker = heard_before("PJSIP/101", "PJSIP/trunk")
    tracker.handle(events.Heard(endpoints=(), whole=True))
    s = Stream()
    client, _ = s.talk()
    s.wait(20)
    s.bye(client)
    assert only(s, tracker).speech is None


# --- several on a side ---------------------------------------------------------------------------------


def transferred(s: Stream, first_s: float, second_s: float) -> tuple[Phone, Phone, Phone]:
    """101 speaks for `first_s` and transfers the client to 102, who talks for `second_s`."""
    client, giver = s.talk()
    s.speak(client, 1)
    if first_s:
        s.speak(giver, first_s)
    s.blind(giver, client, "102")
    taker = s.dial(client, "102")
    s.ring(taker)
    s.answer(taker, after=2)
    s.bridge(client, taker)
    s.wait(second_s)
    return client, giver, taker


def test_with_one_of_two_operators_unheard_only_the_first_word_is_known():
    s = Stream()
    client, _, _ = transferred(s, 2, 15)
    s.lost(client)
    record = s.record()
    assert said(record) == (None, 1.0, None, None, None, 1.0)
    assert record.silences is None
    assert results(record) == NOTHING_JUDGED | {"greeting": RuleResult.MET}
    # Two seconds that were heard, and fifteen that were not.
    assert record.outcome is Outcome.MID_DIALOGUE_DROP


def test_an_unheard_first_operator_makes_no_late_greeting():
    s = Stream()
    client, _, taker = transferred(s, 0, 5)
    s.speak(taker, 1)
    s.bye(client)
    record = s.record()
    assert said(record) == (None, 1.0, None, None, None, None)
    assert results(record) == NOTHING_JUDGED


def test_a_heard_operator_who_did_not_greet_broke_the_rule_whoever_came_later():
    s = Stream()
    client, _ = s.talk()
    s.wait(9)
    s.blind(s.phones[1], client, "102")
    taker = s.dial(client, "102")
    s.ring(taker)
    s.answer(taker, after=2)
    s.bridge(client, taker)
    s.wait(5)
    s.bye(client)
    record = only(s, heard_before("PJSIP/101", "PJSIP/trunk"))
    assert said(record) == (None, 0.0, None, None, None, None)
    assert rule(record, "greeting").result is RuleResult.BROKEN


def test_the_greeting_is_heard_speech_plus_unheard_time():
    for second_s, outcome in ((0.9, Outcome.EARLY_DROP), (1.0, Outcome.MID_DIALOGUE_DROP)):
        s = Stream()
        client, _, _ = transferred(s, 2, second_s)
        s.lost(client)
        assert s.record().outcome is outcome


# --- while the call is on --------------------------------------------------------------------------------


def silent_since(s: Stream, tracker: Tracker, second: float) -> tuple[list[Any], list[Any]]:
    facts = [*s.play(tracker), *tracker.advance(NOON + round(second * 1000))]
    return alerts(facts), happenings(facts, Happening.SILENCE)


def test_a_pause_alerts_only_if_both_sides_can_be_heard():
    s = Stream()
    client, _ = s.talk()
    s.speak(client, 1)
    assert silent_since(s, Tracker(config()), 60) == ([], [])


def test_a_pause_alerts_from_the_start_if_both_sides_were_heard_before():
    s = Stream()
    s.talk()
    told, happened = silent_since(s, heard_before("PJSIP/101", "PJSIP/trunk"), 60)
    assert told == [("silence_limit", 12.0, "101")]
    assert len(happened) == 1


# --- a detector that was switched off -----------------------------------------------------------------


def quiet_talk(s: Stream, seconds: float = 10.0) -> None:
    client, _ = s.talk()
    s.speak(client, 1)
    s.wait(seconds - 1)
    s.bye(client)


def test_an_endpoint_silent_in_talk_after_talk_counts_as_not_heard():
    tracker = heard_before("PJSIP/101")
    s = Stream()
    heard = []
    for _ in range(DEAF_AFTER + 1):
        quiet_talk(s)
        heard.append(said(only(s, tracker))[0])
    assert heard == [0.0] * DEAF_AFTER + [None]
    client, phone = s.talk()
    s.speak(phone, 3)
    s.bye(client)
    assert said(only(s, tracker))[0] == 3.0


def test_short_or_partly_observed_talks_do_not_count_as_silent():
    tracker = heard_before("PJSIP/101")
    s = Stream()
    for _ in range(DEAF_AFTER + 1):
        quiet_talk(s, 9.9)
        assert said(only(s, tracker))[0] == 0.0
    assert {item.endpoint: item.quiet for item in tracker.listened()} == {"PJSIP/101": 0, "PJSIP/trunk": 0}
    client, _ = s.talk()
    s.wait(5)
    s.play(tracker)
    s.wait(10)
    s.snapshot(gap_from=s.ms / 1000 - NOON / 1000 - 10)
    s.bye(client)
    s.play(tracker)
    assert {item.quiet for item in tracker.listened()} == {0}


def test_every_change_of_an_endpoint_is_reported_once():
    tracker = Tracker(config())
    s = Stream()
    quiet_talk(s)
    s.play(tracker)
    assert tracker.heard_anew
    assert sorted(tracker.listened_anew()) == [
        ("PJSIP/101", events.Listened("PJSIP/101", heard=False, quiet=1)),
        ("PJSIP/trunk", events.Listened("PJSIP/trunk", heard=True, quiet=0)),
    ]
    assert not tracker.heard_anew
    for _ in range(3 * DEAF_AFTER):
        quiet_talk(s)
    s.play(tracker)
    assert tracker.listened_anew() == [
        ("PJSIP/101", events.Listened("PJSIP/101", heard=False, quiet=DEAF_AFTER))
    ]


def test_with_talk_detect_on_every_endpoint_counts_as_heard():
    tracker = Tracker(config(asterisk={"talk_detect": "on"}))
    s = Stream()
    for _ in range(2 * DEAF_AFTER):
        quiet_talk(s)
        assert said(only(s, tracker))[0] == 0.0


def test_with_talk_detect_off_no_event_counts():
    tracker = Tracker(config(asterisk={"talk_detect": "off"}))
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 5)
    s.speak(client, 5)
    s.bye(client)
    assert only(s, tracker).speech is None
    assert {item.heard for item in tracker.listened()} == {False}


# --- names ---------------------------------------------------------------------------------------------


def directory() -> Directory:
    return Directory(config())


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/101-0000001c", "PJSIP/101"),
        ("PJSIP/my-trunk-0000001c", "PJSIP/my-trunk"),
        ("SIP/192.0.2.7-00000003", "SIP/192.0.2.7"),
        ("DAHDI/i1/79030000001-3", "DAHDI/i1"),
        ("PJSIP/79031234567-0000001c", "PJSIP/+7903***4567"),
        ("Local/101@agents-00000000;1", ""),
        ("Snoop/1.1-00000000", ""),
    ],
)
def test_an_endpoint_is_the_part_of_a_channels_name_that_its_calls_share(channel: str, endpoint: str):
    assert Voices(armed=False).of(directory().endpoint(channel)).endpoint == endpoint


def test_endless_names_need_bounded_memory_and_talking_endpoints_stay():
    voices, names = Voices(armed=False), directory()
    operator = voices.of(names.endpoint("PJSIP/101-00000001"))
    voices.event(operator)
    for number in range(3 * KEPT):
        voices.event(voices.of(names.endpoint(f"SIP/guest{number}-0000000{number % 10}")))
        if number % 1000 == 0:
            assert voices.of(names.endpoint("PJSIP/101-00000002")) is operator
    assert len(voices.all()) == KEPT
    assert operator.audible
    assert voices.of(names.endpoint("SIP/guest0-00000009")).audible is False


def test_a_dropped_endpoint_is_reported_only_if_the_store_has_it():
    voices, names = Voices(armed=False), directory()
    voices.event(voices.of(names.endpoint("SIP/guest-00000000")))
    assert [endpoint for endpoint, _ in voices.changes()] == ["SIP/guest"]
    for number in range(KEPT + 1):
        voices.event(voices.of(names.endpoint(f"SIP/guest{number}-00000000")))
    changes = dict(voices.changes())
    assert len(changes) == KEPT + 1
    assert changes["SIP/guest"] is None
    assert "SIP/guest0" not in changes


@pytest.mark.parametrize(
    ("mark", "known"),
    [("DAHDI/i1", "DAHDI/i1"), ("PJSIP/79031234567", "PJSIP/+7903***4567"), ("Snoop/1.1", None)],
)
def test_a_mark_in_place_of_an_event_names_the_endpoint_as_the_channel_did(mark: str, known: str | None):
    tracker = Tracker(config())
    tracker.handle(events.Heard(endpoints=(events.Listened(mark, heard=True),)))
    assert [item.endpoint for item in tracker.listened()] == ([] if known is None else [known])


def isdn(s: Stream, number: str) -> Phone:
    """A call comes in over an ISDN span, whose channels have their caller's number in their name."""
    name = f"DAHDI/i1/{number}-1"
    return s._phone("", "Ring", name=name, number=number, context="from-trunk", exten="1000")


def test_every_caller_of_an_isdn_line_is_one_endpoint():
    tracker = Tracker(config())
    s = Stream()
    first = isdn(s, "79000000001")
    s.speak(first, 2)
    s.bye(first)
    s.play(tracker)
    assert tracker.listened() == (events.Listened("DAHDI/i1", heard=True),)
    client = isdn(s, "79000000002")
    phone = s.dial(client, "101")
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.speak(phone, 4)
    s.bye(client)
    assert said(only(s, tracker))[:2] == (4.0, 0.0)


def test_an_outside_number_on_an_operators_side_counts_as_one_of_it():
    """A blind transfer to an outside line that nobody hears: what the operators said in all is not known."""
    settings: Config = config(endpoints=Endpoints(trunks=["PJSIP/trunk*", "PJSIP/deaf"]))
    s = Stream()
    client, giver = s.talk()
    s.speak(client, 1)
    s.speak(giver, 4)
    s.blind(giver, client, "79000000020")
    out = s.dial(client, "deaf")
    s.ring(out)
    s.answer(out, after=2)
    s.bridge(client, out)
    s.wait(9)
    s.bye(client)
    assert said(s.record(settings)) == (None, 1.0, None, None, None, 1.0)
