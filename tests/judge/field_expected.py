"""The expected result of each call on the field site, by its phones' clock and the contract.

Answered means that client and operator were connected, and the end is the client's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.judge.expected import ANY, Expected, either


@dataclass(frozen=True)
class FieldExpected(Expected):
    """The record of a scenario's first client, with the moments its phones tell of."""

    confidence: str = ANY
    operator: str | None = "201"
    answered_by: str | None = None
    attempts: tuple[tuple[str, str], ...] = (("201", "answered"),)
    speech_like_phones: bool = False
    answered: bool = True
    connected: tuple[str, str, float] | None = ("answer", "201", 0.0)
    """The phones' act that connected the two, whose it was, and how many seconds later; None: the phones
    cannot tell, Asterisk's books can."""
    latency_of: str | None = "201"
    """Whose phone was lifted first of those that got the client; None: not judged."""
    began: tuple[str, str] = ("dial", "client")
    """The act with which the client's first channel came to be."""
    ended: tuple[str, str] | None = ("bye", "client")
    """The (last) act with which the client's call was over; None: the phones cannot tell."""
    left_from: tuple[str, str] | None = None
    """The act that ended the last talk, after which the client waited in vain."""
    booked_end: bool = True
    """False: CDR and queue_log have another end than the client's phone, since Asterisk was busy with the
    operator when the client left, or wrote its last row about something else."""
    client: str = ANY
    line: str | None = ANY


_FAILED = either("failed", "unavailable")
_SOMEHOW = ANY
CLIENT_BYE = FieldExpected()
OPERATOR_BYE = FieldExpected(first="operator", callback=("not_due", "operator_hung_up"), ended=("bye", "201"))
LOST = FieldExpected(
    outcome="mid_dialogue_drop",
    first="network",
    lost_side="client",
    callback=("due", "mid_dialogue_drop"),
    ended=None,
)
_LOST_WITH_BYE = replace(LOST, ended=("bye", "client"))
_PBX_ENDED = FieldExpected(first="pbx", callback=("not_due", "pbx_ended"), ended=None)
_UNANSWERED = FieldExpected(
    outcome="abandoned",
    operator=None,
    attempts=(),
    callback=("not_due", "not_answered"),
    answered=False,
    connected=None,
    latency_of=None,
)
_SHORT = replace(_UNANSWERED, outcome="short_abandoned")
_LIFTED_IN_VAIN = (("201", either("answered", "cancelled")),)
_PBX_GAVE_UP = replace(_UNANSWERED, first="pbx", ended=None)


def _second(expected: FieldExpected, first: str, *, act: str = "answer", delay: float = 0.0) -> FieldExpected:
    """The same where 201's phone came to something else and 202 served the client."""
    return replace(
        expected,
        operator="202",
        attempts=(("201", first), ("202", "answered")),
        connected=(act, "202", delay),
        latency_of="202",
        ended=("bye", "202") if expected.ended == ("bye", "201") else expected.ended,
    )


DIGIT_S = 0.2
"""From the phone's key to Asterisk's taking it for pressed."""
ANNOUNCED_S = 5.0
"""A member delay of 1 s and an announcement of 4 s."""

_STATUS: dict[str, FieldExpected] = {
    "noack_dial": LOST,
    "noack_queue": _second(LOST, "no_answer"),
    "refresh_481_dial": LOST,
    "refresh_408_queue": LOST,
    "refresh_unanswered_local": LOST,
    "refresh_481_operator": replace(
        LOST,
        lost_side="operator",
        operator="208",
        attempts=(("208", "answered"),),
        connected=("answer", "208", 0.0),
        latency_of="208",
    ),
    "refresh_408_operator_local": replace(
        LOST,
        lost_side="operator",
        operator="208",
        attempts=(("208", "answered"),),
        connected=("answer", "208", 0.0),
        latency_of="208",
    ),
    "reinvite_481_transfer": replace(
        LOST,
        operator="202",
        attempts=(("201", "answered"), ("202", "answered")),
        transfers=(("attended", "201", "202", "completed"),),
    ),
    "bye_sip_408_dial": _LOST_WITH_BYE,
    "bye_sip_503_queue": _LOST_WITH_BYE,
    "bye_sip_408_local": replace(LOST, lost_side="operator", ended=("bye", "201")),
    "bye_41_dial": _LOST_WITH_BYE,
    "bye_38_queue": _LOST_WITH_BYE,
    "bye_41_local": _LOST_WITH_BYE,
    "bye_38_operator": replace(LOST, lost_side="operator", ended=("bye", "201")),
    "bye_41_operator_local": replace(LOST, lost_side="operator", ended=("bye", "201")),
    "bye_41_transferred": replace(
        _LOST_WITH_BYE,
        operator="202",
        attempts=(("201", "answered"), ("202", "answered")),
        transfers=(("blind", "201", "202", "completed"),),
    ),
    "bye_38_greeting": replace(_LOST_WITH_BYE, outcome="early_drop", callback=("not_due", "early_drop")),
    "bye_16_dial": CLIENT_BYE,
}

