"""The conversation: talk, holds, speech and silence, measured at the client's ear."""

from typing import Any

import pytest

from callsteward.config import Asterisk, Config
from callsteward.config.profile import Profile
from callsteward.record.call import CallRecord, Decision, Hold, Outcome, Party, RuleResult, Side, Silence
from callsteward.record.facts import Happening
from tests.unit.calls.stream import Stream, at, config, ended, happenings, rule


def speech(
    record: CallRecord,
) -> tuple[float | None, float | None, float | None, int | None, int | None, float | None]:
    said = record.speech
    assert said is not None
    return (
        said.operator_s,
        said.client_s,
        said.overlap_s,
        said.operator_interruptions,
        said.client_interruptions,
        said.first_operator_word_s,
    )


def detect(how: str) -> Config:
    return config(asterisk=Asterisk.model_validate({"talk_detect": how}))


# --- the plain call -----------------------------------------------------------------------------------


def test_a_plain_call_from_first_ring_to_goodbye():
    s = Stream()
    client, phone = s.talk()
    s.wait(0.5)
    s.speak(phone, 4)
    s.speak(client, 3)
    s.wait(1)
    s.bye(client)
    record = s.record()
    assert (record.started_at, record.answered_at, record.ended_at) == (at(0), at(2), at(10.5))
    assert (record.wait_s, record.talk_s, record.hold_s, record.duration_s) == (2.0, 8.5, 0.0, 10.5)
    assert speech(record) == (4.0, 3.0, 0.0, 0, 0, 0.5)
    assert (record.outcome, record.hangup.first) == (Outcome.COMPLETED, Party.CLIENT)
    assert record.callback.decision is Decision.NOT_DUE
    assert record.silences == ()
    assert record.complete


def test_an_operator_who_hangs_up_first_breaks_that_rule():
    s = Stream()
    _, phone = s.talk()
    s.speak(phone, 4)
    s.bye(phone, None)
    record = s.record()
    assert (record.outcome, record.hangup.first) == (Outcome.COMPLETED, Party.OPERATOR)
    assert rule(record, "operator_hangs_up_last").result is RuleResult.BROKEN


# --- early and mid-dialogue drops ---------------------------------------------------------------------


def test_a_client_who_drops_during_the_greeting_is_not_called_back():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 2.999)
    s.bye(client)
    record = s.record()
    assert record.outcome is Outcome.EARLY_DROP
    assert (record.callback.decision, record.callback.reason) == (Decision.NOT_DUE, "early_drop")


def test_a_client_who_hangs_up_once_the_greeting_is_over_is_served():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 1.5)
    s.speak(client, 20)
    s.speak(phone, 1.5)
    s.bye(client)
    assert s.record().outcome is Outcome.COMPLETED


def test_a_connection_that_breaks_during_the_greeting_is_an_early_drop():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 2)
    s.wait(30)
    s.lost(client)
    assert s.record().outcome is Outcome.EARLY_DROP


@pytest.mark.parametrize("side", [Side.CLIENT, Side.OPERATOR])
def test_a_connection_that_breaks_in_the_dialogue_makes_a_callback_due(side: Side):
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(2)
    s.lost(client if side is Side.CLIENT else phone)
    record = s.record()
    assert (record.hangup.first, record.hangup.lost_side, record.hangup.cause) == (Party.NETWORK, side, 44)
    assert record.outcome is Outcome.MID_DIALOGUE_DROP
    assert record.callback.decision is Decision.DUE


def test_without_talk_detection_the_greeting_is_over_once_there_was_time_for_it():
    for seconds, outcome in ((2.999, Outcome.EARLY_DROP), (3.0, Outcome.COMPLETED)):
        s = Stream()
        client, _ = s.talk()
        s.wait(seconds)
        s.bye(client)
        assert s.record().outcome is outcome


@pytest.mark.parametrize(
    ("heuristic", "outcome"),
    [
        ([], Outcome.COMPLETED),
        (["client_on_hold"], Outcome.COMPLETED),
        (["operator_mid_word"], Outcome.MID_DIALOGUE_DROP),
    ],
)
def test_a_client_who_leaves_mid_word_is_a_drop_if_the_profile_says_so(
    heuristic: list[Any], outcome: Outcome
):
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.speak(client, 2)
    s.starts(phone)
    s.wait(3)
    s.bye(client)
    settings = config(profiles={"standard": Profile(drop_on_bye=frozenset(heuristic))})
    record = s.record(settings)
    assert record.outcome is outcome
    assert speech(record)[0] == 7.0


