"""The expected result of each scenario on Asterisk 16, by the phones' channel driver.

Nothing is judged more loosely than on 22: what 16 does not tell, or tells with less, is named here with what
follows from it.
"""

from __future__ import annotations

from dataclasses import replace

from tests.judge.expected import ARMED, EXPECTED, Expected
from tests.lab.lanes import Driver

_LOST_CLIENT = EXPECTED["netdrop_client"]
_LOST_OPERATOR = EXPECTED["netdrop_operator"]

# Talks that break (tests/lab/breaks.py), wherever Asterisk tells how.
BROKEN: dict[str, Expected] = {
    "reason_client": replace(_LOST_CLIENT, speech_like_phones=True),
    "reason_client_queue": replace(_LOST_CLIENT, speech_like_phones=True),
    "reason_operator": replace(_LOST_OPERATOR, speech_like_phones=True),
    "reason_early": EXPECTED["netdrop_early"],
    "reason_outbound": replace(
        _LOST_CLIENT, direction="outbound", answered_by=None, attempts=(), speech_like_phones=True
    ),
    "session_timer": _LOST_CLIENT,
    "lost_client_waiting": replace(EXPECTED["queue_no_members_abandon"], first="network", lost_side="client"),
    # Their hold lasts until the PBX notices.
    "lost_client_holding": replace(_LOST_CLIENT, holds_like_phones=False),
    "lost_client_local": _LOST_CLIENT,
    "lost_operator_local": _LOST_OPERATOR,
    "lost_client_optimised": _LOST_CLIENT,
    "lost_operator_optimised": _LOST_OPERATOR,
}

# A session timer's end comes as a hang-up request of that leg without cause and SIP status, and both legs end
# with cause 16: nothing tells it from a BYE of the client.
_UNTOLD_BY_PJSIP_16 = {"session_timer": replace(EXPECTED["dial_client_bye"], speech_like_phones=False)}

# chan_sip says nothing when it gives up a leg without RTP: cause 44 stands on both legs' ends, and the lost
# leg is told by having left the bridge first. A client who waits alone has the only leg.
_LESS_CERTAIN_ON_CHAN_SIP = {
    name: replace(expected, confidence="likely")
    for name, expected in {**EXPECTED, **BROKEN}.items()
    if name.startswith(("netdrop_", "lost_")) and name != "lost_client_waiting"
}

EXPECTED_16: dict[Driver, dict[str, Expected]] = {
    "pjsip": {**EXPECTED, **BROKEN, **_UNTOLD_BY_PJSIP_16},
    "sip": {**EXPECTED, **BROKEN, **_LESS_CERTAIN_ON_CHAN_SIP},
}

# The same where the detector is known to be armed (asterisk.talk_detect = "on").
ARMED_16: dict[Driver, dict[str, Expected]] = {
    driver: {**expected, "early_silent": ARMED["early_silent"]} for driver, expected in EXPECTED_16.items()
}
