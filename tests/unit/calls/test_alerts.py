"""Limits that run out while the call is on: each once, at its moment, never after its cause is gone."""

import pytest

from callsteward.ari import events as ari
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.record.facts import Alert, Fact, Happening
from tests.unit.calls.stream import NOON, Stream, alerts, at, config, happenings


def advance(tracker: Tracker, second: float) -> list[Fact]:
    return list(tracker.advance(NOON + round(second * 1000)))


def following(s: Stream, settings: Config | None = None) -> Tracker:
    """A tracker that has seen the stream so far."""
    tracker = Tracker(settings or config())
    s.play(tracker)
    return tracker


def test_a_phone_that_rings_too_long_alerts_once_while_it_rings():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.wait(1)
    s.ring(phone)
    tracker = following(s)
    assert tracker.next_deadline_ms == NOON + 6_000
    assert advance(tracker, 5.999) == []
    assert advance(tracker, 60) == [
        Alert(
            call_id=client.id,
            line="default",
            rule="answer_within",
            at_ms=NOON + 6_000,
            operator="101",
            limit_s=5.0,
            since_ms=NOON + 1_000,
        )
    ]
    assert advance(tracker, 600) == []
    assert tracker.next_deadline_ms is None


@pytest.mark.parametrize("end", ["answer", "NOANSWER", "destroyed", "client"])
def test_a_phone_that_stopped_ringing_in_time_does_not_alert(end: str):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(4)
    match end:
        case "answer":
            s.answer(phone)
        case "NOANSWER":
            s.ends_dial(phone, "NOANSWER")
        case "destroyed":
            s.destroy(phone, 19)
        case _:
            s.bye(client, 127)
    assert alerts(advance(following(s), 600)) == []


def test_among_colleagues_no_limit_runs():
    s = Stream()
    caller = s.dials("101", exten="102")
    phone = s.dial(caller, "102")
    s.ring(phone)
    s.answer(phone, after=20)
    s.bridge(caller, phone)
    s.speak(phone, 2)
    s.hold(phone, 300)
    s.wait(2000)
    tracker = following(s)
    assert alerts(advance(tracker, 5000)) == []


@pytest.mark.parametrize(("operator", "limit_s"), [("101", 120.0), ("102", 180.0), ("103", 120.0)])
def test_a_hold_that_lasts_too_long_by_the_operators_grade(operator: str, limit_s: float):
    s = Stream()
    _, phone = s.talk(operator=operator)
    s.at(10)
    s.hold(phone)
    tracker = following(s, config(operators={"102": {"grade": "senior"}, "103": {"grade": "junior"}}))
    assert alerts(advance(tracker, 10 + limit_s - 0.001)) == []
    assert alerts(advance(tracker, 10 + limit_s)) == [("hold_limit", 10 + limit_s, operator)]
    assert alerts(advance(tracker, 899)) == []


def test_a_second_hold_has_a_limit_of_its_own():
    s = Stream()
    _, phone = s.talk()
    s.at(10)
    s.hold(phone, 100)
    s.at(200)
    s.hold(phone, 130)
    s.at(400)
    s.hold(phone)
    tracker = Tracker(config())
    facts = [*s.play(tracker), *advance(tracker, 530)]
    assert alerts(facts) == [("hold_limit", 320.0, "101"), ("hold_limit", 520.0, "101")]


def test_a_clients_own_hold_breaks_no_limit():
    s = Stream()
    client, _ = s.talk()
    s.at(10)
    s.hold(client)
    assert alerts(advance(following(s), 800)) == []


def test_a_hold_ended_by_the_clients_goodbye_does_not_alert():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    s.at(100)
    s.bye(client)
    assert alerts(advance(following(s), 10_000)) == []


def test_a_client_left_on_hold_for_a_question_to_a_colleague_still_waits():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    s.wait(1)
    s.leaves(phone)  # DTMF feature: the operator's own channel goes to ask
    room = s.rooms[0]
    tracker = following(s)
    assert alerts(advance(tracker, 130)) == [("hold_limit", 130.0, "101")]
    s.at(140)
    s.enters(phone, room)
    s.bye(client)
    assert [fact.duration_s for fact in happenings(s.play(tracker), Happening.UNHOLD)] == [130.0]


def test_a_pause_that_lasts_too_long_alerts_once_while_it_lasts():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    # The client has not said a word yet.
    tracker = following(s, config(asterisk={"talk_detect": "on"}))
    assert alerts(advance(tracker, 15.999)) == []
    facts = advance(tracker, 16)
    assert alerts(facts) == [("silence_limit", 16.0, "101")]
    assert [(fact.at_ms, fact.duration_s) for fact in happenings(facts, Happening.SILENCE)] == [
        (NOON + 16_000, 10.0)
    ]
    assert advance(tracker, 100) == []
    s.speak(client, 2, at=100)
    s.play(tracker)
    assert alerts(advance(tracker, 112)) == [("silence_limit", 112.0, "101")]


