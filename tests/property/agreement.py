"""How the parts of one record agree: outcome, callback, hang-up, standard and times.

It holds for any record, however little of its call was seen, and knows nothing of the call itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from callsteward.calls.outcome import GREETING_NOT_OBSERVED, TAGGED
from callsteward.record.call import (
    CallRecord,
    Confidence,
    Decision,
    Direction,
    Outcome,
    Party,
    RuleCheck,
    RuleResult,
    Side,
    ms_of,
)

UNCONNECTED = frozenset(
    {Outcome.ABANDONED, Outcome.SHORT_ABANDONED, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED}
)
# The rules that are held against a talk; the other two are held against every call that came in.
OF_A_TALK = frozenset(
    {
        "greeting",
        "silence_limit",
        "hold_limit",
        "talk_limit",
        "interruptions",
        "transfers",
        "transfer_with_ticket",
        "operator_hangs_up_last",
        "registered_within",
    }
)
ENDED_BY = {
    "client_hung_up": Party.CLIENT,
    "operator_hung_up": Party.OPERATOR,
    "pbx_ended": Party.PBX,
}
NEAR_S = 0.0015


def disagreements(record: CallRecord) -> list[str]:
    """The contradictions within a record; empty if it agrees with itself."""
    parts = (_connection, _hangup, _outcome, _callback, _times, _standard, _listened)
    return [f"{part.__name__.strip('_')}: {told}" for part in parts for told in part(record)]


def _connection(record: CallRecord) -> Iterator[str]:
    """All fields that show that client and operator were connected must agree."""
    if record.outcome in UNCONNECTED:
        if record.operator is not None:
            yield f"{record.outcome} with operator {record.operator}"
        if record.answered_at is not None:
            yield f"{record.outcome} and answered"
        if record.answer_latency_s is not None:
            yield f"{record.outcome} with an answer latency"
        if record.left_waiting_s is not None:
            yield f"{record.outcome}, waiting after a talk"
        if record.talk_s or record.hold_s or record.holds or record.speech or record.silences:
            yield f"{record.outcome} with a talk"
    elif record.direction is not Direction.RATING and record.complete:
        if record.answered_at is None:
            yield f"{record.outcome} of a call seen whole that nobody answered"
        if record.talk_s is None:
            yield f"{record.outcome} of a call seen whole, the talk's length unknown"


def _hangup(record: CallRecord) -> Iterator[str]:
    hangup = record.hangup
    lost = hangup.first is Party.NETWORK
    if hangup.lost_side is not None and not lost:
        yield f"{hangup.first} with a lost side"
    if lost and hangup.confidence is Confidence.CERTAIN and hangup.lost_side is None:
        yield "certainly lost, on no side"
    if (hangup.first is Party.UNKNOWN) != (hangup.confidence is Confidence.UNKNOWN):
        third = any("third party" in item for item in hangup.evidence)
        if not third:
            yield f"{hangup.first} is {hangup.confidence}"
    if not hangup.evidence:
        yield "no evidence"


def _outcome(record: CallRecord) -> Iterator[str]:
    first, outcome = record.hangup.first, record.outcome
    tagged = record.callback.reason == TAGGED
    died = first is Party.PBX and any("shut down" in item for item in record.hangup.evidence)
    if record.direction is Direction.INTERNAL and outcome in {Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP}:
        yield f"{outcome} among colleagues"
    if outcome is Outcome.MID_DIALOGUE_DROP and not (first is Party.NETWORK or died or tagged):
        yield f"{outcome} that {first} ended"
    if outcome is Outcome.EARLY_DROP and not (first in {Party.NETWORK, Party.CLIENT} or died or tagged):
        yield f"{outcome} that {first} ended"
    if (
        outcome is Outcome.COMPLETED
        and first is Party.NETWORK
        and record.direction
        not in {
            Direction.INTERNAL,
            Direction.RATING,
        }
    ):
        yield "a lost connection is no completed call"
    if outcome in {Outcome.ABANDONED, Outcome.SHORT_ABANDONED}:
        if first in {Party.OPERATOR, Party.PBX}:
            yield f"{outcome}, but {first} ended it"
        short = outcome is Outcome.SHORT_ABANDONED
        if record.wait_s is not None and first is not Party.UNKNOWN and short != (record.wait_s < 5):
            yield f"{outcome} after {record.wait_s} s"


def _callback(record: CallRecord) -> Iterator[str]:
    decision, reason = record.callback.decision, record.callback.reason
    ours = record.direction in {Direction.CALLBACK, Direction.RATING}
    handed_over = reason == "handed_over"
    if record.direction is Direction.INTERNAL:
        if (decision, reason) not in {(Decision.NOT_DUE, "internal"), (Decision.NOT_DUE, "handed_over")}:
            yield f"{decision} ({reason}) among colleagues"
        return
    dropped = record.outcome is Outcome.MID_DIALOGUE_DROP
    wanted = Decision.NOT_DUE
    if dropped and not handed_over:
        wanted = Decision.SUPPRESSED if ours else Decision.DUE
    if decision is not wanted:
        yield f"{decision} ({reason}) after {record.outcome}"
    if not handed_over and (reason == "not_answered") != (record.outcome in UNCONNECTED):
        yield f"{reason} after {record.outcome}"
    if not handed_over and (reason == "early_drop") != (record.outcome is Outcome.EARLY_DROP):
        yield f"{reason} after {record.outcome}"
    if reason == GREETING_NOT_OBSERVED and record.complete:
        yield f"{reason} in a call seen whole"
    ended_by = ENDED_BY.get(reason)
    if ended_by is not None and ended_by is not record.hangup.first:
        yield f"{reason}, but {record.hangup.first} ended it"


def _times(record: CallRecord) -> Iterator[str]:
    started, answered, ended = map(ms_of, (record.started_at, record.answered_at, record.ended_at))
    if started is not None and answered is not None and _apart(record.wait_s, answered - started):
        yield f"wait_s {record.wait_s}"
    if started is not None and ended is not None and _apart(record.duration_s, ended - started):
        yield f"duration_s {record.duration_s}"
    if (ended is None) != (record.duration_s is None):
        yield f"duration_s {record.duration_s} of a call that ended at {record.ended_at}"
    order = [moment for moment in (started, answered, ended) if moment is not None]
    if order != sorted(order):
        yield f"out of order: {record.started_at}, {record.answered_at}, {record.ended_at}"
    if answered is not None and ended is not None and record.complete:
        spent = (record.talk_s or 0) + (record.hold_s or 0)
        if spent > (ended - answered) / 1000 + NEAR_S and record.direction is not Direction.INTERNAL:
            yield f"{spent} s of talk and hold in {(ended - answered) / 1000} s"
    if record.left_waiting_s is not None:
        known = [part for part in (record.wait_s, record.talk_s, record.left_waiting_s) if part is not None]
        if record.duration_s is None or sum(known) > record.duration_s + NEAR_S:
            yield f"{sum(known)} s of wait and talk in {record.duration_s} s"
    if record.answer_latency_s is not None and answered is None:
        yield "an answer latency without an answer"
    if record.speech is not None:
        for told in (record.speech.operator_s, record.speech.client_s, record.speech.overlap_s):
            if told is not None and record.talk_s is not None and told > record.talk_s + NEAR_S:
                yield f"{told} s of speech in a talk of {record.talk_s} s"


def _apart(told_s: float | None, ms: int) -> bool:
    return told_s is None or abs(told_s - ms / 1000) > NEAR_S


def _standard(record: CallRecord) -> Iterator[str]:
    rules = {check.rule: check for check in record.standard}
    if not rules:
        yield "no rules"
        return
    contact = rules["no_contact_lost"].result
    if record.direction is not Direction.INBOUND:
        wanted = RuleResult.NOT_APPLICABLE
    else:
        lost = record.outcome in UNCONNECTED or record.left_waiting_s is not None
        wanted = RuleResult.BROKEN if lost else RuleResult.MET
    if contact is not wanted:
        yield f"no_contact_lost {contact} after {record.outcome}"
    untalked = record.outcome in UNCONNECTED or record.direction in {Direction.INTERNAL, Direction.RATING}
    if untalked:
        for name in sorted(OF_A_TALK & rules.keys()):
            if rules[name].result is not RuleResult.NOT_APPLICABLE and name != "registered_within":
                yield f"{name} {rules[name].result} without a talk with a client"
        return
    yield from _hangs_up_last(record, rules["operator_hangs_up_last"])
    if rules["transfers"].value != _given_on(record):
        yield f"transfers {rules['transfers'].value} of {len(record.transfers)}"
    answer = rules["answer_within"]
    if answer.value is not None and answer.value != record.answer_latency_s:
        yield f"answer_within {answer.value}, answer latency {record.answer_latency_s}"


def _given_on(record: CallRecord) -> float:
    """Transfers, those to the rating left out: there is at most one, which is the last."""
    made = len(record.transfers)
    return float(made - 1 if any("to the rating by" in item for item in record.hangup.evidence) else made)


def _hangs_up_last(record: CallRecord, check: RuleCheck) -> Iterator[str]:
    if check.value == "hand_over":
        if record.hangup.first is not Party.OPERATOR:
            yield f"a hand-over that {record.hangup.first} ended"
        return
    wanted = {Party.CLIENT: RuleResult.MET, Party.OPERATOR: RuleResult.BROKEN}.get(
        record.hangup.first, RuleResult.NOT_APPLICABLE
    )
    # Of a call that was not seen whole nobody is told that they hung up on the client.
    unseen = not record.complete and check.result is RuleResult.NOT_APPLICABLE
    if check.result is not wanted and not unseen:
        yield f"operator_hangs_up_last {check.result}, {record.hangup.first} ended it"


def _listened(record: CallRecord) -> Iterator[str]:
    """A rule is never broken by something unobserved or unheard."""
    speech = record.speech
    for check in record.standard:
        if check.result is not RuleResult.BROKEN:
            continue
        if check.rule == "greeting" and check.value is None and record.answered_at is None:
            yield "no greeting in a talk whose beginning nobody saw"
        if (
            check.rule == "greeting"
            and check.value is not None
            and (speech is None or speech.first_operator_word_s != check.value)
        ):
            yield f"a greeting after {check.value} s that nobody heard"
        if check.rule == "silence_limit" and not record.silences:
            yield "a silence that nobody heard"
        if check.rule == "interruptions" and (speech is None or speech.operator_interruptions is None):
            yield "interruptions that nobody heard"
        if check.rule == "hold_limit" and not any(hold.by is Side.OPERATOR for hold in record.holds):
            yield "a hold that nobody saw"
    if speech is not None and None in {speech.operator_s, speech.client_s}:
        mutual = (speech.overlap_s, speech.operator_interruptions, speech.client_interruptions)
        if mutual != (None, None, None) or record.silences is not None:
            yield "what both said at once, where one could not be heard"
