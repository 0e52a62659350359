"""The rules of the service standard that a call's events can decide, each held against one call.

The wording and the numbers are the hotline's; `Profile` names the source of each. A rule whose value was not
observed is not applicable: nobody is judged by a missing number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from callsteward.config.profile import Profile
from callsteward.record.call import Direction, Party, RuleCheck, RuleResult

_INBOUND: Final = Direction.INBOUND
_INTERNAL: Final = Direction.INTERNAL
_MET: Final = RuleResult.MET
_BROKEN: Final = RuleResult.BROKEN
_NOT_APPLICABLE: Final = RuleResult.NOT_APPLICABLE
_CLIENT: Final = Party.CLIENT
_OPERATOR: Final = Party.OPERATOR
_RATING: Final = Direction.RATING


class Measured:
    """The measures that the rules are held against. Seconds; None for a value that was not observed."""

    __slots__ = (
        "answer_latency_s",
        "connected",
        "consultation_s",
        "direction",
        "first_operator_word_s",
        "greeting_heard",
        "handed_over",
        "holds_s",
        "hung_up_first",
        "left_waiting",
        "longest_ring_s",
        "longest_silence_s",
        "operator_interruptions",
        "registered_s",
        "tagged",
        "ticket",
        "transfers",
    )

    def __init__(
        self,
        *,
        direction: Direction,
        hung_up_first: Party,
        connected: bool,
        answer_latency_s: float | None,
        longest_ring_s: float | None,
        first_operator_word_s: float | None,
        greeting_heard: bool,
        longest_silence_s: float | None,
        holds_s: Sequence[tuple[float, float]],
        consultation_s: float | None,
        operator_interruptions: int | None,
        transfers: int,
        tagged: bool = False,
        ticket: bool = False,
        registered_s: float | None = None,
        handed_over: bool = False,
        left_waiting: bool = False,
    ) -> None:
        self.direction = direction
        self.hung_up_first = hung_up_first
        self.connected = connected
        self.answer_latency_s = answer_latency_s
        self.longest_ring_s = longest_ring_s
        self.first_operator_word_s = first_operator_word_s
        # The talk's beginning was observed, with the talk detector on.
        self.greeting_heard = greeting_heard
        self.longest_silence_s = longest_silence_s
        # Each hold by an operator with the limit for that operator's grade.
        self.holds_s = holds_s
        self.consultation_s = consultation_s
        self.operator_interruptions = operator_interruptions
        self.transfers = transfers
        # Tags are in use, so that a missing one means something.
        self.tagged = tagged
        self.ticket = ticket
        # When the tag `registered` came, counted from the talk's end.
        self.registered_s = registered_s
        # The operator left the talk to the rating: that is no hang-up.
        self.handed_over = handed_over
        # After the talk the client waited for another operator without success.
        self.left_waiting = left_waiting


class Rules:
    """A profile prepared for call after call: the results that most calls have are made once."""

    __slots__ = (
        "_answer_limit_s",
        "_greeting_within_s",
        "_hold_limit_s",
        "_interruptions_limit",
        "_last_by_client",
        "_max_transfers",
        "_no_hold",
        "_no_silence",
        "_no_talk",
        "_no_transfer",
        "_not_registered",
        "_registered_within_s",
        "_silence_limit_s",
        "_talk_limit_s",
        "_ticket_needed",
    )

    def __init__(self, profile: Profile) -> None:
        self._answer_limit_s = profile.answer_limit_s
        self._greeting_within_s = profile.greeting_within_s
        self._silence_limit_s = profile.silence_limit_s
        self._hold_limit_s = profile.hold_limit_s
        self._talk_limit_s = profile.talk_limit_s
        self._interruptions_limit = profile.interruptions_limit
        self._max_transfers = float(profile.max_transfers)
        self._ticket_needed = profile.transfer_needs_ticket
        self._last_by_client = profile.operator_hangs_up_last
        self._registered_within_s = profile.registered_within_s
        self._no_silence = _silence_limit(0.0, self._silence_limit_s)
        self._no_hold = RuleCheck("hold_limit", _MET, 0.0, self._hold_limit_s)
        self._no_transfer = _at_most("transfers", 0.0, self._max_transfers)
        self._not_registered = registered_within(None, self._registered_within_s)
        # The rules about a talk, for a call without one.
        self._no_talk: tuple[RuleCheck, ...] = (
            RuleCheck("greeting", _NOT_APPLICABLE, None, self._greeting_within_s),
            RuleCheck("silence_limit", _NOT_APPLICABLE, None, self._silence_limit_s),
            RuleCheck("hold_limit", _NOT_APPLICABLE, None, self._hold_limit_s),
            RuleCheck("talk_limit", _NOT_APPLICABLE, None, self._talk_limit_s),
            RuleCheck("interruptions", _NOT_APPLICABLE, None, self._interruptions_limit),
            RuleCheck("transfers", _NOT_APPLICABLE, None, self._max_transfers),
            _NO_TICKET_NEEDED,
            _HANGS_UP_AS_LIKED,
            self._not_registered,
        )

    def evaluate(self, call: Measured) -> tuple[RuleCheck, ...]:
        """Every rule, in the order of the standard."""
        answer, contact = _answer_within(call, self._answer_limit_s), _no_contact_lost(call)
        # Calls among colleagues are not held against a standard for clients.
        if not call.connected or call.direction is _INTERNAL or call.direction is _RATING:
            return (answer, contact, *self._no_talk)
        silence, transfers = call.longest_silence_s, call.transfers
        return (
            answer,
            contact,
            _greeting(call, self._greeting_within_s),
            self._no_silence if silence == 0 else _silence_limit(silence, self._silence_limit_s),
            _hold_limit(call.holds_s) if call.holds_s else self._no_hold,
            _at_most("talk_limit", call.consultation_s, self._talk_limit_s),
            _interruptions(call.operator_interruptions, self._interruptions_limit),
            _at_most("transfers", float(transfers), self._max_transfers) if transfers else self._no_transfer,
            _transfer_with_ticket(call, needed=self._ticket_needed),
            _operator_hangs_up_last(call) if self._last_by_client else _HANGS_UP_AS_LIKED,
            self._not_registered
            if call.registered_s is None
            else registered_within(call.registered_s, self._registered_within_s),
        )


def _at_most(rule: str, value: float | None, limit: float) -> RuleCheck:
    if value is None:
        return RuleCheck(rule, _NOT_APPLICABLE, None, limit)
    return RuleCheck(rule, _MET if value <= limit else _BROKEN, value, limit)


def _answer_within(call: Measured, limit: float) -> RuleCheck:
    """Inbound only: a phone rang. For a call that nobody answered, the phone that rang longest counts."""
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
    return _CONTACT_MADE if call.connected and not call.left_waiting else _CONTACT_LOST


def _greeting(call: Measured, limit: float) -> RuleCheck:
    """An operator who could be heard for longer than the limit and said nothing did not greet."""
    value = call.first_operator_word_s
    if value is None and call.greeting_heard:
        talked = call.consultation_s
        if talked is not None and talked > limit:
            return RuleCheck("greeting", _BROKEN, None, limit)
    return _at_most("greeting", value, limit)


def _silence_limit(longest: float | None, limit: float) -> RuleCheck:
    if longest is None:
        return RuleCheck("silence_limit", _NOT_APPLICABLE, None, limit)
    # A pause of exactly the limit is already too long: shorter pauses are not listed.
    return RuleCheck("silence_limit", _MET if longest < limit else _BROKEN, longest, limit)


def _hold_limit(holds_s: Sequence[tuple[float, float]]) -> RuleCheck:
    """The hold that exceeded its operator's limit by most."""
    furthest = holds_s[0] if len(holds_s) == 1 else max(holds_s, key=lambda hold: hold[0] - hold[1])
    return _at_most("hold_limit", *furthest)