_CAUSES: dict[str, FieldExpected] = {
    "stale_500_ivr_queue": replace(
        CLIENT_BYE,
        operator="203",
        attempts=(("201", _FAILED), ("203", "answered")),
        connected=("answer", "203", 0.0),
        latency_of="203",
    ),
    "stale_502_ivr_dial": _second(CLIENT_BYE, _FAILED),
    "stale_504_operator_bye": _second(OPERATOR_BYE, _FAILED),
    "stale_500_queue": _second(CLIENT_BYE, _FAILED),
    "stale_500_local": _second(CLIENT_BYE, _FAILED),
    "stale_lost_first": replace(
        CLIENT_BYE,
        operator="202",
        attempts=(("209", "answered"), ("202", "answered")),
        connected=("answer", "209", 0.0),
        latency_of="209",
    ),
    "dead_trunk_disconnect_code": replace(
        _PBX_ENDED,
        first=either("pbx", "operator"),
        callback=("not_due", either("pbx_ended", "operator_hung_up")),
        ended=("reject", "mobile"),
    ),
    "dead_trunk_redirect": replace(_PBX_ENDED, ended=("reject", "mobile")),
    "dead_trunk_blind": replace(
        _PBX_ENDED, transfers=(("blind", "201", "+7900***0003", "failed"),), ended=("reject", "mobile")
    ),
    "dead_trunk_blind_queue": replace(
        _PBX_ENDED, transfers=(("blind", "201", "+7900***0003", "failed"),), ended=("reject", "mobile")
    ),
    "dead_phone_after_queue": replace(
        _PBX_ENDED,
        first=either("pbx", "operator"),
        attempts=(("201", "answered"), ("202", _FAILED)),
        callback=("not_due", either("pbx_ended", "operator_hung_up")),
        left_from=("bye", "201"),
        ended=("reject", "202"),
    ),
    "ivr_500": replace(_PBX_GAVE_UP, outcome="failed", attempts=(("201", _FAILED),), ended=("reject", "201")),
    "ivr_500_group": replace(
        _PBX_GAVE_UP, outcome="failed", attempts=(("201", _FAILED), ("202", _FAILED)), ended=("reject", "202")
    ),
    "ivr_500_after_noanswer": replace(
        _PBX_GAVE_UP,
        outcome=either("no_answer", "failed"),
        attempts=(("201", "no_answer"), ("202", _FAILED)),
        ended=("reject", "202"),
    ),
    "dial_500_after_noanswer": replace(
        _PBX_GAVE_UP,
        outcome=either("no_answer", "failed"),
        attempts=(("201", "no_answer"), ("202", _FAILED)),
        ended=("reject", "202"),
    ),
    "ivr_404_phone": replace(
        _PBX_GAVE_UP, outcome="failed", attempts=(("201", _FAILED),), ended=("reject", "201")
    ),
    "absolute_timeout": _PBX_ENDED,
    "blind_announcement": replace(
        _PBX_ENDED, transfers=(("blind", "201", "*97", either("completed", "failed")),)
    ),
}

_ANSWERED: dict[str, FieldExpected] = {
    "confirm_taken": replace(CLIENT_BYE, connected=("dtmf", "201", DIGIT_S)),
    "confirm_abandoned": replace(
        _SHORT, attempts=_LIFTED_IN_VAIN, ended=("cancel", "client"), booked_end=False
    ),
    "confirm_second": _second(OPERATOR_BYE, _SOMEHOW, act="dtmf", delay=DIGIT_S),
    "confirm_nobody": replace(
        _PBX_GAVE_UP, outcome="no_answer", attempts=(("201", _SOMEHOW), ("202", _SOMEHOW))
    ),
    "group_confirm": _second(CLIENT_BYE, _SOMEHOW, act="dtmf", delay=DIGIT_S),
    "queue_confirm": replace(OPERATOR_BYE, connected=("dtmf", "201", DIGIT_S)),
    "queue_confirm_abandoned": replace(_SHORT, attempts=_LIFTED_IN_VAIN),
    "followme_taken": replace(CLIENT_BYE, connected=("dtmf", "201", DIGIT_S)),
    "followme_abandoned": replace(_SHORT, attempts=_LIFTED_IN_VAIN),
    "queue_followme": replace(OPERATOR_BYE, connected=("dtmf", "201", DIGIT_S)),
    "privacy_announced": replace(CLIENT_BYE, connected=("connected", "client", 0.0)),
    "privacy_abandoned": replace(
        _SHORT, attempts=_LIFTED_IN_VAIN, ended=("cancel", "client"), booked_end=False
    ),
    "member_announced": replace(OPERATOR_BYE, connected=("answer", "201", ANNOUNCED_S)),
    "member_abandoned": replace(_SHORT, attempts=_LIFTED_IN_VAIN, booked_end=False),
    "member_leaves_second": _second(CLIENT_BYE, _SOMEHOW, delay=ANNOUNCED_S),
    "member_leaves_abandoned": replace(_UNANSWERED, attempts=ANY),
    "agent_talk": replace(
        CLIENT_BYE,
        operator="207",
        attempts=either((), (("207", "answered"),)),
        connected=None,
        latency_of=None,
    ),
    "agent_away": replace(_UNANSWERED, booked_end=False),
}

