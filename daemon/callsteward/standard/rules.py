"""The rules of the service standard that a call's events can decide, each held against one call.

The wording and the numbers are the hotline's; `Profile` names the source of each. A rule whose value
was not observed is not applicable: nobody is judged by a number that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from callsteward.calls.record import Direction, Outcome, Party, RuleCheck, RuleResult
from callsteward.standard.profile import Profile

_INBOUND: Final = Direction.INBOUND
_INTERNAL: Final = Direction.INTERNAL
_MET: Final = RuleResult.MET
_BROKEN: Final = RuleResult.BROKEN
_NOT_APPLICABLE: Final = RuleResult.NOT_APPLICABLE
_CLIENT: Final = Party.CLIENT
_OPERATOR: Final = Party.OPERATOR
_RATING: Final = Direction.RATING


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
    tagged: bool = False
    """Tags are in use, so that a missing one means something."""
    ticket: bool = False
    registered_s: float | None = None
    """The tag `registered`, after the talk's end."""
    handed_over: bool = False
    """The operator left the talk to the rating: that is no hang-up."""


def evaluate(call: Measured, profile: Profile) -> tuple[RuleCheck, ...]:
    """Every rule, in the order of the standard."""
    # Talks among colleagues are not held against a standard for clients.
    direction = call.direction
    served = call.connected and direction is not _INTERNAL and direction is not _RATING
    return (
        _answer_within(call, profile.answer_limit_s),
        _no_contact_lost(call),
        *(_rules_of_talk(call, profile) if served else _no_talk(profile)),
    )


def _rules_of_talk(call: Measured, profile: Profile) -> tuple[RuleCheck, ...]:
    return (
        _greeting(call, profile.greeting_within_s),
        _silence_limit(call, profile.silence_limit_s),
        _hold_limit(call, profile.hold_limit_s),
        _at_most("talk_limit", call.consultation_s, profile.talk_limit_s),
        _interruptions(call, profile.interruptions_limit),
        _at_most("transfers", float(call.transfers), float(profile.max_transfers)),
        _transfer_with_ticket(call, needed=profile.transfer_needs_ticket),
        _operator_hangs_up_last(call) if profile.operator_hangs_up_last else _HANGS_UP_AS_LIKED,
        registered_within(call.registered_s, None, profile.registered_within_s),
    )


def _no_talk(profile: Profile) -> tuple[RuleCheck, ...]:
    """The rules of a talk with a client where there was none."""
    return (
        RuleCheck("greeting", _NOT_APPLICABLE, None, profile.greeting_within_s),
        RuleCheck("silence_limit", _NOT_APPLICABLE, None, profile.silence_limit_s),
        RuleCheck("hold_limit", _NOT_APPLICABLE, None, profile.hold_limit_s),
        RuleCheck("talk_limit", _NOT_APPLICABLE, None, profile.talk_limit_s),
        RuleCheck("interruptions", _NOT_APPLICABLE, None, profile.interruptions_limit),
        RuleCheck("transfers", _NOT_APPLICABLE, None, float(profile.max_transfers)),
        _NO_TICKET_NEEDED,
        _HANGS_UP_AS_LIKED,
        registered_within(None, None, profile.registered_within_s),
    )


def _at_most(rule: str, value: float | None, limit: float) -> RuleCheck:
    if value is None:
        return RuleCheck(rule, _NOT_APPLICABLE, None, limit)
    return RuleCheck(rule, _MET if value <= limit else _BROKEN, value, limit)


def _answer_within(call: Measured, limit: float) -> RuleCheck:
    """Inbound only: a phone rang. Of a call nobody answered, the phone that rang longest speaks."""
    value: float | None = None
    if call.direction is _INBOUND:
        value = call.answer_latency_s
        if value is None and not call.connected:
            longest = call.longest_ring_s
            value = longest if longest is not None and longest > limit else None
    return _at_most("answer_within", value, limit)


_CONTACT_MADE: Final = RuleCheck("no_contact_lost", _MET, value=True, limit=True)
_CONTACT_LOST: Final = RuleCheck("no_contact_lost", _BROKEN, value=False, limit=True)
_NO_CONTACT: Final = RuleCheck("no_contact_lost", _NOT_APPLICABLE, None, limit=True)


def _no_contact_lost(call: Measured) -> RuleCheck:
    if call.direction is not _INBOUND:
        return _NO_CONTACT
    return _CONTACT_MADE if call.connected else _CONTACT_LOST


def _greeting(call: Measured, limit: float) -> RuleCheck:
    """An operator who was listened to for longer than the limit and said nothing did not greet."""
    value = call.first_operator_word_s
    if value is None and call.greeting_heard:
        talked = call.consultation_s
        if talked is not None and talked > limit:
            return RuleCheck("greeting", _BROKEN, None, limit)
    return _at_most("greeting", value, limit)


def _silence_limit(call: Measured, limit: float) -> RuleCheck:
    longest = call.longest_silence_s
    if longest is None:
        return RuleCheck("silence_limit", _NOT_APPLICABLE, None, limit)
    # A pause of exactly the limit is the first that is too long: only such pauses are listed.
    return RuleCheck("silence_limit", _MET if longest < limit else _BROKEN, longest, limit)


def _hold_limit(call: Measured, limit: float) -> RuleCheck:
    if not call.holds_s:
        return RuleCheck("hold_limit", _MET, 0.0, limit)
    # The hold that went furthest over the limit of whoever held.
    return _at_most("hold_limit", *max(call.holds_s, key=lambda hold: hold[0] - hold[1]))


def _interruptions(call: Measured, limit: int | None) -> RuleCheck:
    value = call.operator_interruptions
    if value is None or limit is None:
        counted = None if value is None else float(value)
        return RuleCheck("interruptions", _NOT_APPLICABLE, counted, limit)
    return _at_most("interruptions", float(value), float(limit))


_NO_TICKET_NEEDED: Final = RuleCheck("transfer_with_ticket", _NOT_APPLICABLE, None, limit=True)


def _transfer_with_ticket(call: Measured, *, needed: bool) -> RuleCheck:
    """A ticket that comes after the call has ended was not there when the client was transferred."""
    if not (needed and call.tagged and call.transfers):
        return _NO_TICKET_NEEDED
    return RuleCheck("transfer_with_ticket", _MET if call.ticket else _BROKEN, call.ticket, limit=True)


def registered_within(after_s: float | None, waited_s: float | None, limit: float) -> RuleCheck:
    """`after_s`: the tag `registered`, from the talk's end; `waited_s`: time since then without it.

    When the record is made the time is not over yet: a call that is not registered by then is not judged.
    """
    if after_s is None and waited_s is not None and waited_s > limit:
        return RuleCheck("registered_within", _BROKEN, None, limit)
    return _at_most("registered_within", after_s, limit)


_HANGS_UP_AS_LIKED: Final = RuleCheck("operator_hangs_up_last", _NOT_APPLICABLE, None, None)


_HANDED_OVER: Final = RuleCheck("operator_hangs_up_last", _MET, "hand_over", _CLIENT)


def _operator_hangs_up_last(call: Measured) -> RuleCheck:
    if call.handed_over:
        return _HANDED_OVER
    first = call.hung_up_first
    result = _BROKEN if first is _OPERATOR else _MET if first is _CLIENT else _NOT_APPLICABLE
    return RuleCheck("operator_hangs_up_last", result, first, _CLIENT)
