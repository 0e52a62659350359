"""Random days of calls: records as a hotline could leave them, for sums to be checked against."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from callsteward.callback.states import CallbackState
from callsteward.feed.messages import stamp
from callsteward.intervals import grid, slot
from callsteward.intervals.row import IntervalRow
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot import Known, Scheme
from callsteward.record.call import (
    Attempt,
    AttemptResult,
    CallbackDecision,
    CallRecord,
    Decision,
    Direction,
    Hold,
    Outcome,
    Party,
    Rating,
    Side,
    Silence,
    Transfer,
    TransferKind,
    TransferResult,
)
from tests.unit.store.samples import RECORD

# 2026-11-22, Sunday, UTC.
DAY_MS = 1_795_305_600_000
HOUR_MS = 3_600_000
OPERATORS = ("101", "102", "103")
LINES = ("support", "sales")
CONNECTED = (Outcome.COMPLETED, Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP)

_spans_ms = st.integers(0, 900_000)
_operators = st.sampled_from(OPERATORS)


def at(hour: float) -> str:
    """A moment of that day."""
    return stamp(DAY_MS + hour * HOUR_MS)


def call(number: int = 1, hour: float = 8.1, **changes: Any) -> CallRecord:
    """An inbound call, answered by 101 after 3.347 s, with what is given changed."""
    return msgspec.structs.replace(RECORD, call_id=f"{number}", started_at=at(hour), **changes)


@st.composite
def records(draw: st.DrawFn, number: int, of_ms: int = DAY_MS, long_ms: int = 24 * HOUR_MS) -> CallRecord:
    """One call, of any kind."""
    outcome = draw(st.sampled_from(Outcome))
    started = of_ms + draw(st.integers(0, long_ms - 1))
    wait = draw(_spans_ms)
    talk, hold = (draw(_spans_ms), draw(_spans_ms)) if outcome in CONNECTED else (0, 0)
    seen = draw(st.booleans()) or draw(st.booleans())
    attempts = [
        Attempt(draw(_operators), stamp(started), draw(_spans_ms) / 1000, result)
        for result in draw(st.lists(st.sampled_from(AttemptResult), max_size=3))
        if outcome in CONNECTED or result is not AttemptResult.ANSWERED
    ]
    operator = draw(_operators) if outcome in CONNECTED else None
    transfers: tuple[Transfer, ...] = ()
    if operator is not None and draw(st.booleans()):
        giver = draw(_operators)
        kind, result = draw(st.sampled_from(TransferKind)), draw(st.sampled_from(TransferResult))
        transfers = (Transfer(kind, giver, operator, stamp(started + wait), result),)
    holds = draw(st.lists(st.integers(1, 300_000), max_size=3)) if operator is not None else []
    silences = draw(st.none() | st.integers(0, 3))
    return CallRecord(
        call_id=f"{number}",
        site="main",
        line=draw(st.sampled_from(LINES)),
        direction=draw(st.sampled_from([Direction.INBOUND] * 4 + list(Direction))),
        client_masked="+7903***4567",
        client_ref=None,
        operator=operator,
        started_at=stamp(started),
        answered_at=stamp(started + wait) if operator is not None and seen else None,
        ended_at=stamp(started + wait + talk + hold),
        wait_s=wait / 1000 if seen else None,
        answer_latency_s=None,
        talk_s=talk / 1000,
        hold_s=hold / 1000,
        duration_s=(wait + talk + hold) / 1000,
        holds=tuple(Hold(draw(st.sampled_from(Side)), stamp(started), ms / 1000) for ms in holds),
        silences=None if silences is None else (Silence(stamp(started), 12.5),) * silences,
        speech=None,
        attempts=tuple(attempts),
        transfers=transfers,
        hangup=msgspec.structs.replace(RECORD.hangup, first=draw(st.sampled_from(Party))),
        outcome=outcome,
        callback=CallbackDecision(draw(st.sampled_from(Decision)), "drawn"),
        rating=Rating("given", "", draw(st.none() | st.integers(1, 5))),
        standard=(),
        complete=draw(st.booleans()),
        unobserved=(),
    )


@st.composite
def days(draw: st.DrawFn, most: int = 40) -> list[Contact]:
    """The calls of a day, in the order of their arrival."""
    count = draw(st.integers(0, most))
    contacts = []
    for number in range(count):
        record = draw(records(number))
        due = record.callback.decision is Decision.DUE
        contacts.append(Contact(record, draw(st.none() | st.sampled_from(CallbackState)) if due else None))
    return sorted(contacts, key=lambda contact: (contact.record.started_at or "", contact.record.call_id))


def interval_rows() -> list[IntervalRow]:
    """The published rows of half an hour with one call: of a line, and of an operator."""
    start_ms = grid.slot_of(DAY_MS + 8 * HOUR_MS, 30)
    scheme = Scheme(site="main", minutes=30, thresholds_s=(10, 20), lines=("support",), operators=("101",))
    known = Known(contacts=[Contact(call())], watched=[(start_ms, start_ms + 1_700_000)], watched_since_ms=1)
    return [msgspec.structs.replace(row, revision=1) for row in slot.rows(scheme, start_ms, known)]
