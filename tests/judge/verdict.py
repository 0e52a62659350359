"""One record against one scenario: everything that is wrong, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callsteward.record.call import Attempt, CallRecord
from tests.judge.expected import ANY, Either, Expected
from tests.judge.truth import TIMES_S, Truth, answer_errors, epoch, hold_errors, speech_errors

# A PBX dials the phones of a ring-all one after the other, in an order of its own.
AT_ONCE_S = 0.1


def main_record(records: Sequence[CallRecord], expected: Expected) -> CallRecord:
    """The record of the client who came (or was called) first."""
    candidates = [item for item in records if item.direction.value == expected.direction]
    assert candidates, f"no {expected.direction} record among {[str(item.direction) for item in records]}"
    return min(candidates, key=lambda item: item.started_at or "")


def _by_name_where_at_once(attempts: Sequence[Attempt]) -> list[Attempt]:
    """In order of ringing; phones that a ring-all rings at once in the order of their names."""
    ordered: list[Attempt] = []
    at_once: list[Attempt] = []
    for attempt in attempts:
        if at_once and epoch(attempt.at) - epoch(at_once[0].at) > AT_ONCE_S:
            ordered += sorted(at_once, key=lambda item: item.operator)
            at_once.clear()
        at_once.append(attempt)
    return ordered + sorted(at_once, key=lambda item: item.operator)


def agrees(value: object, wanted: object) -> bool:
    """True if a value is the expected one, or one of several expected ones."""
    if wanted is ANY:
        return True
    if isinstance(wanted, Either):
        return any(agrees(value, item) for item in wanted)
    if isinstance(wanted, tuple) and isinstance(value, tuple):
        return len(value) == len(wanted) and all(map(agrees, value, wanted))
    return value == wanted


def named(wanted: Any, names: Mapping[str, str]) -> Any:
    """The expected value, with the PBX's names in place of the phones'."""
    if isinstance(wanted, tuple):
        return type(wanted)(named(item, names) for item in wanted)
    return names.get(wanted, wanted)


def errors(
    records: Sequence[CallRecord],
    truth: Truth,
    expected: Expected,
    *,
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """The mistakes in the records of a scenario. `names` maps the phones' names to the PBX's."""
    found = fact_errors(records, truth, expected, names=names or {})
    return found + _end_errors(main_record(records, expected), truth)


def fact_errors(
    records: Sequence[CallRecord], truth: Truth, expected: Expected, *, names: Mapping[str, str]
) -> list[str]:
    """The same but for the moment of the end."""
    record = main_record(records, expected)
    facts = [
        ("outcome", record.outcome.value, expected.outcome),
        ("hangup.first", record.hangup.first.value, expected.first),
        ("hangup.confidence", record.hangup.confidence.value, expected.confidence),
        ("hangup.lost_side", record.hangup.lost_side, expected.lost_side),
        ("operator", record.operator, named(expected.operator, names)),
        ("callback", (record.callback.decision.value, record.callback.reason), expected.callback),
        ("complete", record.complete, True),
        (
            "attempts",
            tuple((item.operator, item.result.value) for item in _by_name_where_at_once(record.attempts)),
            named(expected.attempts, names),
        ),
        (
            "transfers",
            tuple((item.kind.value, item.by, item.to, item.result.value) for item in record.transfers),
            named(expected.transfers, names),
        ),
        (
            "other records",
            tuple((item.direction.value, item.outcome.value) for item in records if item is not record),
            expected.others,
        ),
    ]
    found = [
        f"{name}: {value!r}, expected {wanted!r}"
        for name, value, wanted in facts
        if not agrees(value, wanted)
    ]
    if expected.answered_by is not None and record.direction.value == "inbound":
        found += answer_errors(record, truth, names.get(expected.answered_by, expected.answered_by))
    if expected.holds_like_phones:
        found += hold_errors(record, truth)
    if expected.speech_like_phones:
        found += speech_errors(record, truth)
    return found


def _end_errors(record: CallRecord, truth: Truth) -> list[str]:
    """The end is when the client's phone hung up, where one did."""
    bye = [act["t"] for act in truth.acts if act["do"] in {"bye", "cancel"}]
    if not bye or record.hangup.first.value not in {"client", "operator"}:
        return []
    if min(abs(epoch(record.ended_at) - moment) for moment in bye) > TIMES_S:
        return [f"ended_at {record.ended_at}, the phones hung up at {bye}"]
    return []