_CLICKED = replace(
    CLIENT_BYE,
    direction="outbound",
    attempts=either((), (("201", "answered"),)),
    connected=("answer", "client", 0.0),
    latency_of=None,
    began=("ring", "client"),
)
_CLICKED_IN_VAIN = replace(
    _PBX_GAVE_UP,
    direction="outbound",
    operator=either(None, "201"),
    attempts=either((), (("201", "answered"),)),
    began=("ring", "client"),
)
_CLICKS: dict[str, FieldExpected] = {
    "click_talk": _CLICKED,
    "click_local_talk": replace(
        _CLICKED, first="operator", callback=("not_due", "operator_hung_up"), ended=("bye", "201")
    ),
    "click_busy": replace(_CLICKED_IN_VAIN, outcome="busy", ended=("reject", "client")),
    "click_local_busy": replace(_CLICKED_IN_VAIN, outcome="busy", ended=("reject", "client")),
    "click_noanswer": replace(_CLICKED_IN_VAIN, outcome="no_answer"),
    "click_operator_gives_up": replace(
        _CLICKED_IN_VAIN, outcome="no_answer", first="operator", ended=("bye", "201")
    ),
    "click_trunk_503": replace(_CLICKED_IN_VAIN, outcome="failed", ended=("reject", "client")),
}

_LOCAL: dict[str, FieldExpected] = {
    "local_second": replace(_second(CLIENT_BYE, "no_answer"), line="fpbx"),
    "local_ringall": _second(OPERATOR_BYE, "cancelled"),
    "local_ringall_twice": replace(
        CLIENT_BYE,
        attempts=(("201", "no_answer"), ("202", "no_answer"), ("201", "answered"), ("202", "cancelled")),
    ),
    "local_rejected": _second(CLIENT_BYE, "rejected"),
    "local_busy": _second(OPERATOR_BYE, "busy"),
    "local_abandoned": replace(_UNANSWERED, attempts=(("201", "no_answer"), ("202", "cancelled"))),
    "local_group_noanswer": _second(OPERATOR_BYE, "busy"),
    "local_two_phones": replace(
        CLIENT_BYE, operator="206", attempts=ANY, transfers=(("blind", "201", "206", "completed"),)
    ),
    "local_operator_lost": replace(
        LOST,
        lost_side="operator",
        operator="209",
        attempts=(("209", "answered"),),
        connected=("answer", "209", 0.0),
        latency_of="209",
    ),
    "local_followme_noanswer": replace(_UNANSWERED, attempts=(("201", "cancelled"),)),
    "slow_queue_abandoned": replace(_SHORT, attempts=(("201", "cancelled"),)),
    "slow_dial_talk": CLIENT_BYE,
    "slow_local_abandoned": replace(_UNANSWERED, attempts=(("201", "no_answer"), ("202", "cancelled"))),
    "slow_group_abandoned": replace(_SHORT, attempts=(("201", "cancelled"), ("202", "cancelled"))),
    "slow_queue_lost": LOST,
}

