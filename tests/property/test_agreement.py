"""The parts of a record agree with one another: for every recorded stream, whole, cut or with events lost."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from callsteward import config
from callsteward.ari import events
from callsteward.calls.directory import Directory
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.record.call import (
    CallbackDecision,
    CallRecord,
    Decision,
    Direction,
    Outcome,
    Party,
    RuleResult,
    Side,
    ms_of,
)
from callsteward.record.facts import CallEnded
from tests.property.agreement import disagreements
from tests.replay.streams import CAPTURES, HERE, STREAMS, STREAMS_16, lines_of
from tests.unit.calls.stream import Stream

CASES = sorted((HERE / "cases").glob("*.jsonl"))
ENDINGS = sorted((HERE / "endings").glob("*.jsonl"))
ALL = [*CAPTURES, *STREAMS, *CASES, *ENDINGS, *STREAMS_16["pjsip"], *STREAMS_16["sip"]]
FIELD = config.load(HERE / "cases" / "field.toml")
OF_SPEECH = frozenset({"greeting", "silence_limit", "interruptions"})


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def settings_of(path: Path) -> Config:
    return FIELD if path.stem.startswith("site_") else Config()


@functools.cache
def stream(path: Path) -> tuple[events.Event, ...]:
    decoded = (events.decode(line) for line in lines_of(path))
    return tuple(event for event in decoded if event is not None)


def records(path: Path, told: Sequence[events.Event]) -> list[CallRecord]:
    tracker = Tracker(settings_of(path))
    facts = [fact for event in told for fact in tracker.handle(event)]
    facts += tracker.finish()
    return [fact.record for fact in facts if isinstance(fact, CallEnded)]


def found(path: Path, told: Sequence[events.Event]) -> list[str]:
    return [told for record in records(path, told) for told in disagreements(record)]


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_records_agree_with_themselves(path: Path) -> None:
    assert found(path, stream(path)) == []


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_records_of_every_beginning_and_end_agree_with_themselves(path: Path) -> None:
    whole = stream(path)
    for cut in range(1, len(whole)):
        assert found(path, whole[cut:]) == [], f"from event {cut} on"
        assert found(path, whole[:cut]) == [], f"up to event {cut}"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_records_agree_with_themselves_whichever_events_are_lost(path: Path) -> None:
    whole = stream(path)
    for lost in range(len(whole)):
        assert found(path, whole[:lost] + whole[lost + 1 :]) == [], f"without event {lost}"
    dice = random.Random(path.stem)
    for _ in range(40):
        share = dice.uniform(0.05, 0.5)
        assert found(path, [event for event in whole if dice.random() > share]) == []


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_nothing_that_was_not_heard_breaks_a_rule(path: Path) -> None:
    """Without any talk event no rule is broken that was not broken with them, and none on speech at all."""
    whole = stream(path)
    speech = (events.ChannelTalkingStarted, events.ChannelTalkingFinished)
    before = {record.call_id: _broken(record) for record in records(path, whole)}
    for record in records(path, [event for event in whole if not isinstance(event, speech)]):
        assert _broken(record) <= before[record.call_id] - OF_SPEECH


def _broken(record: CallRecord) -> set[str]:
    return {check.rule for check in record.standard if check.result is RuleResult.BROKEN}


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_nobody_is_answered_before_client_and_operator_share_a_bridge(path: Path) -> None:
    whole = stream(path)
    shared_ms = next(_shared(path, whole), None)
    for record in records(path, whole):
        if record.direction in {Direction.INTERNAL, Direction.RATING} or record.answered_at is None:
            continue
        assert shared_ms is not None
        assert (ms_of(record.answered_at) or 0) >= shared_ms


def _shared(path: Path, told: Sequence[events.Event]) -> Iterator[int]:
    """When somebody outside shares a bridge with somebody else, Local channels' halves counted as one."""
    directory = Directory(settings_of(path))
    inside: dict[str, set[str]] = {}
    for event in told:
        if isinstance(event, events.ChannelEnteredBridge) and event.channel is not None:
            holding = "holding" in {event.bridge.bridge_type, event.bridge.technology.partition("_")[0]}
            if not holding:
                inside.setdefault(event.bridge.id, set()).add(event.channel.name)
        elif isinstance(event, events.ChannelLeftBridge):
            inside.get(event.bridge.id, set()).discard(event.channel.name)
        elif isinstance(event, events.BridgeDestroyed):
            inside.pop(event.bridge.id, None)
        else:
            continue
        for names in _joined(list(inside.values())):
            people = [directory.endpoint(name) for name in names if directory.endpoint(name).person]
            if len(people) > 1 and any(endpoint.is_trunk for endpoint in people):
                ms = events.epoch_ms(event.timestamp)
                assert ms is not None
                yield ms


def _joined(bridges: list[set[str]]) -> list[set[str]]:
    """Bridges that a Local channel's two halves join are one."""
    joined: list[set[str]] = []
    for names in bridges:
        bases = {name.rpartition(";")[0] for name in names if ";" in name}
        whole = set(names)
        for other in [item for item in joined if bases & {name.rpartition(";")[0] for name in item}]:
            joined.remove(other)
            whole |= other
        joined.append(whole)
    return joined


def _drop() -> CallRecord:
    s = Stream()
    client, operator = s.talk()
    s.speak(operator, 5)
    s.lost(client)
    return s.record()


@pytest.mark.parametrize(
    ("changes", "noticed"),
    [
        ({"outcome": Outcome.COMPLETED}, "a lost connection is no completed call"),
        ({"outcome": Outcome.ABANDONED}, "with operator 101"),
        ({"operator": None, "outcome": Outcome.NO_ANSWER}, "and answered"),
        ({"answered_at": None}, "seen whole that nobody answered"),
        ({"callback": CallbackDecision(Decision.NOT_DUE, "client_hung_up")}, "after mid_dialogue_drop"),
        ({"direction": Direction.CALLBACK}, "due (mid_dialogue_drop) after mid_dialogue_drop"),
        ({"direction": Direction.INTERNAL}, "among colleagues"),
        ({"wait_s": 3.0}, "wait_s 3.0"),
        ({"duration_s": None}, "duration_s None"),
        ({"talk_s": 9.0}, "s of talk and hold in"),
        ({"standard": ()}, "no rules"),
    ],
)
def test_a_record_that_contradicts_itself_is_noticed(changes: dict[str, object], noticed: str) -> None:
    record = _drop()
    assert disagreements(record) == []
    told = disagreements(msgspec.structs.replace(record, **changes))
    assert any(noticed in item for item in told), told


def test_a_hang_up_that_contradicts_the_rest_is_noticed() -> None:
    record = _drop()
    for changes, noticed in (
        ({"first": Party.CLIENT, "lost_side": None}, "that client ended"),
        ({"first": Party.CLIENT}, "client with a lost side"),
        ({"lost_side": None}, "certainly lost, on no side"),
        ({"first": Party.UNKNOWN, "lost_side": None}, "unknown is certain"),
        ({"evidence": ()}, "no evidence"),
    ):
        hangup = msgspec.structs.replace(record.hangup, **changes)
        told = disagreements(msgspec.structs.replace(record, hangup=hangup))
        assert any(noticed in item for item in told), told
    assert record.hangup.lost_side is Side.CLIENT