@pytest.mark.parametrize(
    ("heuristic", "outcome"),
    [
        (["operator_mid_word"], Outcome.COMPLETED),
        (["client_on_hold"], Outcome.MID_DIALOGUE_DROP),
    ],
)
def test_a_client_who_leaves_on_hold_is_a_drop_if_the_profile_says_so(heuristic: list[Any], outcome: Outcome):
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(1)
    s.hold(phone)
    s.wait(30)
    s.bye(client)
    settings = config(profiles={"standard": Profile(drop_on_bye=frozenset(heuristic))})
    assert s.record(settings).outcome is outcome


def test_heuristics_say_nothing_of_a_call_nobody_answered():
    s = Stream()
    client = s.incoming()
    s.wait(9)
    s.bye(client, 127)
    settings = config(profiles={"standard": Profile(drop_on_bye=frozenset({"client_on_hold"}))})
    assert s.record(settings).outcome is Outcome.ABANDONED


@pytest.mark.parametrize("how", ["transferred", "parked"])
def test_a_client_who_gives_up_waiting_after_the_talk_did_not_end_it_mid_word(how: str):
    """The signs of a broken talk are those of its end; what the client did while waiting ended no talk."""
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 5)
    if how == "transferred":
        s.blind(phone, client, "102")
    else:
        s.leaves(phone)
        s.leaves(client)
        s.destroy(phone)
        s.bridge(client, holding=True)
    s.wait(7)
    s.bye(client)
    both = frozenset({"operator_mid_word", "client_on_hold"})
    record = s.record(config(profiles={"standard": Profile(drop_on_bye=both)}))
    assert (record.outcome, record.callback.decision) == (Outcome.COMPLETED, Decision.NOT_DUE)
    assert not [item for item in record.hangup.evidence if "was" in item]


# --- holds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [Side.OPERATOR, Side.CLIENT])
def test_a_hold_by_either_side_is_no_talk(side: Side):
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone if side is Side.OPERATOR else client, 30)
    s.speak(client, 3)
    s.bye(client)
    record = s.record()
    assert record.holds == (Hold(side, at(6), 30.0),)
    assert (record.talk_s, record.hold_s) == (7.0, 30.0)
    held = rule(record, "hold_limit")
    assert (held.result, held.value) == (RuleResult.MET, 30.0 if side is Side.OPERATOR else 0.0)
    assert rule(record, "talk_limit").value == 37.0


def test_holds_of_both_sides_at_once_are_taken_out_once():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    s.at(15)
    s.hold(client)
    s.at(20)
    s.unhold(phone)
    s.at(30)
    s.unhold(client)
    s.at(40)
    s.bye(client)
    record = s.record()
    assert record.holds == (Hold(Side.OPERATOR, at(10), 10.0), Hold(Side.CLIENT, at(15), 15.0))
    assert (record.hold_s, record.talk_s) == (20.0, 18.0)


def test_a_hold_that_is_never_ended_ends_with_the_call():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    s.wait(125)
    s.bye(client)
    record = s.record()
    assert record.holds == (Hold(Side.OPERATOR, at(6), 125.0),)
    assert (record.talk_s, record.hold_s) == (4.0, 125.0)
    assert rule(record, "hold_limit").result is RuleResult.BROKEN


def test_a_clients_own_hold_that_is_never_ended_ends_with_the_call():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(client)
    s.wait(20)
    s.bye(phone)
    assert s.record().holds == (Hold(Side.CLIENT, at(6), 20.0),)


def test_a_hold_ends_with_the_client_even_where_the_operators_phone_stays_on():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    s.wait(10)
    s.request(client)
    s.leaves(client)
    s.destroy(client)
    s.wait(3)
    s.destroy(phone)
    record = s.record()
    assert record.holds == (Hold(Side.OPERATOR, at(6), 10.0),)
    assert record.duration_s == 16.0


def test_an_unhold_without_a_hold_means_nothing():
    s = Stream()
    client, phone = s.talk()
    s.wait(5)
    s.unhold(phone)
    s.bye(client)
    assert s.record().holds == ()


def test_a_second_hold_on_top_of_the_first_is_the_same_hold():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    s.at(15)
    s.hold(phone, 5)
    s.bye(client)
    assert s.record().holds == (Hold(Side.OPERATOR, at(10), 10.0),)


def test_a_hold_before_the_connection_does_not_count():
    s = Stream()
    client = s.incoming()
    s.hold(client, 3)
    s.bye(client)
    record = s.record()
    assert (record.holds, record.hold_s) == ((), 0.0)


