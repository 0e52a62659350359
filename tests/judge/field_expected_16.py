"""The expected results of the field site's calls on Asterisk 16: the same, as far as it reports them."""

from __future__ import annotations

from dataclasses import replace

from tests.judge.field_expected import CLIENT_BYE, FIELD_EXPECTED, LOST, OPERATOR_BYE, FieldExpected
from tests.lab.lanes import Driver

# Chan_pjsip gives a SIP status there to neither ARI nor its books, and a
# call that ended with one looks like any that was hung up.
_UNTOLD_BY_PJSIP_16: dict[str, FieldExpected] = {
    "noack_dial": replace(CLIENT_BYE, ended=None),
    "refresh_481_dial": replace(CLIENT_BYE, ended=None),
    "refresh_408_operator_local": replace(
        OPERATOR_BYE,
        operator="208",
        attempts=(("208", "answered"),),
        connected=("answer", "208", 0.0),
        latency_of="208",
        ended=None,
    ),
    "bye_sip_408_dial": CLIENT_BYE,
    "bye_sip_503_queue": CLIENT_BYE,
}
# chan_sip gives a status as the cause it stands for: 18 for a 408 or for no answer, 127, which proves
# nothing, of a 481. Of a SIP reason in a BYE it tells nothing.
_UNTOLD_BY_CHAN_SIP: dict[str, FieldExpected] = {
    "refresh_481_dial": replace(CLIENT_BYE, ended=None),
    "bye_sip_408_dial": CLIENT_BYE,
    # Nobody says when the client was taken for lost but the books: the channel stays until h is done.
    "slow_queue_lost": replace(LOST, booked_end=False),
}
FIELD_EXPECTED_16: dict[Driver, dict[str, FieldExpected]] = {
    "pjsip": {**FIELD_EXPECTED, **_UNTOLD_BY_PJSIP_16},
    "sip": {**FIELD_EXPECTED, **_UNTOLD_BY_CHAN_SIP},
}
