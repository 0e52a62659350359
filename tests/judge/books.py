"""Asterisk's own books on a call, CDR, CEL and queue_log, and a record held against them.

They are written by other parts of Asterisk than the ones ARI speaks for, so agreement is proof.
Tolerances: 0.1 s where the books have microseconds, 1 s in queue_log, which has whole seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from callsteward.record.call import (
    AttemptResult,
    CallRecord,
    Confidence,
    Direction,
    Hangup,
    Outcome,
    Party,
    Side,
)
from tests.judge.truth import epoch
from tests.lab.records import Cdr, Cel, QueueEvent

BOOKS_S = 0.1
QUEUE_LOG_S = 1.0

_UNANSWERED = {
    # A phone that declines (603) is NO ANSWER in a CDR.
    Outcome.BUSY: {"BUSY", "NO ANSWER"},
    Outcome.FAILED: {"FAILED", "CONGESTION"},
    Outcome.NO_ANSWER: {"NO ANSWER"},
    Outcome.ABANDONED: {"NO ANSWER"},
    Outcome.SHORT_ABANDONED: {"NO ANSWER"},
}
_ENDED_BY = {"COMPLETECALLER": Party.CLIENT, "COMPLETEAGENT": Party.OPERATOR}
_CERTAIN = Confidence.CERTAIN
_LOST: dict[Side | None, Party] = {Side.CLIENT: Party.CLIENT, Side.OPERATOR: Party.OPERATOR}
_ABANDONED = {Outcome.ABANDONED, Outcome.SHORT_ABANDONED}
# What app_queue logs as RINGNOANSWER, whatever the phone answered.
_NOT_TAKEN = {AttemptResult.NO_ANSWER, AttemptResult.REJECTED, AttemptResult.BUSY}
_TRANSFERS = {"BLINDTRANSFER": "blind", "ATTENDEDTRANSFER": "attended"}


@dataclass(frozen=True)
class Books:
    """The rows of one call, or of many."""

    cdr: Sequence[Cdr]
    cel: Sequence[Cel]
    queue_log: Sequence[QueueEvent]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Rows kept beside a recorded stream (NAME.pbx.json)."""
        rows = json.loads(path.read_text())
        return cls(
            [Cdr(**row) for row in rows["cdr"]],
            [Cel(**row) for row in rows["cel"]],
            [QueueEvent(**{**row, "fields": tuple(row["fields"])}) for row in rows["queue_log"]],
        )

    def of(self, call_id: str) -> Self:
        """The rows of one call: Asterisk links them by the id of its first channel."""
        return type(self)(
            [row for row in self.cdr if row.linked_id == call_id],
            [row for row in self.cel if row.linked_id == call_id],
            [row for row in self.queue_log if row.call_id == call_id],
        )


def errors(record: CallRecord, books: Books) -> list[str]:
    """Where a record and Asterisk's books on the same call disagree, in words."""
    if any(row.extra.get("channel2_uniqueid") == record.call_id for row in books.cel):
        # A consultation that an attended transfer made part of another call: the books close it there.
        return []
    books = books.of(record.call_id)
    if not books.cdr or not books.cel:
        return [f"no CDR or no CEL has the call {record.call_id}"]
    return [*_cdr_errors(record, books), *_cel_errors(record, books), *_queue_errors(record, books)]


def _differ(name: str, ours: float | None, theirs: float | None, allowed: float = BOOKS_S) -> list[str]:
    if ours is None and theirs is None:
        return []
    if ours is None or theirs is None or abs(ours - theirs) > allowed:
        return [f"{name}: the record says {ours}, Asterisk {theirs}"]
    return []