def test_a_clock_set_back_during_a_hold_makes_no_negative_time():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    s.unhold(phone)
    frames = s._frames
    frames[-1][1]["timestamp"] = "2026-11-22T12:00:09.000+0000"
    s.at(20)
    s.bye(client)
    record = s.record()
    assert record.holds == (Hold(Side.OPERATOR, at(10), 0.0),)
    assert record.talk_s == 18.0


def test_each_hold_is_judged_by_the_limit_of_the_operator_who_held():
    s = Stream()
    client, junior = s.talk()
    s.speak(junior, 4)
    s.hold(junior, 150)
    s.blind(junior, client, "102")
    senior = s.dial(client, "102")
    s.ring(senior)
    s.answer(senior, after=1)
    s.bridge(client, senior)
    s.hold(senior, 170)
    s.bye(client)
    record = s.record(config(operators={"102": {"grade": "senior"}}))
    held = rule(record, "hold_limit")
    assert (held.result, held.value, held.limit) == (RuleResult.BROKEN, 150.0, 120.0)


# --- speech -------------------------------------------------------------------------------------------


def test_without_talk_detection_speech_and_silences_are_unknown():
    s = Stream()
    client, _ = s.talk()
    s.wait(60)
    s.bye(client)
    record = s.record()
    assert (record.speech, record.silences) == (None, None)
    for name in ("greeting", "silence_limit", "interruptions"):
        assert rule(record, name).result is RuleResult.NOT_APPLICABLE


def test_with_detection_known_to_be_on_a_call_without_a_word_was_silent():
    s = Stream()
    client, _ = s.talk()
    s.wait(60)
    s.bye(client)
    record = s.record(detect("on"))
    assert speech(record) == (0.0, 0.0, 0.0, 0, 0, None)
    assert record.silences == (Silence(at(2), 60.0),)
    assert record.outcome is Outcome.EARLY_DROP


def test_with_detection_switched_off_talk_events_are_ignored():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(60)
    s.bye(client)
    record = s.record(detect("off"))
    assert (record.speech, record.silences) == (None, None)


def test_nobody_listened_to_a_call_that_nobody_answered():
    s = Stream()
    client = s.incoming()
    s.speak(client, 4)
    s.bye(client)
    record = s.record(detect("on"))
    assert (record.speech, record.silences) == (None, None)


def test_both_at_once_is_overlap_and_who_began_second_interrupted():
    s = Stream()
    client, phone = s.talk()
    s.speak(client, 10, at=2)
    s.speak(phone, 4, at=5)  # over the client
    s.speak(phone, 6, at=20)
    s.speak(client, 0.4, at=22)  # "yes"
    s.speak(client, 4, at=25)  # over the operator
    s.at(30)
    s.bye(client)
    record = s.record()
    assert speech(record) == (10.0, 14.4, 5.4, 1, 1, 3.0)


def test_speech_on_music_counts_on_neither_side():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 3, at=2)
    s.at(10)
    s.hold(phone)
    s.speak(client, 5, at=12)
    s.at(20)
    s.unhold(phone)
    s.bye(client)
    assert speech(s.record()) == (3.0, 0.0, 0.0, 0, 0, 0.0)


def test_speech_still_open_at_a_hold_ends_there():
    s = Stream()
    client, phone = s.talk()
    s.at(5)
    s.starts(phone)
    s.at(9)
    s.hold(phone)
    s.at(29)
    s.unhold(phone)
    # The detector waited for the end all the time: no RTP flowed.
    s.wait(0.5)
    s.finishes(phone, 4)
    s.speak(client, 2, at=30)
    s.bye(client)
    assert speech(s.record()) == (4.0, 2.0, 0.0, 0, 0, 3.0)


def test_speech_still_open_at_the_end_ends_with_the_talk():
    s = Stream()
    client, phone = s.talk()
    s.at(5)
    s.starts(phone)
    s.at(6)
    s.starts(client)
    s.at(11)
    s.bye(client)
    assert speech(s.record()) == (6.0, 5.0, 5.0, 0, 1, 3.0)


def test_speech_still_open_at_the_streams_end_counts():
    s = Stream()
    client, phone = s.talk()
    s.speak(client, 1, at=3)
    s.at(5)
    s.starts(phone)
    s.at(65)
    s.hold(client)
    from callsteward.calls.tracker import Tracker

    tracker = Tracker(config())
    s.play(tracker)
    record = ended(tracker.finish())[0]
    assert speech(record) == (60.0, 1.0, 0.0, 0, 0, 3.0)
    assert record.silences == ()


