"""Interval sums against sums over the call records, over random days of calls.

The oracle below is written from the issue's list, by hand and in one go over the whole day; the rows come
from the table of measures, slot by slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings

from callsteward import features
from callsteward.callback.states import CallbackState
from callsteward.feed import contract, messages
from callsteward.intervals import grid, slot
from callsteward.intervals import messages as interval_messages
from callsteward.intervals.presence import Change
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot import Known, Scheme
from callsteward.record.call import AttemptResult, CallRecord, Decision, Direction, Outcome, Party
from tests.unit.intervals.days import CONNECTED, DAY_MS, HOUR_MS, LINES, OPERATORS, days

T = (5, 20, 60)
ABANDONED = (Outcome.ABANDONED, Outcome.SHORT_ABANDONED)


def _ms(text: str | None) -> int:
    assert text is not None
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _rows(contacts: list[Contact], minutes: int) -> list[IntervalRow]:
    scheme = Scheme(site="main", minutes=minutes, thresholds_s=T, lines=LINES, operators=OPERATORS)
    made: list[IntervalRow] = []
    for start in grid.slots(DAY_MS, DAY_MS + 24 * HOUR_MS, minutes):
        end = start + minutes * 60_000
        known = Known(
            contacts=[item for item in contacts if start <= _ms(item.record.started_at) < end],
            spans=[
                (item.record.line, _ms(item.record.started_at), _ms(item.record.ended_at))
                for item in contacts
                if item.record.direction is not Direction.INTERNAL
            ],
            watched=[(DAY_MS, DAY_MS + 24 * HOUR_MS)],
            watched_since_ms=DAY_MS,
            presence={"101": [Change(DAY_MS - 1, "NOT_INUSE"), Change(DAY_MS + HOUR_MS, "UNAVAILABLE")]},
        )
        made += slot.rows(scheme, start, known)
    return made


def _total(rows: Iterable[IntervalRow], key: str) -> Fraction:
    """Exact, in thousandths: a sum must not depend on how floats are rounded."""
    return sum((Fraction(round((row.values[key] or 0) * 1000)) for row in rows), Fraction(0)) / 1000


def _sum_s(records: Iterable[CallRecord], name: str) -> Fraction:
    return sum((Fraction(round((getattr(item, name) or 0) * 1000)) for item in records), Fraction(0)) / 1000


@pytest.mark.parametrize("minutes", [15, 30])
@settings(max_examples=25, deadline=None)
@given(contacts=days())
def test_the_intervals_of_a_line_add_up_to_its_call_records(contacts: list[Contact], minutes: int) -> None:
    rows = _rows(contacts, minutes)
    for line in LINES:
        mine = [row for row in rows if row.kind is IntervalKind.LINE and row.name == line]
        assert len(mine) == 24 * 60 // minutes
        of_line = [item for item in contacts if item.record.line == line]
        records = [item.record for item in of_line if item.record.direction is not Direction.INTERNAL]
        inbound = [item for item in records if item.direction is Direction.INBOUND]
        answered = [item for item in inbound if item.outcome in CONNECTED]
        abandoned = [item for item in inbound if item.outcome in ABANDONED]
        outbound = [item for item in records if item.direction in {Direction.OUTBOUND, Direction.CALLBACK}]
        due = [
            item
            for item in of_line
            if item.record.direction is not Direction.INTERNAL
            and item.record.callback.decision is Decision.DUE
        ]
        expected = {
            "offered": len(inbound),
            "answered": len(answered),
            "abandoned": len(abandoned),
            "short_abandoned": sum(item.outcome is Outcome.SHORT_ABANDONED for item in inbound),
            "not_taken": len(inbound) - len(answered) - len(abandoned),
            "wait_s_sum": _sum_s(inbound, "wait_s"),
            "answered_wait_s_sum": _sum_s(answered, "wait_s"),
            "abandon_wait_s_sum": _sum_s(abandoned, "wait_s"),
            "answered_wait_unknown": sum(item.wait_s is None for item in answered),
            "abandoned_wait_unknown": sum(item.wait_s is None for item in abandoned),
            "talk_s_sum": _sum_s(answered, "talk_s"),
            "hold_s_sum": _sum_s(answered, "hold_s"),
            "hold_count": sum(len(item.holds) for item in answered),
            "calls_with_hold": sum(item.holds != () for item in answered),
            "silence_count": sum(len(item.silences or ()) for item in answered),
            "calls_listened": sum(item.silences is not None for item in answered),
            "acw_s_sum": 0,
            "transfers": sum(len(item.transfers) for item in answered),
            "operator_hung_up_first": sum(item.hangup.first is Party.OPERATOR for item in answered),
            "early_drops": sum(item.outcome is Outcome.EARLY_DROP for item in inbound),
            "mid_dialogue_drops": sum(item.outcome is Outcome.MID_DIALOGUE_DROP for item in inbound),
            "callbacks_due": len(due),
            "callbacks_reached": sum(item.callback is CallbackState.REACHED for item in due),
            "callbacks_not_reached": sum(item.callback is CallbackState.NOT_REACHED for item in due),
            "callbacks_open": sum(
                item.callback
                in {
                    CallbackState.DUE,
                    CallbackState.OFFERED,
                    CallbackState.OPERATOR_ANSWERED,
                    CallbackState.DIALLING,
                }
                for item in due
            ),
            "ratings_count": sum(item.rating.score is not None for item in records),
            "ratings_sum": sum(item.rating.score or 0 for item in records),
            "incomplete": sum(not item.complete for item in records),
            "outbound": len(outbound),
            "outbound_answered": sum(item.outcome in CONNECTED for item in outbound),
            "outbound_talk_s_sum": _sum_s(outbound, "talk_s"),
        }
        for threshold in T:
            in_time = sum(item.wait_s is not None and item.wait_s <= threshold for item in answered)
            gone = sum(item.wait_s is not None and item.wait_s <= threshold for item in abandoned)
            expected |= {
                f"answered_le_{threshold}": in_time,
                f"abandoned_le_{threshold}": gone,
                f"sl_answered_abandoned_num_{threshold}": in_time,
                f"sl_answered_num_{threshold}": in_time,
                f"sl_short_left_out_num_{threshold}": in_time,
                f"sl_abandons_positive_num_{threshold}": in_time + gone,
            }
        waited = sum(item.wait_s is not None for item in answered)
        left = [item for item in abandoned if item.wait_s is not None]
        short = sum(item.outcome is Outcome.SHORT_ABANDONED for item in left)
        expected |= {
            "sl_answered_abandoned_den": waited + len(left),
            "sl_answered_den": waited,
            "sl_abandons_positive_den": waited + len(left),
            "sl_short_left_out_den": waited + len(left) - short,
        }
        assert {key: _total(mine, key) for key in expected} == expected
        # whatever is not checked above is no sum of calls
        others = {key for key in mine[0].values if not key.startswith("service_level_")} - set(expected)
        assert others == {"observed_s", "concurrent_max"}


@settings(max_examples=25, deadline=None)
@given(contacts=days())
def test_no_operator_is_given_the_talk_of_a_call_that_another_served_too(contacts: list[Contact]) -> None:
    rows = [row for row in _rows(contacts, 30) if row.kind is IntervalKind.OPERATOR]
    inbound = [item.record for item in contacts if item.record.direction is Direction.INBOUND]
    for operator in OPERATORS:
        mine = [row for row in rows if row.name == operator]
        served, alone = [], []
        for item in inbound:
            if item.outcome not in CONNECTED:
                continue
            people = {item.operator}
            people |= {rung.operator for rung in item.attempts if rung.result is AttemptResult.ANSWERED}
            people |= {gave.by for gave in item.transfers if gave.result.value == "completed"}
            if operator in people:
                served.append(item)
                if people == {operator}:
                    alone.append(item)
        rang = [item for item in inbound if operator in {rung.operator for rung in item.attempts}]
        had_last = [item for item in served if item.operator == operator]
        rings = [rung for item in inbound for rung in item.attempts if rung.operator == operator]
        expected = {
            "offered": len({item.call_id for item in [*rang, *served]}),
            "answered": len(served),
            "abandoned": sum(item.outcome in ABANDONED for item in rang),
            "talk_s_sum": _sum_s(alone, "talk_s"),
            "hold_s_sum": _sum_s(alone, "hold_s"),
            "shared": len(served) - len(alone),
            "transfers": sum(gave.by == operator for item in served for gave in item.transfers),
            "operator_hung_up_first": sum(item.hangup.first is Party.OPERATOR for item in had_last),
            "early_drops": sum(item.outcome is Outcome.EARLY_DROP for item in had_last),
            "mid_dialogue_drops": sum(item.outcome is Outcome.MID_DIALOGUE_DROP for item in had_last),
            "rings": len(rings),
            "rings_missed": sum(rung.result.value in {"no_answer", "rejected"} for rung in rings),
        }
        assert {key: _total(mine, key) for key in expected} == expected
    alone_s = _total(rows, "talk_s_sum") + _total(rows, "hold_s_sum")
    together = [item for item in inbound if item.outcome in CONNECTED]
    assert alone_s <= _sum_s(together, "talk_s") + _sum_s(together, "hold_s")


@settings(max_examples=20, deadline=None)
@given(contacts=days(most=12))
def test_every_row_is_a_message_that_meets_its_schema(contacts: list[Contact]) -> None:
    validators = {
        name: jsonschema.Draft202012Validator(schema)
        for name, schema in contract.json_schemas(features.topics()).items()
    }
    for row in _rows(contacts, 30):
        revised = msgspec.structs.replace(row, revision=1)
        sent = messages.stamped(interval_messages.interval(revised), boot_id="b", seq=1, now_ms=DAY_MS)
        wire = msgspec.json.decode(messages.encode(sent))
        validators[wire["schema"]].validate(wire)
        assert not [key for key, value in wire.items() if isinstance(value, dict | list)]
        assert {key: wire[key] for key in row.values} == row.values


@settings(max_examples=20, deadline=None)
@given(contacts=days())
def test_most_calls_at_once_is_what_a_look_at_every_moment_finds(contacts: list[Contact]) -> None:
    spans = [(_ms(item.record.started_at), _ms(item.record.ended_at)) for item in contacts]
    for row in _rows([msgspec.structs.replace(item) for item in contacts], 30):
        if row.kind is not IntervalKind.LINE:
            continue
        mine = [
            span
            for span, item in zip(spans, contacts, strict=True)
            if item.record.line == row.name and item.record.direction is not Direction.INTERNAL
        ]
        # The number rises only where a call begins, or at the start of the interval.
        moments = [row.start_ms, *(begins for begins, _ in mine if row.start_ms <= begins < row.end_ms)]
        most = max(sum(begins <= now < ends for begins, ends in mine) for now in moments)
        assert row.values["concurrent_max"] == most
