"""The calls of the soak, as sipp plays them: clients, and the operators who answer them.

The last digit of the number dialled says what becomes of a call: 1 and 2 are talks that the client ends, 3
one that the operator ends, 4 one that the client gives up while it rings, 5 an operator who is busy. Of a
client's file of values (-inf), field 0 is the caller's number.
"""

from __future__ import annotations

KINDS = (1, 2, 3, 4, 5)
TALK_MS = 3_000

_SDP = """v=0
o=lab 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000"""

_REQUEST = """Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: "client" <sip:[field0]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
Max-Forwards: 70"""


def _send(start: str, head: str, body: str = "", retrans: bool = True) -> str:
    tail = (
        f"Content-Type: application/sdp\nContent-Length: [len]\n\n{body}" if body else "Content-Length: 0\n"
    )
    again = ' retrans="500"' if retrans else ""
    return f"<send{again}><![CDATA[\n{start}\n{head}\n{tail}\n]]></send>\n"


def _scenario(*steps: str) -> str:
    return (
        f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="soak">\n{"".join(steps)}</scenario>\n'
    )


_INVITE = _send(
    "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
    f"{_REQUEST}\nCSeq: 1 INVITE\nContact: <sip:client@[local_ip]:[local_port]>",
    _SDP,
)
_TRYING = '<recv response="100" optional="true"/><recv response="180" optional="true"/>\n'
_ACK = _send("ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0", f"{_REQUEST}\nCSeq: 1 ACK", retrans=False)
_PROGRESS = '<recv response="183" optional="true"/>\n'
_BYE = _send("BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0", f"{_REQUEST}\nCSeq: 2 BYE")
_ANSWERED = '<recv response="200" rtd="true"/>\n'


def _reply(status: str, *more: str, body: str = "") -> str:
    head = "\n".join(
        (
            "[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]SIPpTag[call_number]",
            "[last_Call-ID:]", "[last_CSeq:]", *more,
        )
    )  # fmt: skip
    return _send(f"SIP/2.0 {status}", head, body, retrans=bool(body))


def _of_invite(method: str, steps: int) -> str:
    head = _REQUEST.replace("[branch]", f"[branch-{steps}]")
    if method == "CANCEL":
        head = head.replace("[peer_tag_param]", "")
    start = f"{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0"
    return _send(start, f"{head}\nCSeq: 1 {method}", retrans=False)


_CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=UDP>"
# A request inside a dialogue has our tag already.
_DONE = _send(
    "SIP/2.0 200 OK",
    "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]",
    retrans=False,
)

CLIENT_ENDS = _scenario(
    _INVITE, _TRYING, _PROGRESS, _ANSWERED, _ACK, f'<pause milliseconds="{TALK_MS}"/>\n', _BYE,
    '<recv response="200"/>\n',
)  # fmt: skip
OPERATOR_ENDS = _scenario(_INVITE, _TRYING, _PROGRESS, _ANSWERED, _ACK, '<recv request="BYE"/>\n', _DONE)
# The same transaction as the INVITE it gives up, hence its branch.
# CANCEL and the ACK of a refusal belong to the INVITE's transaction: [branch-N] is the branch of the step N
# steps before.
CLIENT_GIVES_UP = _scenario(
    _INVITE,
    '<recv response="100" optional="true"/>\n<recv response="180"/>\n<pause milliseconds="800"/>\n',
    _of_invite("CANCEL", 4),
    '<recv response="200"/>\n<recv response="487"/>\n',
    _of_invite("ACK", 7),
)
OPERATOR_BUSY = _scenario(_INVITE, _TRYING, '<recv response="486"/>\n', _of_invite("ACK", 4))

ANSWERING = _scenario(
    '<recv request="INVITE"/>\n', _reply("180 Ringing", _CONTACT), '<pause milliseconds="300"/>\n',
    _reply("200 OK", _CONTACT, body=_SDP), '<recv request="ACK"/>\n', '<recv request="BYE"/>\n', _DONE,
)  # fmt: skip
_PARTIES = (
    '<action><ereg regexp=".*" search_in="hdr" header="From:" assign_to="1"/>'
    '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="2"/></action>'
)
HANGING_UP = _scenario(
    f'<recv request="INVITE" rrs="true">{_PARTIES}</recv>\n', _reply("180 Ringing", _CONTACT),
    '<pause milliseconds="300"/>\n', _reply("200 OK", _CONTACT, body=_SDP), '<recv request="ACK"/>\n',
    f'<pause milliseconds="{TALK_MS}"/>\n',
    _send(
        "BYE [next_url] SIP/2.0",
        "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]\n"
        "From:[$2];tag=[pid]SIPpTag[call_number]\nTo:[$1]\n[last_Call-ID:]\nCSeq: 1 BYE\nMax-Forwards: 70",
    ),
    '<recv response="200"/>\n',
)  # fmt: skip
RINGING = _scenario(
    f'<recv request="INVITE">{_PARTIES}</recv>\n', _reply("180 Ringing", _CONTACT),
    '<recv request="CANCEL"/>\n', _DONE,
    _send(
        "SIP/2.0 487 Request Terminated",
        "[last_Via:]\nFrom:[$1]\nTo:[$2];tag=[pid]SIPpTag[call_number]\n[last_Call-ID:]\nCSeq: [cseq] INVITE",
    ),
    '<recv request="ACK"/>\n',
)  # fmt: skip
BUSY = _scenario('<recv request="INVITE"/>\n', _reply("486 Busy Here"), '<recv request="ACK"/>\n')
CLIENTS = {1: CLIENT_ENDS, 2: CLIENT_ENDS, 3: OPERATOR_ENDS, 4: CLIENT_GIVES_UP, 5: OPERATOR_BUSY}
OPERATORS = {1: ANSWERING, 2: ANSWERING, 3: HANGING_UP, 4: RINGING, 5: BUSY}
