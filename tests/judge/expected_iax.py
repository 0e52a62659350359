"""The expected results of talks over an IAX2 trunk (tests/lab/iax.py). The far end's tone is not speech."""

from __future__ import annotations

from dataclasses import replace

from tests.judge.expected import EXPECTED, Expected

_INBOUND = Expected(speech_like_phones=False)
_OUTBOUND = replace(EXPECTED["outbound"], speech_like_phones=False)

EXPECTED_IAX: dict[str, Expected] = {
    "iax_inbound": _INBOUND,
    "iax_inbound_operator_bye": replace(_INBOUND, first="operator", callback=("not_due", "operator_hung_up")),
    "iax_pbx_hangup": replace(EXPECTED["pbx_hangup"], speech_like_phones=False),
    "iax_busy": EXPECTED["dial_busy"],
    "iax_abandon": EXPECTED["dial_abandon"],
    "iax_lost": EXPECTED["netdrop_client"],
    "iax_outbound": _OUTBOUND,
    "iax_outbound_operator_bye": replace(
        _OUTBOUND, first="operator", callback=("not_due", "operator_hung_up")
    ),
    "iax_outbound_pbx_hangup": replace(
        _OUTBOUND, first="pbx", confidence="likely", callback=("not_due", "pbx_ended")
    ),
}