_SECOND_WAIT: dict[str, FieldExpected] = {
    "second_queue_talk": replace(
        OPERATOR_BYE,
        operator="203",
        attempts=(("201", "answered"), ("203", "answered")),
        ended=("bye", "203"),
    ),
    # 201 ended the talk, the client the wait.
    "second_queue_vain": replace(
        CLIENT_BYE,
        first=either("client", "operator"),
        attempts=(("201", "answered"), ("203", "cancelled")),
        callback=("not_due", either("client_hung_up", "operator_hung_up")),
        left_from=("bye", "201"),
    ),
    "blind_queue_vain": replace(
        CLIENT_BYE,
        attempts=(("201", "answered"), ("201", "no_answer"), ("202", "cancelled")),
        transfers=(("blind", "201", "600", "failed"),),
        left_from=("blind", "201"),
    ),
    "blind_phone_vain": replace(
        CLIENT_BYE,
        attempts=(("201", "answered"), ("202", "cancelled")),
        transfers=(("blind", "201", "202", "failed"),),
        left_from=("blind", "201"),
    ),
}

_OUT = replace(
    CLIENT_BYE,
    direction="outbound",
    attempts=(),
    connected=("answer", "client", 0.0),
    latency_of=None,
    began=("dial", "201"),
)
_OUT_IN_VAIN = replace(
    _PBX_GAVE_UP, direction="outbound", operator=either(None, "201"), began=("dial", "201")
)
# A client who is busy or declines has hung nothing up: who is said to end it is left open.
_OUT_DECLINED = replace(
    _OUT_IN_VAIN, outcome="busy", first=either("pbx", "client"), ended=("reject", "client")
)
_OUTBOUND: dict[str, FieldExpected] = {
    "out_404": replace(_OUT_IN_VAIN, outcome="failed", ended=("reject", "trunk"), client="+7900***0003"),
    "out_484": replace(_OUT_IN_VAIN, outcome="failed", ended=("reject", "trunk")),
    "out_500": replace(_OUT_IN_VAIN, outcome="failed", ended=("reject", "trunk")),
    "out_500_after_ringing": replace(_OUT_IN_VAIN, outcome="failed", ended=("reject", "client")),
    "out_603": _OUT_DECLINED,
    "out_486": _OUT_DECLINED,
    "out_noanswer": replace(_OUT_IN_VAIN, outcome="no_answer"),
    "out_given_up": replace(_OUT_IN_VAIN, outcome="no_answer", first="operator", ended=("cancel", "201")),
    "out_failover_talk": replace(_OUT, client="+7900***0002"),
    "out_failover_noanswer": replace(_OUT_IN_VAIN, outcome="no_answer", client="+7900***0002"),
    "out_failover_busy": _OUT_DECLINED,
    "out_failover_both": replace(_OUT_IN_VAIN, outcome="failed", ended=("reject", "client")),
    "out_redial_talk": replace(
        _OUT,
        first="operator",
        callback=("not_due", "operator_hung_up"),
        ended=("bye", "201"),
        client="+7900***0001",
    ),
    "out_redial_noanswer_busy": _OUT_DECLINED,
    "out_redial_refused_noanswer": replace(_OUT_IN_VAIN, outcome="no_answer"),
    "out_prefix_talk": replace(_OUT, client="+7900***0001"),
    "out_prefix_lost": replace(
        _OUT,
        outcome="mid_dialogue_drop",
        first="network",
        lost_side="client",
        callback=("due", "mid_dialogue_drop"),
        client="+7900***0001",
    ),
    "reject_404_dial": replace(
        _PBX_GAVE_UP, outcome="failed", attempts=(("201", _FAILED),), ended=("reject", "201")
    ),
    "reject_404_queue": _second(CLIENT_BYE, _FAILED),
    "reject_484_local": _second(CLIENT_BYE, _FAILED),
}

_PROGRAMS: dict[str, FieldExpected] = {
    "acd_second": replace(CLIENT_BYE, attempts=(("202", "no_answer"), ("201", "answered"))),
    "acd_operator_hangs_up": OPERATOR_BYE,
    "acd_abandoned": replace(_UNANSWERED, attempts=(("201", "cancelled"),)),
    "acd_lifted_and_abandoned": replace(_SHORT, attempts=_LIFTED_IN_VAIN),
    "dialler_operator_first": _CLICKED,
    "dialler_operator_first_noanswer": replace(_CLICKED_IN_VAIN, outcome="no_answer"),
    "dialler_client_first": replace(
        OPERATOR_BYE, direction="outbound", began=("ring", "client"), latency_of=None
    ),
    "dialler_nobody_free": replace(_UNANSWERED, direction="outbound", began=("ring", "client")),
    # Two calls alike: the phones' last act is of the second.
    "dialler_id_again": replace(_CLICKED, others=(("outbound", "completed"),), ended=None),
}

FIELD_EXPECTED: dict[str, FieldExpected] = {
    **_STATUS,
    **_CAUSES,
    **_ANSWERED,
    **_CLICKS,
    **_LOCAL,
    **_SECOND_WAIT,
    **_OUTBOUND,
    **_PROGRAMS,
}
