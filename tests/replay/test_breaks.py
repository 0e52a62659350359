"""A connection that breaks anywhere in a recorded stream, with nothing lost or with what was on its way.

`connect = "outbound"`: Asterisk keeps what comes next. Whatever is lost in between, the record of a call
that was on is the one an undisturbed daemon writes, or it says that it was not seen whole.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.record.call import CallRecord, encode
from callsteward.record.facts import CallEnded
from tests.replay.streams import CAPTURES, STREAMS, lines_of

ALL = [*CAPTURES, *STREAMS]
# What is on its way when a process dies was sent within a moment.
MOMENT_MS = 150
MOST_LOST = 8
# Asterisk tells most changes twice (a state and a dial), a few milliseconds apart.
NEAR_S = 0.02
# A phone of which no event comes any more is not waited for.
LINGER_MS = 6_000

_DATE = re.compile(r"\d{4}-\d\d-\d\dT")

# Speech that began in that moment and of which no end is told, as the talk ends before.
SPEECH = {"speech", "silences", "standard"}
# Where, besides, a loss leaves no trace; and what is wrong then.
UNTOLD: dict[str, set[str]] = {
    "both_bye": {"hangup", "callback", "standard"},  # of two at the same moment the first
    "forward_outside": {"answer_latency_s", "attempts"},
    "hangup_while_on_hold": {"talk_s", "hold_s", "holds"},  # the hold that nobody ended
    "outbound_busy": {"outcome"},
    "pickup": {"attempts"},
    "pickup_directed": {"attempts"},
    "queue_ringall": {"attempts"},
    "three_way": {"transfers"},
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@functools.cache
def stamped(path: Path) -> list[events.Event]:
    """The events of a stream that have a timestamp."""
    found = (events.decode(line) for line in lines_of(path))
    return [event for event in found if event is not None and event.timestamp]


def ms_of(event: events.Event) -> int:
    ms = events.epoch_ms(event.timestamp)
    assert ms is not None
    return ms


def records(stream: Iterable[events.Event]) -> dict[str, CallRecord]:
    tracker = Tracker(Config())
    facts = [fact for event in stream for fact in tracker.handle(event)]
    facts += tracker.advance(tracker.last_event_ms + LINGER_MS)
    facts += tracker.finish()
    return {fact.record.call_id: fact.record for fact in facts if isinstance(fact, CallEnded)}


def broken(stream: Sequence[events.Event], at: int, lost: int) -> list[events.Event]:
    """The connection breaks before event `at`; this many events are lost."""
    rest = stream[at + lost :]
    mark = events.Interrupted(timestamp=rest[0].timestamp, since=stream[at - 1].timestamp)
    return [*stream[:at], mark, *rest]


@functools.cache
def costless(path: Path) -> list[dict[str, CallRecord]]:
    """The records of a stream over each break that costs nothing."""
    stream = stamped(path)
    return [records(broken(stream, at, 0)) for at in range(1, len(stream))]


def differences(one: CallRecord, other: CallRecord) -> set[str]:
    """The fields in which two records say different things; how sure one is, and of what, is none of them."""
    left, right = _essence(one), _essence(other)
    return {field for field in right if not _alike(left.get(field), right[field])}


def _essence(record: CallRecord) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(record))
    body["hangup"] = body["hangup"]["first"]
    for check in body["standard"]:
        del check["value"]
    del body["complete"], body["unobserved"]
    return body


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= NEAR_S
    if isinstance(one, str) and isinstance(other, str) and _DATE.match(one) and _DATE.match(other):
        apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
        return abs(apart.total_seconds()) <= NEAR_S
    return bool(one == other)


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_a_break_that_costs_nothing_changes_no_number(path: Path) -> None:
    """A record may have to say that it cannot know; if it does not, it is the very same."""
    whole = records(stamped(path))
    for found in costless(path):
        assert found.keys() == whole.keys()
        for call_id, record in found.items():
            if record.complete:
                assert record == whole[call_id]
            else:
                assert record.unobserved


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_after_any_loss_in_a_break_a_record_is_right_or_incomplete(path: Path) -> None:
    stream = stamped(path)
    whole = records(stream)
    allowed = SPEECH | UNTOLD.get(path.stem, set())
    untold = []
    for lost, at in itertools.product(range(1, MOST_LOST + 1), range(1, len(stream))):
        if at + lost >= len(stream) or ms_of(stream[at + lost - 1]) - ms_of(stream[at]) > MOMENT_MS:
            continue
        found = records(broken(stream, at, lost))
        for call_id, record in found.items():
            if not record.complete:
                assert record.unobserved
                continue
            right = whole.get(call_id)
            if right is None:
                continue  # what an operator's phone did after it
            assert record.callback.decision == right.callback.decision
            if wrong := differences(record, right) - allowed:
                untold.append((at, [type(event).__name__ for event in stream[at : at + lost]], wrong))
    assert untold == []


def test_most_breaks_that_cost_nothing_leave_the_record_whole() -> None:
    """Doubt has its price: what could have been lost without a trace, where much hangs on it."""
    found = [record.complete for path in ALL for each in costless(path) for record in each.values()]
    assert sum(found) / len(found) > 0.85
