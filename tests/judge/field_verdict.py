"""A record of the field site against what its phones did and what Asterisk's books say of the same call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callsteward.record.call import CallRecord
from tests.judge import verdict
from tests.judge.books import BOOKS_S, QUEUE_LOG_S, Books
from tests.judge.connection import connected_spans, is_client
from tests.judge.expected import ANY, Either
from tests.judge.field_expected import FieldExpected
from tests.judge.truth import TIMES_S, Truth, epoch

_ABANDONED = {"abandoned", "short_abandoned"}
_NOT_TAKEN = {"no_answer", "rejected", "busy"}


@dataclass(frozen=True)
class Told:
    """One source's statement about a call; None where it cannot tell."""

    began: float | None
    answered: float | None
    ended: float | None
    served_s: float | None
    outcome: str | None
    complete: bool = False
    """Whether None means that there was none."""

    @classmethod
    def by_record(cls, record: CallRecord) -> Told:
        answered = None if record.answered_at is None else epoch(record.answered_at)
        return cls(
            epoch(record.started_at),
            answered,
            epoch(record.ended_at),
            (record.talk_s or 0) + (record.hold_s or 0),
            record.outcome.value,
            complete=True,
        )

    @classmethod
    def by_phones(cls, truth: Truth, expected: FieldExpected, names: Mapping[str, str]) -> Told:
        moment = None
        if expected.connected is not None:
            do, who, delay = expected.connected
            moment = _act(truth, do, who, names) + delay
        ended = None if expected.ended is None else _act(truth, *expected.ended, names, last=True)
        outcome = expected.outcome if isinstance(expected.outcome, str) else None
        return cls(_act(truth, *expected.began, names), moment, ended, None, outcome)


def _act(truth: Truth, do: str, who: str, names: Mapping[str, str], *, last: bool = False) -> float:
    """When somebody did something, for the first or the last time."""
    who = names.get(who, who)
    moments = [act["t"] for act in truth.acts if act["do"] == do and act.get("who") == who]
    assert moments, f"the phones tell of no {do} by {who}"
    return float(moments[-1] if last else moments[0])


