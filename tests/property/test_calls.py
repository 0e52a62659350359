"""Calls on configurations nobody built for: what is true of them is what their records say."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.record.call import CallRecord, Confidence, Direction, ms_of
from callsteward.record.facts import CallEnded
from tests.property.agreement import disagreements
from tests.property.scripts import REASONS, STATUSES, Player, Script, Truth
from tests.property.site import Site
from tests.unit.calls.stream import NOON

SITES = st.builds(
    Site,
    trunk=st.sampled_from(["PJSIP", "SIP", "IAX2", "DAHDI"]),
    phones=st.sampled_from(["PJSIP", "SIP"]),
    version=st.sampled_from(["old", "middle", "new"]),
    channelvars=st.booleans(),
    operator_heard=st.booleans(),
    client_heard=st.booleans(),
)
TRIES = ["noanswer", "busy", "declined", "500", "502", "503", "504", "404", "lifted", "unconfirmed"]
WAYS = ["dial", "group", "queue", "local", "confirm", "announce", "stasis", "agent", "out", "click"]
ENDS = [
    "client", "operator", "client_lost", "operator_lost", "client_reason", "operator_reason",
    "client_status", "operator_status", "admin", "limit",
]  # fmt: skip
SCRIPTS = st.builds(
    Script,
    way=st.sampled_from(WAYS),
    tries=st.lists(st.sampled_from(TRIES), max_size=3).map(tuple),
    answered=st.sampled_from([True, True, False]),
    pause_s=st.integers(1, 6),
    ring_s=st.integers(1, 9),
    words_s=st.lists(st.integers(1, 4), max_size=4).map(tuple),
    after=st.sampled_from(["none", "hold", "blind", "attended", "queue_again", "blind_abandon"]),
    end=st.sampled_from(ENDS),
    reason=st.sampled_from(REASONS),
    status=st.sampled_from(STATUSES),
    order=st.integers(0, 1),
    ivr=st.none() | st.sampled_from([486, 500, 502, 503, 504]),
    h_s=st.sampled_from([0, 4]),
    runs_out=st.booleans(),
)


def played(site: Site, script: Script) -> tuple[Truth, list[events.Event]]:
    """The truth about a call, and its events, after one that names the endpoints heard before it."""
    player = Player(site, script)
    truth = player.play()
    decoded = (events.decode(frame) for frame in player.s.frames())
    stream = [event for event in decoded if event is not None]
    heard = events.Heard(timestamp=stream[0].timestamp, endpoints=player.heard(), whole=True)
    return truth, [heard, *stream]


def records_of(stream: Sequence[events.Event]) -> list[CallRecord]:
    tracker = Tracker(Config())
    facts = [fact for event in stream for fact in tracker.handle(event)]
    facts += tracker.advance(tracker.last_event_ms + 6_000)
    facts += tracker.finish()
    return [fact.record for fact in facts if isinstance(fact, CallEnded)]


def _ms(moment: str | None) -> int | None:
    ms = ms_of(moment)
    return None if ms is None else ms - NOON


def _near(told_s: float | None, ms: int) -> bool:
    return told_s is not None and abs(told_s * 1000 - ms) <= 5


# An old cause; one that an own one cannot be told from; a client who waits on; a cause that no queue copies.
@example(site=Site(), script=Script(way="queue", ivr=500, words_s=(4, 2)))
@example(site=Site(trunk="IAX2"), script=Script(way="agent", ivr=502, words_s=(4,), end="client_lost"))
@example(site=Site(), script=Script(tries=("busy",), answered=False))
@example(
    site=Site(version="old"), script=Script(way="announce", tries=("500",), words_s=(4,), end="client_reason")
)
@settings(max_examples=4000, deadline=None)
@given(site=SITES, script=SCRIPTS)
def test_a_record_says_what_is_true(site: Site, script: Script) -> None:
    truth, stream = played(site, script)
    (record,) = [item for item in records_of(stream) if item.direction is not Direction.INTERNAL]
    assert disagreements(record) == []
    assert record.complete
    assert record.direction is truth.direction
    assert record.operator == (None if truth.answered_ms is None else truth.operator)
    assert _ms(record.started_at) == truth.started_ms
    assert _ms(record.answered_at) == truth.answered_ms
    assert abs((_ms(record.ended_at) or 0) - truth.ended_ms) <= 5
    assert _near(record.talk_s, truth.talk_ms)
    assert _near(record.hold_s, truth.holds_ms)
    # Without linkedid nothing says for whom a program rings a phone.
    linked = site.channelvars or script.way != "stasis"
    if truth.direction is Direction.INBOUND and linked:
        made = sorted((attempt.operator, attempt.result.value) for attempt in record.attempts)
        assert made == sorted(truth.attempts)
        if truth.answered_ms is not None:
            assert record.answer_latency_s == truth.latency_s
    if truth.told:
        _check_end(record, truth, linked=linked)


def _check_end(record: CallRecord, truth: Truth, *, linked: bool) -> None:
    hangup = record.hangup
    if truth.alike and hangup.first is not truth.first:
        assert hangup.confidence is not Confidence.CERTAIN
        return
    assert hangup.first is truth.first
    if hangup.lost_side is not None or hangup.confidence is Confidence.CERTAIN:
        assert hangup.lost_side is truth.lost_side
    if linked or truth.answered_ms is not None:
        assert record.outcome in truth.outcomes
    assert record.callback.decision is truth.decision


@settings(max_examples=400, deadline=None)
@given(site=SITES, script=SCRIPTS, seed=st.integers(0, 2**32))
def test_an_incomplete_record_agrees_with_itself(site: Site, script: Script, seed: int) -> None:
    """Its beginning or its end cut off, or events lost in between: nobody is told what nobody saw."""
    _, stream = played(site, script)
    dice = random.Random(seed)
    heard, told = stream[0], stream[1:]
    at = dice.randrange(len(told))
    thinned = [event for event in told if dice.random() > 0.1]
    for rest in (told[at:], told[:at], thinned):
        for record in records_of([heard, *rest]):
            assert disagreements(record) == []


@settings(max_examples=400, deadline=None)
@given(site=SITES, script=SCRIPTS)
def test_nobody_answers_before_they_are_connected_however_the_stream_begins(
    site: Site, script: Script
) -> None:
    truth, (heard, *told) = played(site, script)
    for start in range(1, len(told), 3):
        for record in records_of([heard, *told[start:]]):
            answered_ms = _ms(record.answered_at)
            if record.direction is Direction.INTERNAL or answered_ms is None:
                continue
            # A client met after the first talk is first seen to be answered in the next.
            assert truth.answered_ms is not None
            assert answered_ms >= truth.answered_ms
