"""The lab's phones on chan_sip, Asterisk's older SIP driver (up to 20), as its configuration has them.

An outside line is known by the address it registered from: its channels are named SIP/trunk…, as a
provider's are, whoever's number is in the From header.
"""

from __future__ import annotations

from tests.lab.lanes import PASSWORD, every_lane


def sip_templates(sip_port: int, rtp_timeout_s: int, *, talk: bool) -> str:
    """The part before any site's peers: the driver itself, and the settings that all phones share."""
    heard = ",callsteward-talk" if talk else ""
    return f"""[general]
context = nobody
allowguest = no
udpbindaddr = 127.0.0.1:{sip_port}
tcpenable = no
dtmfmode = rfc2833
; Whether a member of a queue is in a call.
callcounter = yes
session-timers = refuse
#include callsteward-sip.conf
[phone](!)
host = dynamic
nat = no
qualify = no
disallow = all
allow = ulaw
directmedia = no
rtptimeout = {rtp_timeout_s}
use_q850_reason = yes
[operator](!,phone{heard},callsteward-tags)
type = friend
context = from-internal
secret = {PASSWORD}
[outside](!,phone{heard})
type = peer
context = from-trunk
insecure = invite
; Longer than a hold that ends.
rtpholdtimeout = 15
; The shortest there is: asked after 45 s whether the other side is still there.
[timed](!,outside)
rtptimeout = 0
session-timers = originate
session-expires = 90
session-minse = 90
session-refresher = uas
"""


def sip_conf(sip_port: int, rtp_timeout_s: int, *, talk: bool) -> str:
    """sip.conf with a peer for every phone and outside line of every lane."""
    parts = [sip_templates(sip_port, rtp_timeout_s, talk=talk)]
    for lane in every_lane("sip"):
        parts.extend(
            f"""
[{user}](operator)
callerid = Operator {user} <{user}>
namedcallgroup = lane{lane.index}
namedpickupgroup = lane{lane.index}
"""
            for user in lane.operators
        )
        parts.extend(f"\n[{line.endpoint}](outside)\n" for line in lane.outside_lines)
        parts.append(f"\n[{lane.timed_line.endpoint}](timed)\n")
    return "".join(parts)