def test_pauses_that_speech_breaks_are_not_too_long():
    s = Stream()
    client, phone = s.talk()
    for second in range(4, 60, 9):
        s.speak(phone if second % 2 else client, 1, at=second)
    tracker = Tracker(config())
    assert alerts(s.play(tracker)) == []
    assert alerts(advance(tracker, 200)) == [("silence_limit", 69.0, "101")]


@pytest.mark.parametrize("who", ["client", "operator"])
def test_while_somebody_speaks_or_holds_no_pause_runs(who: str):
    for act in ("speaks", "holds"):
        s = Stream()
        client, phone = s.talk()
        s.speak(phone, 4)
        s.wait(5)
        one = client if who == "client" else phone
        if act == "speaks":
            s.starts(one)
        else:
            s.hold(one)
        assert [fact for fact in alerts(advance(following(s), 100)) if fact[0] == "silence_limit"] == []


def test_a_pause_after_a_hold_runs_from_the_holds_end():
    s = Stream()
    _, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone, 30)
    tracker = following(s, config(asterisk={"talk_detect": "on"}))
    assert alerts(advance(tracker, 46)) == [("silence_limit", 46.0, "101")]


def test_a_talk_that_ends_ends_its_pause():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(9)
    s.bye(client)
    assert alerts(advance(following(s), 100)) == []


@pytest.mark.parametrize(("how", "told"), [("on", 12.0), ("auto", None), ("off", None)])
def test_a_talk_without_a_word_is_a_pause_only_if_detection_is_known_to_be_on(how: str, told: float | None):
    s = Stream()
    s.talk()
    tracker = following(s, config(asterisk={"talk_detect": how}))
    expected = [] if told is None else [("silence_limit", told, "101")]
    assert alerts(advance(tracker, 100)) == expected


def test_a_talk_that_lasts_too_long_alerts_once():
    s = Stream()
    s.talk()
    tracker = following(s)
    assert alerts(advance(tracker, 901.999)) == []
    assert alerts(advance(tracker, 902)) == [("talk_limit", 902.0, "101")]
    assert alerts(advance(tracker, 9000)) == []


def test_the_wait_between_two_talks_does_not_count_as_talk():
    s = Stream()
    client, phone = s.talk()
    s.at(602)  # 10 minutes of talk
    s.blind(phone, client, "102")
    second = s.dial(client, "102")
    s.wait(400)
    s.answer(second)
    s.bridge(client, second)  # 1002: 5 minutes are left
    tracker = Tracker(config())
    assert alerts(s.play(tracker)) == []
    assert alerts(advance(tracker, 1301.999)) == []
    assert alerts(advance(tracker, 1302)) == [("talk_limit", 1302.0, "102")]
    assert alerts(advance(tracker, 9000)) == []


def test_a_limit_that_alerted_in_the_first_talk_does_not_alert_in_the_second():
    s = Stream()
    client, phone = s.talk()
    s.at(1000)
    s.blind(phone, client, "102")
    second = s.dial(client, "102")
    s.answer(second, after=10)
    s.bridge(client, second)
    tracker = Tracker(config())
    assert alerts(s.play(tracker)) == [("talk_limit", 902.0, "101")]
    assert alerts(advance(tracker, 9000)) == []


def test_limits_crossed_before_an_event_alert_before_it():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone, 200)
    s.bye(client)
    facts = s.facts()
    kinds = [type(fact).__name__ if not hasattr(fact, "event") else fact.event.value for fact in facts]
    assert kinds.index("Alert") == kinds.index("unhold") - 1


def test_a_hold_that_ended_unobserved_does_not_alert():
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    tracker = following(s)
    s.at(60)
    s.bye(client)
    s.unseen()
    s.at(400)
    s.snapshot(gap_from=10)
    assert alerts(s.play(tracker)) == []


def test_an_event_about_no_call_still_advances_the_time():
    s = Stream()
    client = s.incoming()
    s.ring(s.dial(client, "101"))
    tracker = following(s)
    before = tracker.last_event_ms
    assert tracker.handle(ari.ChannelUserevent(timestamp=at(4.999))) == ()
    assert tracker.handle(ari.ChannelUserevent(timestamp="soon")) == ()
    told = tracker.handle(ari.ChannelUserevent(timestamp=at(7)))
    assert alerts(told) == [("answer_within", 5.0, "101")]
    assert tracker.handle(ari.ChannelUserevent(timestamp=at(8))) == ()
    assert tracker.last_event_ms == before