def test_an_end_of_speech_without_a_start_reaches_back_by_its_duration():
    s = Stream()
    client, phone = s.talk()
    s.at(10.5)
    s.finishes(phone, 4)
    s.at(12)
    s.bye(client)
    assert speech(s.record())[0] == 4.0


def test_a_negative_duration_is_treated_as_missing():
    s = Stream()
    client, phone = s.talk()
    s.at(5)
    s.starts(phone)
    s.at(9.5)
    s.finishes(phone, -3)
    s.at(12.5)
    s.finishes(client, -3)
    s.bye(client)
    assert speech(s.record())[:2] == (4.0, 0.0)


def test_a_second_start_of_the_same_speech_changes_nothing():
    s = Stream()
    client, phone = s.talk()
    s.at(5)
    s.starts(phone)
    s.at(6)
    s.starts(phone)
    s.at(9.5)
    s.finishes(phone, 4)
    s.bye(client)
    assert speech(s.record())[0] == 4.0


def test_the_relayed_speech_of_a_local_channel_is_not_counted_twice():
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    near, far = s.local(client, "101")
    phone = s.dial(far, "101")
    s.ring(phone)
    s.ring(near)
    s.answer(phone, after=2)
    s.bridge(far, phone)
    s.answer(near)
    s.bridge(client, near)
    s.speak(phone, 4, at=3)
    s.speak(near, 4, at=3)
    s.speak(far, 4, at=3)
    s.at(8)
    s.hold(phone, 5)
    s.bye(client)
    s.bye(phone)
    record = s.record(detect("on"))
    assert speech(record)[:2] == (4.0, 0.0)
    assert record.holds == (Hold(Side.OPERATOR, at(8), 5.0),)
    assert (record.operator, record.talk_s, record.answer_latency_s) == ("101", 6.0, 2.0)
    assert [item.operator for item in record.attempts] == ["101"]


# --- silences -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pause_s", "found", "result"),
    [(9.999, (), RuleResult.MET), (10.0, (Silence(at(7), 10.0),), RuleResult.BROKEN)],
)
def test_a_pause_of_ten_seconds_is_too_long(pause_s: float, found: tuple[Silence, ...], result: RuleResult):
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 5)
    s.wait(pause_s)
    s.speak(client, 2)
    s.bye(client)
    record = s.record()
    assert record.silences == found
    assert rule(record, "silence_limit").result is result


def test_a_pause_on_hold_is_no_silence_and_its_ends_do_not_add_up():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 3)
    s.wait(6)
    s.hold(phone, 60)
    s.wait(6)
    s.speak(phone, 1)
    s.bye(client)
    assert s.record(detect("on")).silences == ()


def test_the_pause_before_a_goodbye_counts_to_the_goodbye():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(15)
    s.bye(client)
    assert s.record(detect("on")).silences == (Silence(at(6), 15.0),)


@pytest.mark.parametrize(("word_s", "result"), [(2.0, RuleResult.MET), (2.001, RuleResult.BROKEN)])
def test_the_operator_greets_at_once(word_s: float, result: RuleResult):
    s = Stream()
    client, phone = s.talk()
    s.wait(word_s)
    s.speak(phone, 4)
    s.bye(client)
    greeting = rule(s.record(), "greeting")
    assert (greeting.result, greeting.value) == (result, word_s)


def test_a_talk_and_a_hold_end_no_later_than_the_client_hung_up():
    """Asterisk takes the channel out of the bridge some time later, or nobody was told that it did."""
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 5)
    s.hold(phone)
    s.wait(3)
    s.request(client)
    s.wait(4)  # in the h extension; the end of the bridge was not told
    s.destroy(phone)
    s.destroy(client)
    record = s.record()
    assert (record.ended_at, record.wait_s, record.talk_s, record.hold_s) == (at(10), 2.0, 5.0, 3.0)
    assert [(hold.at, hold.duration_s) for hold in record.holds] == [(at(7), 3.0)]


def test_a_hold_ends_when_the_client_hangs_up_in_the_record_and_in_the_event_alike() -> None:
    """Asterisk takes the client out of the bridge some milliseconds after their BYE."""
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    s.wait(4)
    s.request(client)
    s.wait(0.005)
    s.fall(client, 16)
    facts = s.facts()
    (record,) = ended(facts)
    (unhold,) = happenings(facts, Happening.UNHOLD)
    assert [hold.duration_s for hold in record.holds] == [unhold.duration_s] == [4.0]
