"""The field site's phones and trunks, on chan_pjsip and on chan_sip."""

from __future__ import annotations

from tests.lab.chan_sip import sip_templates
from tests.lab.field_lanes import AGENT, PLAIN, SCRIPTED, TWO_PHONES, FieldLane, every_field_lane
from tests.lab.lanes import PASSWORD, OutsideLine
from tests.lab.pbx_config import PbxSettings, pjsip_templates

_TIMED = ("timers", "lazy")


def field_pjsip(settings: PbxSettings) -> dict[str, str]:
    """pjsip.conf."""
    talk = ",callsteward-talk" if settings.talk_endpoints else ""
    parts = [
        pjsip_templates(settings),
        f"""
[colleague](!,phone{talk})
context = from-internal
; What an outside line needs whose provider keeps an eye on its calls.
[timers](!)
timers = always
timers_sess_expires = 90
rtp_timeout = 0
""",
    ]
    for lane in every_field_lane():
        parts.extend(_operator(lane, place) for place in (*PLAIN, TWO_PHONES, AGENT))
        parts.extend(_scripted_operator(lane, place) for place in SCRIPTED)
        parts.extend(_trunk(trunk) for trunk in lane.outside_lines)
    return {"pjsip.conf": "".join(parts)}


def _operator(lane: FieldLane, place: int) -> str:
    user = lane.operator(place)
    return f"""
[{user}](colleague)
auth = {user}
aors = {user}
callerid = Operator {user} <{user}>
[{user}]
type = auth
auth_type = userpass
username = {user}
password = {PASSWORD}
[{user}]
type = aor
max_contacts = {2 if place == TWO_PHONES else 1}
remove_existing = yes
"""


def _scripted_operator(lane: FieldLane, place: int) -> str:
    user = lane.operator(place)
    templates = "colleague,timers" if place == SCRIPTED[0] else "colleague"
    return f"""
[{user}]({templates})
aors = {user}
callerid = Operator {user} <{user}>
[{user}]
type = aor
max_contacts = 1
remove_existing = yes
[{user}-address]
type = identify
endpoint = {user}
match = {lane.scripted_address(place)}
"""


def _trunk(trunk: OutsideLine) -> str:
    templates, more = "outside", ""
    if trunk.endpoint.startswith(_TIMED):
        templates += ",timers"
    if trunk.endpoint.startswith("lazy"):
        # Asterisk asks the provider's side anew whenever somebody else is behind the call.
        more = "send_pai = yes\ntrust_id_outbound = yes\nconnected_line_method = invite\n"
    return f"""
[{trunk.endpoint}]({templates})
aors = {trunk.number}
{more}[{trunk.number}]
type = aor
max_contacts = 1
remove_existing = yes
[{trunk.endpoint}-address]
type = identify
endpoint = {trunk.endpoint}
match = {trunk.address}
"""


def field_sip(settings: PbxSettings) -> dict[str, str]:
    """sip.conf; an operator with two phones is none there, since a peer has one address."""
    heard = ",callsteward-talk" if settings.talk_endpoints else ""
    parts = [
        sip_templates(settings.sip_port, settings.rtp_timeout_s, talk=settings.talk_endpoints),
        f"""
[colleague](!,phone{heard})
type = friend
context = from-internal
[timers](!)
rtptimeout = 0
session-timers = originate
session-expires = 90
session-minse = 90
session-refresher = uas
""",
    ]
    for lane in every_field_lane("sip"):
        for place in (*PLAIN, AGENT, *SCRIPTED):
            user = lane.operator(place)
            templates = "colleague,timers" if place == SCRIPTED[0] else "colleague"
            secret = "" if place in SCRIPTED else f"secret = {PASSWORD}\n"
            parts.append(f"\n[{user}]({templates})\ncallerid = Operator {user} <{user}>\n{secret}")
        for trunk in lane.outside_lines:
            timers = ",timers" if trunk.endpoint.startswith(_TIMED) else ""
            parts.append(f"\n[{trunk.endpoint}](outside{timers})\n")
            if trunk.endpoint.startswith("lazy"):
                parts.append("sendrpid = pai\nrpid_update = yes\n")
    return {"sip.conf": "".join(parts)}
