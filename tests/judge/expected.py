"""The expected result of each scenario, by the standard and the contract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

ANY: Any = "any"
"""Of a fact that a scenario does not decide."""


class Either(tuple[Any, ...]):
    """The values that a fact may have where the phones and the contract leave a choice."""

    __slots__ = ()


def either(*values: Any) -> Any:
    """Any of several values, for a field of `Expected` of whatever type."""
    return Either(values)


@dataclass(frozen=True)
class Expected:
    """The record of a scenario's (first) client. `attempts`: (operator, result) in order of ringing."""

    outcome: str = "completed"
    first: str = "client"
    confidence: str = "certain"
    operator: str | None = "101"
    direction: str = "inbound"
    answered_by: str | None = "101"
    attempts: tuple[tuple[str, str], ...] = (("101", "answered"),)
    transfers: tuple[tuple[str, str, str, str], ...] = ()
    callback: tuple[str, str] = ("not_due", "client_hung_up")
    lost_side: str | None = None
    holds_like_phones: bool = True
    speech_like_phones: bool = True
    others: tuple[tuple[str, str], ...] = field(default=())
    """Further records of the same stream: (direction, outcome) in order of ending."""


_OPERATOR_BYE = Expected(first="operator", callback=("not_due", "operator_hung_up"))
_LOST = Expected(
    outcome="mid_dialogue_drop",
    first="network",
    callback=("due", "mid_dialogue_drop"),
    speech_like_phones=False,
)
_UNANSWERED = Expected(
    operator=None, answered_by=None, callback=("not_due", "not_answered"), speech_like_phones=False
)
_TO_102 = (("101", "answered"), ("102", "answered"))

