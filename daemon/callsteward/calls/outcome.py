"""How a call ended, and what that means for a callback. Pure policy; the thresholds are in the profile."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from callsteward.record.call import (
    AttemptResult,
    CallbackDecision,
    Confidence,
    Decision,
    Direction,
    Hangup,
    Outcome,
    Party,
)

_INTERNAL: Final = Direction.INTERNAL
_OUTBOUND: Final = Direction.OUTBOUND
_CLIENT: Final = Party.CLIENT
_OPERATOR: Final = Party.OPERATOR
_PBX: Final = Party.PBX
_NETWORK: Final = Party.NETWORK
_COMPLETED: Final = Outcome.COMPLETED
_MID_DIALOGUE_DROP: Final = Outcome.MID_DIALOGUE_DROP
_FAILED_RESULTS: Final = frozenset({AttemptResult.UNAVAILABLE, AttemptResult.FAILED})
_ORDINARY_CAUSES: Final = frozenset({None, 0, 16, 18, 19, 31, 127})


def unanswered(
    direction: Direction,
    hangup: Hangup,
    attempts: Collection[AttemptResult],
    client_dial: Outcome | None,
    wait_s: float | None,
    short_abandon_s: float,
    *,
    client_up: bool = False,
) -> Outcome:
    """The outcome of a call in which client and operator were never connected.

    `client_dial`: in an outbound call, the result of the last try to reach the client. `client_up`: the
    client answered, and no operator was there.
    """
    if direction is _OUTBOUND and not (client_up and hangup.first in {_CLIENT, _NETWORK}):
        return client_dial or Outcome.NO_ANSWER
    if hangup.first is _CLIENT or hangup.first is _NETWORK:
        short = wait_s is not None and wait_s < short_abandon_s
        return Outcome.SHORT_ABANDONED if short else Outcome.ABANDONED
    if attempts and all(result in {AttemptResult.BUSY, AttemptResult.REJECTED} for result in attempts):
        return Outcome.BUSY
    if attempts and all(result in _FAILED_RESULTS for result in attempts):
        return Outcome.FAILED
    if not attempts and hangup.cause not in _ORDINARY_CAUSES:
        return Outcome.FAILED  # the dial got no further than Asterisk
    if hangup.first is Party.UNKNOWN:
        return Outcome.ABANDONED
    return Outcome.NO_ANSWER


def connected(
    direction: Direction, hangup: Hangup, *, greeted: bool, heuristic_drop: bool, tagged: bool = False
) -> Outcome:
    """The outcome of a call that was answered. `greeted`: the greeting was over.

    `tagged`: an operator or integration said that the connection broke, whoever's BYE ended the call.

    The standard (callback section, points 1 and 2): a client lost before or during the greeting is not called
    back, a client lost in mid-dialogue is called back once. A plain hang-up is neither.
    """
    first = hangup.first
    if tagged and direction is not _INTERNAL:
        return _MID_DIALOGUE_DROP if greeted else Outcome.EARLY_DROP
    if first is _OPERATOR or direction is _INTERNAL:
        return _COMPLETED
    broke = first is _NETWORK or _pbx_went_away(hangup)
    if not greeted and (broke or first is _CLIENT):
        return Outcome.EARLY_DROP
    if greeted and (broke or (heuristic_drop and first is _CLIENT)):
        return _MID_DIALOGUE_DROP
    return _COMPLETED


def _pbx_went_away(hangup: Hangup) -> bool:
    # A time limit or an administrator's hang-up is intended; a shutdown during the talk is not.
    return hangup.first is _PBX and any("shut down" in item for item in hangup.evidence)


def _not_due(reason: str) -> CallbackDecision:
    return CallbackDecision(Decision.NOT_DUE, reason)


# The result for most calls, made once.
_NOT_ANSWERED: Final = _not_due("not_answered")
_BY_OUTCOME: Final = {
    Outcome.ABANDONED: _NOT_ANSWERED,
    Outcome.SHORT_ABANDONED: _NOT_ANSWERED,
    Outcome.BUSY: _NOT_ANSWERED,
    Outcome.NO_ANSWER: _NOT_ANSWERED,
    Outcome.FAILED: _NOT_ANSWERED,
    Outcome.EARLY_DROP: _not_due("early_drop"),
}
_BY_PARTY: Final = {
    Party.CLIENT: _not_due("client_hung_up"),
    Party.OPERATOR: _not_due("operator_hung_up"),
    Party.PBX: _not_due("pbx_ended"),
}
_HANDED_OVER: Final = _not_due("handed_over")
_AMONG_COLLEAGUES: Final = _not_due("internal")
_BY_THIRD_PARTY: Final = _not_due("third_party_hung_up")
_END_NOT_OBSERVED: Final = _not_due("end_not_observed")


GREETING_NOT_OBSERVED = "greeting_not_observed"
"""The reason of a callback that is due although nobody observed whether the greeting was over."""
TAGGED = "tagged_dropped"
"""The reason of a callback that is due because somebody said that the connection broke."""


def callback(
    direction: Direction,
    outcome: Outcome,
    hangup: Hangup,
    *,
    tagged: bool = False,
    handed_over: bool = False,
    greeted_by_default: bool = False,
) -> CallbackDecision:
    """The decision whether the call makes a callback due. There is always one, with its reason.

    `greeted_by_default`: the greeting counts as over since nobody observed it. A client who is called back
    needlessly has lost a minute; a client dropped in mid-dialogue and not called back has lost their contact.
    """
    if handed_over and not tagged:
        return _HANDED_OVER
    if direction is _INTERNAL:
        return _AMONG_COLLEAGUES
    if outcome is _MID_DIALOGUE_DROP:
        if direction in {Direction.CALLBACK, Direction.RATING}:
            return CallbackDecision(Decision.SUPPRESSED, f"was_{direction.value}")
        if tagged:
            return CallbackDecision(Decision.DUE, TAGGED)
        return CallbackDecision(
            Decision.DUE, GREETING_NOT_OBSERVED if greeted_by_default else "mid_dialogue_drop"
        )
    decision = _BY_OUTCOME.get(outcome) or _BY_PARTY.get(hangup.first)
    if decision is not None:
        return decision
    return _END_NOT_OBSERVED if hangup.confidence is Confidence.UNKNOWN else _BY_THIRD_PARTY
