"""The rules of the service standard that a call's events can decide, each held against one call.

The wording and the numbers are the hotline's; `Profile` names the source of each. A rule whose value
was not observed is not applicable: nobody is judged by a number that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from callsteward.calls.record import Direction, Outcome, Party, RuleCheck, RuleResult
from callsteward.standard.profile import Profile


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at. Seconds; None where it was not observed."""

    direction: Direction
    outcome: Outcome
    hung_up_first: Party
    connected: bool
    answer_latency_s: float | None
    longest_ring_s: float | None
    first_operator_word_s: float | None
    greeting_heard: bool
    """The talk's beginning was seen, with the talk detector on."""
    longest_silence_s: float | None
    holds_s: Sequence[tuple[float, float]]
    """Each hold by an operator with the limit for that operator's grade."""
    consultation_s: float | None
    operator_interruptions: int | None
    transfers: int


def evaluate(call: Measured, profile: Profile) -> tuple[RuleCheck, ...]:
    """Every rule, in the order of the standard."""
    return (
        _answer_within(call, profile),
        _no_contact_lost(call),
        _greeting(call, profile),
        _silence_limit(call, profile),
        _hold_limit(call, profile),
        _at_most("talk_limit", _served(call, call.consultation_s), profile.talk_limit_s),
        _interruptions(call, profile),
        _at_most(
            "transfers",
            float(call.transfers) if call.connected and _judged(call) else None,
            float(profile.max_transfers),
        ),
        _operator_hangs_up_last(call, profile),
    )


def _judged(call: Measured) -> bool:
    """Talks among colleagues are not held against a standard for clients."""
    return call.direction is not Direction.INTERNAL


def _served(call: Measured, value: float | None) -> float | None:
    return value if call.connected and _judged(call) else None


def _check(
    rule: str, *, met: bool, value: float | bool | str | None, limit: float | bool | None
) -> RuleCheck:
    return RuleCheck(rule, RuleResult.MET if met else RuleResult.BROKEN, value, limit)


def _not_applicable(rule: str, limit: float | bool | None, value: float | None = None) -> RuleCheck:
    return RuleCheck(rule, RuleResult.NOT_APPLICABLE, value, limit)


def _at_most(rule: str, value: float | None, limit: float) -> RuleCheck:
    if value is None:
        return _not_applicable(rule, limit)
    return _check(rule, met=value <= limit, value=value, limit=limit)


def _answer_within(call: Measured, profile: Profile) -> RuleCheck:
    """Inbound only: a phone rang. Of a call nobody answered, the phone that rang longest speaks."""
    limit = profile.answer_limit_s
    if call.direction is not Direction.INBOUND:
        return _not_applicable("answer_within", limit)
    if call.answer_latency_s is not None:
        return _at_most("answer_within", call.answer_latency_s, limit)
    if not call.connected and call.longest_ring_s is not None and call.longest_ring_s > limit:
        return _check("answer_within", met=False, value=call.longest_ring_s, limit=limit)
    return _not_applicable("answer_within", limit)


def _no_contact_lost(call: Measured) -> RuleCheck:
    if call.direction is not Direction.INBOUND:
        return _not_applicable("no_contact_lost", limit=True)
    return _check("no_contact_lost", met=call.connected, value=call.connected, limit=True)


def _greeting(call: Measured, profile: Profile) -> RuleCheck:
    """An operator who was listened to for longer than the limit and said nothing did not greet."""
    limit = profile.greeting_within_s
    talked = _served(call, call.consultation_s)
    if call.greeting_heard and call.first_operator_word_s is None and talked is not None and talked > limit:
        return RuleCheck("greeting", RuleResult.BROKEN, None, limit)
    return _at_most("greeting", _served(call, call.first_operator_word_s), limit)


def _silence_limit(call: Measured, profile: Profile) -> RuleCheck:
    limit = profile.silence_limit_s
    longest = _served(call, call.longest_silence_s)
    if longest is None:
        return _not_applicable("silence_limit", limit)
    # A pause of exactly the limit is the first that is too long: only such pauses are listed.
    return _check("silence_limit", met=longest < limit, value=longest, limit=limit)


def _hold_limit(call: Measured, profile: Profile) -> RuleCheck:
    if not (call.connected and _judged(call)):
        return _not_applicable("hold_limit", profile.hold_limit_s)
    if not call.holds_s:
        return _check("hold_limit", met=True, value=0.0, limit=profile.hold_limit_s)
    # The hold that went furthest over the limit of whoever held.
    value, limit = max(call.holds_s, key=lambda hold: hold[0] - hold[1])
    return _check("hold_limit", met=value <= limit, value=value, limit=limit)


def _interruptions(call: Measured, profile: Profile) -> RuleCheck:
    value = call.operator_interruptions
    limit = profile.interruptions_limit
    if value is None or not (call.connected and _judged(call)):
        return _not_applicable("interruptions", limit)
    if limit is None:
        return _not_applicable("interruptions", None, float(value))
    return _check("interruptions", met=value <= limit, value=float(value), limit=float(limit))


def _operator_hangs_up_last(call: Measured, profile: Profile) -> RuleCheck:
    rule = "operator_hangs_up_last"
    if not (profile.operator_hangs_up_last and call.connected and _judged(call)):
        return _not_applicable(rule, None)
    if call.hung_up_first is Party.OPERATOR:
        return RuleCheck(rule, RuleResult.BROKEN, Party.OPERATOR.value, Party.CLIENT.value)
    if call.hung_up_first is Party.CLIENT:
        return RuleCheck(rule, RuleResult.MET, Party.CLIENT.value, Party.CLIENT.value)
    return RuleCheck(rule, RuleResult.NOT_APPLICABLE, call.hung_up_first.value, Party.CLIENT.value)