def _interruptions(value: int | None, limit: int | None) -> RuleCheck:
    if value is None or limit is None:
        counted = None if value is None else float(value)
        return RuleCheck("interruptions", _NOT_APPLICABLE, counted, limit)
    return _at_most("interruptions", float(value), float(limit))


_NO_TICKET_NEEDED: Final = RuleCheck("transfer_with_ticket", _NOT_APPLICABLE, None, limit=True)


def _transfer_with_ticket(call: Measured, *, needed: bool) -> RuleCheck:
    """A ticket that comes after the call's end was not there when the client was transferred."""
    if not (needed and call.tagged and call.transfers):
        return _NO_TICKET_NEEDED
    return RuleCheck("transfer_with_ticket", _MET if call.ticket else _BROKEN, call.ticket, limit=True)


def registered_within(after_s: float | None, limit: float) -> RuleCheck:
    """`after_s`: from the talk's end to the tag `registered`.

    When the record is made the limit has not passed yet: a call that is not registered by then is not judged.
    """
    return _at_most("registered_within", after_s, limit)


_HANGS_UP_AS_LIKED: Final = RuleCheck("operator_hangs_up_last", _NOT_APPLICABLE, None, None)


_HANDED_OVER: Final = RuleCheck("operator_hangs_up_last", _MET, "hand_over", _CLIENT)


def _operator_hangs_up_last(call: Measured) -> RuleCheck:
    if call.handed_over:
        return _HANDED_OVER
    first = call.hung_up_first
    result = _BROKEN if first is _OPERATOR else _MET if first is _CLIENT else _NOT_APPLICABLE
    return RuleCheck("operator_hangs_up_last", result, first, _CLIENT)