def _length(spans: Sequence[tuple[float, float]]) -> float:
    """The length of spans that may overlap."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _served_s(record: CallRecord) -> float:
    return (record.talk_s or 0) + (record.hold_s or 0)


# --- CDR ----------------------------------------------------------------------------------------------


def _cdr_errors(record: CallRecord, books: Books) -> list[str]:
    rows = [row for row in books.cdr if row.unique_id == record.call_id]
    starts = [row.start for row in rows if row.start is not None]
    ends = [row.end for row in rows if row.end is not None]
    if not starts or not ends:
        return [f"no CDR of the channel {record.call_id}"]
    began, ended = min(starts), max(ends)
    found = [
        *_differ("CDR start", epoch(record.started_at), began),
        *_differ("CDR end", epoch(record.ended_at), ended),
        *_differ("CDR duration", record.duration_s, ended - began),
    ]
    # Only rows with a peer are about somebody who was called: Answer() alone makes a row ANSWERED, too.
    dialled = [row for row in rows if row.peer_channel]
    answered = [row for row in dialled if row.disposition == "ANSWERED"]
    unanswered = _UNANSWERED.get(record.outcome)
    if unanswered is None:
        if not answered:
            found.append(f"outcome {record.outcome}, but no CDR is ANSWERED")
        return found + _differ("CDR billsec", _served_s(record), _billed(record, answered, books.cel))
    first = next(iter(dialled or rows))
    # Nobody to call in the queue: the only row is that of Answer().
    if (dialled or first.app != "Queue") and first.disposition not in unanswered:
        found.append(f"outcome {record.outcome}, but the CDR is {first.disposition}")
    if answered:
        found.append(f"outcome {record.outcome}, but a CDR is ANSWERED by {answered[0].peer_channel}")
    return found


def _billed(record: CallRecord, answered: Sequence[Cdr], cel: Sequence[Cel]) -> float:
    """The time that the CDRs bill for people: after Answer() or a transfer a row bills the ringing, too."""
    spans, rings = [], 0.0
    for row in answered:
        if row.start is None or row.end is None or row.billsec_s is None:
            continue
        spans.append((row.end - row.billsec_s, row.end))
        picked_up = next(
            (
                item.time
                for item in cel
                if item.event == "ANSWER"
                and item.channel == row.peer_channel
                and row.start <= item.time <= row.end
            ),
            None,
        )
        if row.answer == row.start and picked_up is not None and not _held(record, row.start):
            rings += picked_up - row.start
        elif row.app == "Queue" and picked_up is not None:
            rings += picked_up - (row.end - row.billsec_s)
    return _length(spans) - rings


def _held(record: CallRecord, moment: float) -> bool:
    """On hold the client is served: an operator asks a colleague."""
    return any(
        epoch(hold.at) - BOOKS_S <= moment <= epoch(hold.at) + hold.duration_s + BOOKS_S
        for hold in record.holds
    )


# --- CEL ----------------------------------------------------------------------------------------------


def _cel_errors(record: CallRecord, books: Books) -> list[str]:
    found = []
    answers = [
        row.time
        for row in books.cel
        if row.event == "PICKUP"
        or (row.event == "ANSWER" and row.app.startswith("App") and not row.channel.startswith("Local/"))
    ]
    ours = None if record.answered_at is None else epoch(record.answered_at)
    found += _differ("CEL ANSWER", ours, min(answers, default=None))
    client = _client_channel(record, books)
    if client is not None:
        found += _differ("CEL bridged", _served_s(record), _bridged(client, books))
    made = [(_TRANSFERS[row.event], row.time) for row in books.cel if row.event in _TRANSFERS]
    if [kind for kind, _ in made] != [item.kind.value for item in record.transfers]:
        found.append(f"transfers {record.transfers}, CEL has {made}")
    else:
        for transfer, (_, moment) in zip(record.transfers, made, strict=True):
            found += _differ("CEL transfer", epoch(transfer.at), moment)
    return found + _hangup_errors(record, client, books)


def _client_channel(record: CallRecord, books: Books) -> str | None:
    """The channel (unique id) of the client's phone."""
    if record.direction is not Direction.OUTBOUND:
        return record.call_id
    others = [row.unique_id for row in books.cel if row.unique_id != record.call_id]
    return others[0] if others else None


def _bridged(channel: str, books: Books) -> float:
    """How long a channel was in bridges, parking left out."""
    spans: list[tuple[float, float]] = []
    since: dict[object, float] = {}
    for row in sorted(books.cel, key=lambda row: row.time):
        if row.unique_id != channel or row.extra.get("bridge_technology") == "holding_bridge":
            continue
        bridge = row.extra.get("bridge_id")
        if row.event == "BRIDGE_ENTER":
            since[bridge] = row.time
        elif row.event == "BRIDGE_EXIT" and bridge in since:
            spans.append((since.pop(bridge), row.time))
    return _length(spans)


def _hangup_errors(record: CallRecord, client: str | None, books: Books) -> list[str]:
    hangup = record.hangup
    ends = [row for row in books.cel if row.event == "HANGUP" and not row.channel.startswith("Local/")]
    theirs = hangup.first is Party.OPERATOR or hangup.lost_side is Side.OPERATOR
    asked = [row for row in ends if (row.unique_id != client if theirs else row.unique_id == client)]
    found = []
    causes = {row.extra.get("hangupcause") for row in asked}
    # After a transfer the other side's channel may be linked to another call.
    if (
        hangup.cause is not None
        and causes
        and hangup.first is not Party.UNKNOWN
        and hangup.cause not in causes
    ):
        found.append(f"hang-up cause {hangup.cause}, CEL has {sorted(map(str, causes))}")
    final = next((row for row in ends if row.unique_id == client), None)
    if final is None or record.answered_at is None:
        return found
    source = str(final.extra.get("hangupsource", ""))
    # Set once per channel: after a transfer it can name somebody who left long before the end.
    left = next((row.time for row in ends if row.channel == source), None)
    if left is None or left < final.time - BOOKS_S:
        # A Local channel between the two does not hand it on.
        relayed = any(row.channel.startswith("Local/") for row in books.cel)
        plain = not relayed and not record.transfers
        if plain and not source and hangup.first in {Party.CLIENT, Party.OPERATOR}:
            found.append(f"{hangup.first} hung up first, CEL names nobody as hangupsource")
        return found
    party = Party.CLIENT if source == final.channel else Party.OPERATOR
    # Somebody outside whom the client was handed to is neither.
    went = _first(hangup)
    if went not in {party, Party.UNKNOWN} or (went is Party.UNKNOWN and party is Party.CLIENT):
        found.append(f"{went} went first, CEL's hangupsource is {source} ({party})")
    return found


