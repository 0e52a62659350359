"""The numbers in an interval row: each with its definition, and how a call adds to it.

One table for all of it. The schema's descriptions, the order of a CSV's columns and the sums are made from
it, so each number is what its description says. Pure.

Durations are summed in whole milliseconds and given in seconds, so that no sum depends on its order.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from callsteward.callback.states import FINAL, CallbackState
from callsteward.intervals.scope import Contact, Group
from callsteward.record.call import AttemptResult, Decision, Outcome, Party


class Unit(Enum):
    COUNT = "count"
    SECONDS = "seconds"


class Measure(msgspec.Struct, frozen=True):
    """One number of a row: the sum of `adds` over the calls of a group.

    `adds` gives None if the call did not show the value (a duration in ms otherwise). The sum is null if the
    group has calls and none of them showed it, and 0 if the group has none.
    """

    name: str
    unit: Unit
    group: Group
    meaning: str
    adds: Callable[[Contact, str | None], int | None]
    of_line: bool = True
    of_operator: bool = True


def _one(_contact: Contact, _operator: str | None) -> int:
    return 1


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _contact_ms(contact: Contact, _operator: str | None) -> int | None:
    talk_s, hold_s = contact.record.talk_s, contact.record.hold_s
    return None if talk_s is None or hold_s is None else _ms(talk_s + hold_s)


def _ended(outcome: Outcome) -> Callable[[Contact, str | None], int]:
    return lambda contact, _: contact.record.outcome is outcome


def wait_ms(contact: Contact, _operator: str | None = None) -> int | None:
    """How long the client waited, None if nobody saw it."""
    return _ms(contact.record.wait_s)


def _wait_unknown(contact: Contact, _operator: str | None) -> int:
    return contact.record.wait_s is None


def _silences(contact: Contact, _operator: str | None) -> int | None:
    silences = contact.record.silences
    return None if silences is None else len(silences)


def _transfers(contact: Contact, operator: str | None) -> int:
    return sum(operator is None or transfer.by == operator for transfer in contact.record.transfers)


def _hung_up(contact: Contact, operator: str | None) -> int | None:
    record = contact.record
    if record.hangup.first is Party.UNKNOWN:
        return None
    return record.hangup.first is Party.OPERATOR and (operator is None or record.operator == operator)


def _dropped(outcome: Outcome) -> Callable[[Contact, str | None], int]:
    # If two operators served the client, the one who had them when the connection broke.
    return lambda contact, operator: (
        contact.record.outcome is outcome and (operator is None or contact.record.operator == operator)
    )


def _due(contact: Contact, _operator: str | None) -> int:
    # A callback that was requested after the record was made is in the ledger only.
    return contact.record.callback.decision is Decision.DUE or contact.callback not in {
        None,
        CallbackState.SUPPRESSED,
    }


def _came_to(*states: CallbackState) -> Callable[[Contact, str | None], int | None]:
    def adds(contact: Contact, _operator: str | None) -> int | None:
        if contact.callback is None:
            # Due, and not in the ledger: callbacks are not carried out, so there is no result.
            return None if _due(contact, None) else 0
        return contact.callback in states

    return adds


def _open_callback(contact: Contact, _operator: str | None) -> int:
    return contact.callback is not None and contact.callback not in FINAL


def _rated(contact: Contact, _operator: str | None) -> int:
    return contact.record.rating.score is not None


def _score(contact: Contact, _operator: str | None) -> int:
    return contact.record.rating.score or 0


def _rings(contact: Contact, operator: str | None) -> int:
    return contact.record.rang(operator)


_MISSED = frozenset({AttemptResult.NO_ANSWER, AttemptResult.REJECTED})


def _rings_missed(contact: Contact, operator: str | None) -> int:
    return contact.record.rang(operator, _MISSED)


def _unknown(_contact: Contact, _operator: str | None) -> None:
    return None


_C, _S = Unit.COUNT, Unit.SECONDS
_OFFERED, _ANSWERED, _ABANDONED = Group.OFFERED, Group.ANSWERED, Group.ABANDONED
_SERVED, _OWN = Group.SERVED, Group.OWN

MEASURES: tuple[Measure, ...] = (
    Measure(
        "offered",
        _C,
        _OFFERED,
        "Calls from clients that arrived in the interval. A call belongs to the interval of"
        " its arrival, with all later results. In a line's row: offered = answered +"
        " abandoned + not_taken. In an operator's row: the calls that rang at their phone"
        " or that they served, each counted once.",
        _one,
    ),
    Measure(
        "answered",
        _C,
        _ANSWERED,
        "Offered calls that an operator answered; in an operator's row, those that this operator answered.",
        _one,
    ),
    Measure(
        "abandoned",
        _C,
        _ABANDONED,
        "Offered calls whose client gave up, or whose connection was lost, before anybody"
        " answered; short abandons are included. In an operator's row: those that had rung"
        " at this operator's phone.",
        _one,
    ),
    Measure(
        "short_abandoned",
        _C,
        _ABANDONED,
        "Abandoned calls whose client left within the profile's short_abandon_s.",
        _ended(Outcome.SHORT_ABANDONED),
    ),
    Measure(
        "not_taken",
        _C,
        _OFFERED,
        "Offered calls that ended unanswered and not by the client: no answer within the"
        " queue's time, every phone busy, or the call failed.",
        lambda contact, _: contact.record.outcome in {Outcome.NO_ANSWER, Outcome.BUSY, Outcome.FAILED},
        of_operator=False,
    ),
    Measure(
        "wait_s_sum",
        _S,
        _OFFERED,
        "Waits of all offered calls, from arrival to answer or to the end: clients who gave"
        " up are included, so that patience can be estimated (Erlang A: abandoned /"
        " wait_s_sum is the abandonment rate).",
        wait_ms,
    ),
    Measure(
        "answered_wait_s_sum",
        _S,
        _ANSWERED,
        "Waits of answered calls; divided by (answered - answered_wait_unknown) it is the ASA.",
        wait_ms,
    ),
    Measure("abandon_wait_s_sum", _S, _ABANDONED, "Waits of abandoned calls.", wait_ms),
    Measure(
        "answered_wait_unknown",
        _C,
        _ANSWERED,
        "Answered calls whose wait nobody saw (the daemon was down): they are in no wait"
        " sum and no service level.",
        _wait_unknown,
    ),
    Measure(
        "abandoned_wait_unknown",
        _C,
        _ABANDONED,
        "Abandoned calls whose wait nobody saw: they are in no wait sum and no service level.",
        _wait_unknown,
    ),
    Measure(
        "talk_s_sum",
        _S,
        _SERVED,
        "Client and operator connected, holds taken out: talk excludes hold, talk_s_sum +"
        " hold_s_sum is the contact time. Of answered calls; in an operator's row only of"
        " calls that no other operator served.",
        lambda contact, _: _ms(contact.record.talk_s),
    ),
    Measure(
        "hold_s_sum",
        _S,
        _SERVED,
        "Time in which the client was on hold, in the calls of talk_s_sum.",
        lambda contact, _: _ms(contact.record.hold_s),
    ),
    Measure(
        "hold_count",
        _C,
        _SERVED,
        "Holds by either side, in the calls of talk_s_sum.",
        lambda contact, _: len(contact.record.holds),
    ),
    Measure(
        "calls_with_hold",
        _C,
        _SERVED,
        "Calls of talk_s_sum with at least one hold.",
        lambda contact, _: bool(contact.record.holds),
    ),
    Measure(
        "silence_count",
        _C,
        _SERVED,
        "Silences of at least the profile's silence_limit_s, in the calls of talk_s_sum in"
        " which both sides could be heard (calls_listened); null if there was no such call.",
        _silences,
    ),
    Measure(
        "calls_listened",
        _C,
        _SERVED,
        "Calls of talk_s_sum in which both sides could be heard (a talk event of each"
        " endpoint had been seen).",
        lambda contact, _: contact.record.silences is not None,
    ),
    Measure(
        "acw_s_sum",
        _S,
        _ANSWERED,
        "After-call work. Asterisk does not report it, so it is null if any call was answered.",
        _unknown,
    ),
    Measure(
        "transfers",
        _C,
        _ANSWERED,
        "Transfers, completed or failed; in an operator's row those by this operator.",
        _transfers,
    ),
    Measure(
        "operator_hung_up_first",
        _C,
        _ANSWERED,
        "Answered calls in which the operator hung up first; in an operator's row this"
        " operator. Calls for which nobody saw who hung up are left out.",
        _hung_up,
    ),
    Measure(
        "early_drops",
        _C,
        _ANSWERED,
        "Answered calls that ended before the operator's greeting was over, by the client"
        " or by a lost connection. In an operator's row: those in which this operator had"
        " the client last.",
        _dropped(Outcome.EARLY_DROP),
    ),
    Measure(
        "mid_dialogue_drops",
        _C,
        _ANSWERED,
        "Answered calls whose connection broke after the greeting. In an operator's row:"
        " those in which this operator had the client last.",
        _dropped(Outcome.MID_DIALOGUE_DROP),
    ),
    Measure(
        "callbacks_due",
        _C,
        _OWN,
        "Calls of this interval, in any direction, that made a callback due, or for which one was requested.",
        _due,
    ),
    Measure(
        "callbacks_reached",
        _C,
        _OWN,
        "Of those, the client was reached. Null if callbacks are due and the daemon does not carry them out.",
        _came_to(CallbackState.REACHED),
    ),
    Measure(
        "callbacks_not_reached",
        _C,
        _OWN,
        "Of those, the client was dialled and not reached; null like callbacks_reached.",
        _came_to(CallbackState.NOT_REACHED),
    ),
    Measure(
        "callbacks_open",
        _C,
        _OWN,
        "Of those, the callback is not over yet. A callback in none of the three was"
        " cancelled, expired or suppressed.",
        _open_callback,
    ),
    Measure(
        "ratings_count",
        _C,
        _OWN,
        "Ratings that clients gave, in the interval of the call in which they gave them (a"
        " rating call is one).",
        _rated,
    ),
    Measure("ratings_sum", _C, _OWN, "Sum of the scores that clients gave.", _score),
    Measure(
        "incomplete",
        _C,
        _OWN,
        "Calls that were not completely observed: their durations are lower bounds.",
        lambda contact, _: not contact.record.complete,
    ),
    Measure(
        "outbound",
        _C,
        Group.OUTBOUND,
        "Calls to clients that began in the interval, callbacks included; in an operator's"
        " row those that were answered.",
        _one,
    ),
    Measure(
        "outbound_answered",
        _C,
        Group.OUTBOUND,
        "Of those, the client answered.",
        lambda contact, _: (
            contact.record.outcome in {Outcome.COMPLETED, Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP}
        ),
        of_operator=False,
    ),
    Measure(
        "outbound_talk_s_sum",
        _S,
        Group.OUTBOUND,
        "Talk in calls to clients, holds taken out.",
        lambda contact, _: _ms(contact.record.talk_s),
    ),
    Measure(
        "shared",
        _C,
        Group.SHARED,
        "Answered calls that another operator served too (a transfer, a colleague asked):"
        " included in answered, but not in the sums of talk and hold, since no operator's"
        " part of it is known.",
        _one,
        of_line=False,
    ),
    Measure(
        "shared_contact_s_sum",
        _S,
        Group.SHARED,
        "Talk and hold of the shared calls, of all their operators together.",
        _contact_ms,
        of_line=False,
    ),
    Measure(
        "rings", _C, _OFFERED, "Times the operator's phone was dialled for a client.", _rings, of_line=False
    ),
    Measure(
        "rings_missed",
        _C,
        _OFFERED,
        "Of those, not answered or rejected; a ring that ended because somebody else"
        " answered or the client left is not missed.",
        _rings_missed,
        of_line=False,
    ),
)

LINE_MEASURES = tuple(measure for measure in MEASURES if measure.of_line)
OPERATOR_MEASURES = tuple(measure for measure in MEASURES if measure.of_operator)

CONCURRENT = (
    "The most calls with a client on the line at one moment of the interval, waiting or"
    " talking, in any direction; including calls that arrived earlier and were still on."
)
STAFFED = (
    "Seconds of the interval in which Asterisk could reach the operator's phone (device state neither"
    " UNAVAILABLE nor INVALID nor UNKNOWN). Null where the phone's state was not known throughout"
    " observed_s."
)
AVAILABLE = (
    "Of those, the phone was not in use (device state NOT_INUSE): ready for a call. Null as staffed_s."
)