def errors(
    records: Sequence[CallRecord],
    truth: Truth,
    expected: FieldExpected,
    *,
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """The mistakes in the records of a scenario, by its phones. `names`: lane 0's names to this lane's."""
    names = names or {}
    found = verdict.fact_errors(records, truth, expected, names=names)
    record = verdict.main_record(records, expected)
    phones, ours = Told.by_phones(truth, expected, names), Told.by_record(record)
    if (record.answered_at is not None) != expected.answered:
        were = "were" if expected.answered else "were never"
        found.append(f"answered_at {record.answered_at}, the two {were} connected")
    for name, value, wanted in (
        ("client_masked", record.client_masked, verdict.named(expected.client, names)),
        ("line", record.line, expected.line),
    ):
        if not verdict.agrees(value, wanted):
            found.append(f"{name}: {value!r}, expected {wanted!r}")
    found += _differ("started_at", ours.began, phones.began)
    if expected.answered:
        found += _differ("answered_at", ours.answered, phones.answered)
        found += _differ("wait_s", record.wait_s, _between(phones.began, phones.answered))
    else:
        found += _differ("wait_s", record.wait_s, _between(phones.began, phones.ended))
        if record.talk_s:
            found.append(f"talk_s {record.talk_s}, the two were never connected")
    found += _differ("ended_at", ours.ended, phones.ended)
    found += _differ("duration_s", record.duration_s, _between(phones.began, phones.ended))
    if (record.left_waiting_s is not None) != (expected.left_from is not None):
        found.append(f"left_waiting_s {record.left_waiting_s}, the last talk ended by {expected.left_from}")
    elif expected.left_from is not None:
        left = _act(truth, *expected.left_from, names)
        found += _differ("left_waiting_s", record.left_waiting_s, _between(left, phones.ended))
    if expected.latency_of is not None:
        found += _latency_errors(record, truth, names.get(expected.latency_of, expected.latency_of))
    return found


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def _differ(name: str, ours: float | None, theirs: float | None, allowed: float = TIMES_S) -> list[str]:
    """Nothing where the other side cannot tell."""
    if theirs is None or (ours is not None and abs(ours - theirs) <= allowed):
        return []
    return [f"{name}: {ours}, should be {theirs:.3f}"]


def _latency_errors(record: CallRecord, truth: Truth, operator: str) -> list[str]:
    lifted = _act(truth, "answer", operator, {})
    rings = [act["t"] for act in truth.acts if act["do"] == "ring" and act["who"] == operator]
    rang = max(moment for moment in rings if moment <= lifted)
    return _differ("answer_latency_s", record.answer_latency_s, lifted - rang)


def ring_errors(truth: Truth, expected: FieldExpected, names: Mapping[str, str] | None = None) -> list[str]:
    """Where the phones that rang are others than those a record is to name."""
    wanted = verdict.named(expected.attempts, names or {})
    if wanted is ANY or isinstance(wanted, Either):
        return []
    rang = sorted(act["who"] for act in truth.acts if act["do"] == "ring" and act["who"].isdigit())
    named = sorted(who for who, _ in wanted)
    return [] if rang == named else [f"{rang} rang, expected {named}"]


# --- Asterisk's books -------------------------------------------------------------------------------------


def book_errors(told: Told, books: Books, expected: FieldExpected, attempts: Any = ANY) -> list[str]:
    """Where somebody's account of a call and CDR, CEL and queue_log of it disagree."""
    spans = connected_spans(books.cel)
    found = []
    if expected.answered != bool(spans):
        found.append(f"CEL: connected in {spans}, expected {'some' if expected.answered else 'none'}")
    if told.answered is not None:
        found += _differ("CEL connected", told.answered, spans[0][0] if spans else float("nan"))
    elif told.complete and spans:
        found.append(f"CEL connected: nobody answered, should be {spans[0][0]:.3f}")
    if told.served_s is not None and not expected.others:
        found += _differ("CEL talk", told.served_s, sum(end - start for start, end in spans), BOOKS_S)
    if expected.direction == "inbound":
        found += _cdr_errors(told, books, expected)
    return found + _queue_errors(told, books, expected, attempts)


def _cdr_errors(told: Told, books: Books, expected: FieldExpected) -> list[str]:
    """Of the client's own channel: the first that came in from a trunk."""
    began = (row for row in books.cel if row.event == "CHAN_START")
    client = next((row.unique_id for row in began if _outside(row.channel)), None)
    rows = [row for row in books.cdr if row.unique_id == client]
    starts = [row.start for row in rows if row.start is not None]
    ends = [row.end for row in rows if row.end is not None]
    if not starts or not ends:
        return ["no CDR of the client's channel"]
    found = [] if told.began is None else _differ("CDR start", told.began, min(starts), BOOKS_S)
    if told.ended is not None and expected.booked_end:
        found += _differ("CDR end", told.ended, max(ends), BOOKS_S)
    return found


def _outside(channel: str) -> bool:
    return is_client(channel) and "/" in channel


def _queue_errors(told: Told, books: Books, expected: FieldExpected, attempts: Any) -> list[str]:
    found = []
    log = books.queue_log
    if not any(row.event == "ENTERQUEUE" for row in log):
        return []
    abandoned = [row for row in log if row.event == "ABANDON"]
    in_vain = told.outcome in _ABANDONED or expected.left_from is not None
    if told.outcome is not None and not expected.transfers and in_vain != bool(abandoned):
        found.append(f"outcome {told.outcome}, queue_log has ABANDON {len(abandoned)} times")
    if (
        abandoned
        and not expected.answered
        and expected.booked_end
        and told.began is not None
        and told.ended is not None
    ):
        entered = next(row.time for row in log if row.event == "ENTERQUEUE")
        waited = told.ended - max(told.began, entered)
        found += _differ("ABANDON", waited, float(abandoned[0].fields[2]), QUEUE_LOG_S)
    if attempts is not ANY and not isinstance(attempts, Either):
        rung = sorted(row.member.split("/")[1][:3] for row in log if row.event == "RINGNOANSWER")
        refused = sorted(who for who, result in attempts if isinstance(result, str) and result in _NOT_TAKEN)
        missing = [who for who in refused if who not in rung]
        if missing:
            found.append(f"not taken by {refused}, queue_log has RINGNOANSWER for {rung}")
    return found