def _first(hangup: Hangup) -> Party:
    """Whose channel went first, as the books have it: also where its connection was lost."""
    return _LOST.get(hangup.lost_side, hangup.first)


# --- queue_log ----------------------------------------------------------------------------------------


def _member(name: str) -> str:
    """`PJSIP/101` and `Local/101@from-queue/n` are operator 101."""
    found = re.search(r"/(\w+)", name)
    return found[1] if found else name


def _queue_errors(record: CallRecord, books: Books) -> list[str]:
    log = books.queue_log
    if not log:
        return []
    found = []
    entered = next((row for row in log if row.event == "ENTERQUEUE"), None)
    if entered is None:
        found.append("queue_log has no ENTERQUEUE")
    elif not record.transfers:
        # Whole seconds, cut off.
        found += _differ("ENTERQUEUE", epoch(record.started_at), entered.time + 0.5, QUEUE_LOG_S)
    refused = [item for item in record.attempts if item.result in _NOT_TAKEN]
    rung = [row for row in log if row.event == "RINGNOANSWER"]
    if [item.operator for item in refused] != [_member(row.member) for row in rung]:
        found.append(f"not taken by {refused}, queue_log has RINGNOANSWER {rung}")
    else:
        for attempt, row in zip(refused, rung, strict=True):
            if attempt.result is AttemptResult.NO_ANSWER:
                found += _differ("RINGNOANSWER", attempt.ring_s, int(row.fields[0]) / 1000, QUEUE_LOG_S)
    cancelled = {item.operator for item in record.attempts if item.result is AttemptResult.CANCELLED}
    for row in log:
        who = _member(row.member)
        if row.event == "RINGCANCELED" and who not in cancelled:
            found.append(f"queue_log has RINGCANCELED for {who}, attempts are {record.attempts}")
        elif row.event == "CONNECT":
            found += _connect_errors(record, who, int(row.fields[0]))
        elif row.event == "ABANDON":
            if record.outcome not in _ABANDONED:
                found.append(f"outcome {record.outcome}, queue_log has ABANDON")
            found += _differ("ABANDON", record.wait_s, float(row.fields[2]), QUEUE_LOG_S)
        elif row.event == "EXITWITHTIMEOUT" and record.outcome is not Outcome.NO_ANSWER:
            found.append(f"outcome {record.outcome}, queue_log has EXITWITHTIMEOUT")
        elif row.event in _ENDED_BY and not _left_before_the_end(record, row):
            # Queue() goes by the first hang-up request, and chan_sip makes none for a leg that it gives up.
            unrequested = record.hangup.first is Party.NETWORK and record.hangup.confidence is not _CERTAIN
            if not unrequested and _first(record.hangup) is not _ENDED_BY[row.event]:
                found.append(f"{_first(record.hangup)} went first, queue_log has {row.event}")
            found += _differ("queue_log talk", _last_talk(record), float(row.fields[1]), QUEUE_LOG_S)
    if record.outcome in _ABANDONED and not any(row.event == "ABANDON" for row in log):
        found.append(f"outcome {record.outcome}, queue_log has no ABANDON")
    return found


def _left_before_the_end(record: CallRecord, row: QueueEvent) -> bool:
    """The member handed the client over: Queue() logs that as a transfer or, at times, as COMPLETEAGENT."""
    return bool(record.transfers) and row.time + 1 + QUEUE_LOG_S < epoch(record.ended_at)


def _connect_errors(record: CallRecord, who: str, held_s: int) -> list[str]:
    mine = [item for item in record.attempts if item.operator == who]
    # A member who forwards the call is the one Queue() connects, whoever picks up.
    forwarded = any(item.result is AttemptResult.CANCELLED for item in mine)
    if not forwarded and not any(item.result is AttemptResult.ANSWERED for item in mine):
        return [f"queue_log has CONNECT for {who}, attempts are {record.attempts}"]
    # Its hold time counts from the queue; a client who was handed over has waited before.
    return [] if record.transfers else _differ("CONNECT", record.wait_s, float(held_s), QUEUE_LOG_S)


def _last_talk(record: CallRecord) -> float | None:
    """From the last operator's answer to the end."""
    answers = [
        epoch(item.at) + (item.ring_s or 0)
        for item in record.attempts
        if item.result is AttemptResult.ANSWERED
    ]
    return epoch(record.ended_at) - max(answers) if answers else None