EXPECTED: dict[str, Expected] = {
    "dial_client_bye": Expected(),
    "dial_operator_bye": _OPERATOR_BYE,
    "dial_hold_twice": Expected(),
    "client_hold": _OPERATOR_BYE,
    "hangup_while_on_hold": Expected(),
    "early_greeting": Expected(outcome="early_drop", callback=("not_due", "early_drop")),
    # Nobody spoke a word, so the stream cannot tell a deaf detector from a silent room.
    "early_silent": Expected(speech_like_phones=False),
    "netdrop_client": replace(_LOST, lost_side="client"),
    "netdrop_operator": replace(_LOST, lost_side="operator", speech_like_phones=False),
    "netdrop_early": Expected(
        outcome="early_drop",
        first="network",
        callback=("not_due", "early_drop"),
        lost_side="client",
        speech_like_phones=False,
    ),
    "both_bye": Expected(confidence="likely"),
    "queue_second": Expected(
        operator="102", answered_by="102", attempts=(("101", "no_answer"), ("102", "answered"))
    ),
    "queue_ringall": replace(
        _OPERATOR_BYE,
        operator="102",
        answered_by="102",
        attempts=(("101", "cancelled"), ("102", "answered"), ("103", "cancelled")),
    ),
    "queue_reject": replace(
        _OPERATOR_BYE, operator="102", answered_by="102", attempts=(("101", "rejected"), ("102", "answered"))
    ),
    "queue_abandon": replace(
        _UNANSWERED, outcome="abandoned", attempts=(("101", "no_answer"), ("102", "cancelled"))
    ),
    "queue_timeout": replace(
        _UNANSWERED,
        outcome="no_answer",
        first="pbx",
        confidence="likely",
        attempts=(("101", "no_answer"), ("101", "no_answer")),
    ),
    "queue_no_members_abandon": replace(_UNANSWERED, outcome="abandoned", attempts=()),
    "dial_busy": replace(
        _UNANSWERED, outcome="busy", first="pbx", confidence="likely", attempts=(("101", "busy"),)
    ),
    "dial_reject": replace(
        _UNANSWERED, outcome="busy", first="pbx", confidence="likely", attempts=(("101", "rejected"),)
    ),
    "dial_noanswer": replace(
        _UNANSWERED, outcome="no_answer", first="pbx", confidence="likely", attempts=(("101", "no_answer"),)
    ),
    "dial_unavailable": replace(_UNANSWERED, outcome="failed", first="pbx", confidence="likely", attempts=()),
    "dial_abandon": replace(_UNANSWERED, outcome="abandoned", attempts=(("101", "cancelled"),)),
    "dial_abandon_short": replace(_UNANSWERED, outcome="short_abandoned", attempts=(("101", "cancelled"),)),
    "dial_two": Expected(
        operator="102", answered_by="102", attempts=(("101", "cancelled"), ("102", "answered"))
    ),
    "freepbx_local": _OPERATOR_BYE,
    "local_optimised": _OPERATOR_BYE,
    "blind": Expected(operator="102", attempts=_TO_102, transfers=(("blind", "101", "102", "completed"),)),
    "blind_abandon": Expected(
        attempts=(("101", "answered"), ("102", "cancelled")),
        transfers=(("blind", "101", "102", "failed"),),
    ),
    "blind_noanswer_return": replace(
        _OPERATOR_BYE,
        attempts=(("101", "answered"), ("102", "no_answer"), ("101", "answered")),
        transfers=(("blind", "101", "102", "failed"),),
    ),
    "blind_outside": Expected(
        transfers=(("blind", "101", "+7900***0020", "completed"),), speech_like_phones=False
    ),
    "blind_queue": Expected(
        operator="102",
        attempts=(("101", "answered"), ("101", "no_answer"), ("102", "answered")),
        transfers=(("blind", "101", "2000", "completed"),),
    ),
    # What 101 and 102 say to each other while the client waits is theirs alone.
    "attended": Expected(
        operator="102",
        attempts=_TO_102,
        transfers=(("attended", "101", "102", "completed"),),
        speech_like_phones=False,
    ),
    "attended_queue": Expected(
        operator="102",
        attempts=_TO_102,
        transfers=(("attended", "101", "102", "completed"),),
        speech_like_phones=False,
    ),
    "attended_dtmf": Expected(
        operator="102",
        attempts=_TO_102,
        transfers=(("attended", "101", "102", "completed"),),
        holds_like_phones=False,
        speech_like_phones=False,
    ),
    "three_way": Expected(
        operator="102",
        attempts=_TO_102,
        transfers=(("attended", "101", "102", "completed"),),
        holds_like_phones=False,
        speech_like_phones=False,
    ),
    "attended_back": Expected(speech_like_phones=False, others=(("internal", "completed"),)),
    "attended_outside": Expected(
        first="unknown",
        transfers=(("attended", "101", "+7900***0020", "completed"),),
        callback=("not_due", "third_party_hung_up"),
        speech_like_phones=False,
        others=(("outbound", "completed"),),
    ),
    "blonde": Expected(
        operator="102", attempts=_TO_102, transfers=(("attended", "101", "102", "completed"),)
    ),
    # Of the speech on a leg that picked up, Asterisk's detector misses the last 0.26 s.
    "pickup": Expected(
        operator="102",
        answered_by=None,
        attempts=(("101", "cancelled"),),
        speech_like_phones=False,
    ),
    "pickup_directed": Expected(
        operator="102",
        answered_by=None,
        attempts=(("101", "cancelled"),),
        speech_like_phones=False,
    ),
    "forward": Expected(
        operator="102", answered_by="102", attempts=(("101", "cancelled"), ("102", "answered"))
    ),
    "forward_noanswer": Expected(
        operator="102", answered_by="102", attempts=(("101", "no_answer"), ("102", "answered"))
    ),
    "forward_queue": Expected(
        operator="103", answered_by="103", attempts=(("101", "cancelled"), ("103", "answered"))
    ),
    # The operator's own mobile: it rings and talks in the operator's name.
    "forward_outside": Expected(
        answered_by=None,
        attempts=(("101", "cancelled"), ("101", "answered")),
        speech_like_phones=False,
    ),
    "park_retrieve": Expected(operator="102", transfers=(("blind", "101", "8000", "completed"),)),
    "outbound": Expected(direction="outbound", answered_by=None, attempts=()),
    "outbound_noanswer": replace(
        _UNANSWERED, direction="outbound", outcome="no_answer", first="pbx", confidence="likely", attempts=()
    ),
    # The client's line refused: nobody hung up, the PBX ended it.
    "outbound_busy": replace(
        _UNANSWERED, direction="outbound", outcome="busy", first="pbx", confidence="likely", attempts=()
    ),
    "internal": Expected(
        direction="internal",
        operator="102",
        answered_by="102",
        attempts=(("102", "answered"),),
        callback=("not_due", "internal"),
        speech_like_phones=False,
    ),
    "concurrent": Expected(speech_like_phones=False, others=(("inbound", "completed"),)),
    "silence": Expected(),
    "talkover": Expected(),
    "pbx_hangup": Expected(first="pbx", confidence="likely", callback=("not_due", "pbx_ended")),
    "pbx_hangup_ari": Expected(first="pbx", callback=("not_due", "pbx_ended")),
}

# The same where the detector is known to be armed (asterisk.talk_detect = "on"): silence is silence then.
ARMED: dict[str, Expected] = {
    **EXPECTED,
    "early_silent": Expected(outcome="early_drop", callback=("not_due", "early_drop")),
}

# The nine captures the project began with: extension 100 dials 101, 200 is a queue of 101 then 102.
CAPTURES: dict[str, Expected] = {
    "client_bye": Expected(),
    "early_greeting": EXPECTED["early_greeting"],
    "netdrop": EXPECTED["netdrop_client"],
    "hold2": Expected(),
    "queue_second": EXPECTED["queue_second"],
    "queue_abandon": replace(_UNANSWERED, outcome="short_abandoned", attempts=(("101", "cancelled"),)),
    "blind": EXPECTED["blind"],
    "freepbx_local": Expected(),
    "outbound": EXPECTED["outbound"],
}
