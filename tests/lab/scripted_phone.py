"""A phone or a provider's switch that does what no real phone can be made to do.

It sends no ACK, answers a session refresh as it is told to, ends a call with any ``Reason``, and can be gone
at once, without a word. It lives in the scenario's process and is pumped with the real phones; SIP over UDP
on 127.0.0.x loses nothing, so it repeats no request of its own.
"""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass

from tests.lab.phones import Exchange
from tests.lab.sounds import speech_mulaw
from tests.lab.truth import tell

_PACKET_S = 0.02
_PACKET_BYTES = 160
_SILENCE = b"\xff" * _PACKET_BYTES


@dataclass(frozen=True, slots=True)
class _Message:
    """One SIP message; headers by lower-case name, each as often as it came."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str

    @classmethod
    def parse(cls, data: bytes) -> _Message:
        head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs), body)

    def first(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def status(self) -> int:
        """Of an answer; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        return self.first("cseq").split()[-1]


class ScriptedPhone:
    """One phone with one call at a time; to a scenario it looks like a `Phone` and its `Line` in one."""

    def __init__(
        self, exchange: Exchange, who: str, number: str, address: str, registers_as: str = ""
    ) -> None:
        self.exchange = exchange
        self.who = who
        self.number = number
        self.address = address
        self._registers_as = registers_as or number
        self.up = False
        self.over = True
        self.status = 0
        self.acknowledges = True
        """False: no ACK is ever sent."""
        self.answer_after_s: float | None = 2.0
        self.reject_with: int | None = None
        """It refuses with that status, and never rings."""
        self.session_timer = ""
        """Its ``Session-Expires``; empty: it knows of none."""
        self.refresh_with: int | None = 200
        """How it answers a re-INVITE or an UPDATE; None: not at all."""
        self._gone = False
        self._registered = False
        self._sip = _socket(address)
        self._rtp = _socket(address)
        self._sip_port = int(self._sip.getsockname()[1])
        self._rtp_port = int(self._rtp.getsockname()[1])
        self._pbx = ("127.0.0.1", exchange.sip_port)
        self._sound_to: tuple[str, int] | None = None
        self._speech = speech_mulaw()
        self._spoken = -1
        self._next_packet = 0.0
        self._sequence, self._stamp = 0, 0
        self._due: list[tuple[float, str]] = []
        self._invite: _Message | None = None
        self._call_id = self._ours = self._theirs = self._target = ""
        self._cseq = 1
        exchange.others.append(self)
        self._register(3600)
        exchange.until(lambda: self._registered, 5, f"{who} to register")

    # --- what a scenario asks of a phone and of its line ----------------------------------------------
    @property
    def phone(self) -> ScriptedPhone:
        return self

    @property
    def line(self) -> ScriptedPhone:
        return self

    def is_idle(self) -> bool:
        return self.over

    def is_talking(self) -> bool:
        return self.up and not self.over

    def is_ringing(self) -> bool:
        return not self.up and not self.over

    def is_decided(self) -> bool:
        return self.up or self.over

    # --- what the script says -------------------------------------------------------------------------
    def dial(self, number: str) -> ScriptedPhone:
        self._begin(secrets.token_hex(8), "")
        self._target = f"sip:{number}@127.0.0.1:{self.exchange.sip_port}"
        self._theirs = f"<{self._target}>"
        self._ours = f"<sip:{self.number}@{self.address}>;tag={secrets.token_hex(4)}"
        tell("dial", who=self.who, to=number)
        self._request("INVITE", self._timer_lines(), self._sdp())
        return self

    def bye(self, *, reason: str = "") -> None:
        """Hang up; ``reason`` is a ``Reason`` header such as ``Q.850;cause=41``."""
        self._request("BYE", [f"Reason: {reason}"] if reason else [])
        tell("bye", who=self.who, **({"reason": reason} if reason else {}))
        self._end()

    def vanish(self) -> None:
        """Gone, without a word: nothing is sent any more, and nothing answered."""
        self._gone = True
        self._spoken = -1
        self._sound_to = None
        tell("vanish", who=self.who)

    def talk(self) -> None:
        self._spoken = 0
        tell("talk", who=self.who)

    def hush(self) -> None:
        self._spoken = -1
        tell("hush", who=self.who)

    # --- what the exchange does with it ---------------------------------------------------------------
    def keep_habits(self, now: float) -> None:
        while (data := _received(self._sip)) is not None:
            if not self._gone and data.strip():
                self._take(_Message.parse(data))
        while _received(self._rtp) is not None:
            pass
        for item in [item for item in self._due if item[0] <= now]:
            self._due.remove(item)
            if item[1] == "answer" and not self.over and not self.up:
                self._pick_up()
        self._sound(now)

    def close(self) -> None:
        """End what a failed script left behind, and go offline."""
        if not self._gone:
            if self.up and not self.over:
                self._request("BYE", [])
            self._register(0)
        self.over = True

    # --- SIP ------------------------------------------------------------------------------------------
    def _take(self, message: _Message) -> None:
        if message.status:
            self._answered(message)
        elif message.method == "INVITE" and message.first("call-id") != self._call_id:
            self._called(message)
        elif message.method == "ACK":
            pass
        elif message.method == "BYE":
            self._reply(message, 200)
            self._end()
        elif message.method == "CANCEL":
            self._reply(message, 200)
            if self._invite is not None and not self.up:
                self._reply(self._invite, 487)
                self._end()
        elif message.method in {"INVITE", "UPDATE"}:
            self._refreshed(message)
        else:
            self._reply(message, 200)

    def _answered(self, message: _Message) -> None:
        if message.method == "REGISTER":
            self._registered = message.status == 200
        if message.method != "INVITE" or message.first("call-id") != self._call_id or message.status < 200:
            return
        self.status = message.status
        self._theirs = message.first("to")
        if message.status >= 300:
            # An ACK to a refusal belongs to its transaction.
            self._acknowledge(message, message.first("via").partition("branch=")[2].partition(";")[0])
            self._end()
            return
        self._target = _address(message.first("contact")) or self._target
        self._listen_to(message.body)
        if self.acknowledges:
            self._acknowledge(message, _branch())
        self.up = True

    def _called(self, message: _Message) -> None:
        if not self.over:
            self._reply(message, 486)
            return
        self._begin(message.first("call-id"), f"{message.first('to')};tag={secrets.token_hex(4)}")
        self._theirs = message.first("from")
        self._target = _address(message.first("contact"))
        self._invite = message
        self._listen_to(message.body)
        if self.reject_with is not None:
            self._reply(message, self.reject_with)
            tell("reject", who=self.who, status=self.reject_with)
            self._end()
            return
        tell("ring", who=self.who)
        self._reply(message, 180)
        if self.answer_after_s is not None:
            self._due.append((time.monotonic() + self.answer_after_s, "answer"))

    def _pick_up(self) -> None:
        assert self._invite is not None
        self._reply(self._invite, 200, self._timer_lines(), self._sdp())
        tell("answer", who=self.who)
        self.up = True

    def _refreshed(self, message: _Message) -> None:
        if self.refresh_with is None:
            return
        tell("refresh", who=self.who, method=message.method, status=self.refresh_with)
        timer = message.first("session-expires")
        more = [f"Session-Expires: {timer}", "Require: timer"] if timer and self.refresh_with == 200 else []
        body = (
            self._sdp() if self.refresh_with == 200 and (message.body or message.method == "INVITE") else ""
        )
        self._reply(message, self.refresh_with, more, body)

    def _begin(self, call_id: str, ours: str) -> None:
        self._call_id, self._ours, self._cseq = call_id, ours, 1
        self._invite = None
        self.over = self.up = False
        self.status = 0

    def _end(self) -> None:
        self.up = False
        self.over = True
        self._spoken = -1
        self._sound_to = None

    def _timer_lines(self) -> list[str]:
        return [
            "Supported: timer",
            *([f"Session-Expires: {self.session_timer}"] if self.session_timer else []),
        ]

    def _request(self, method: str, more: list[str], body: str = "") -> None:
        self._send(
            f"{method} {self._target} SIP/2.0",
            [
                f"Via: SIP/2.0/UDP {self.address}:{self._sip_port};branch={_branch()};rport",
                "Max-Forwards: 70",
                f"From: {self._ours}",
                f"To: {self._theirs}",
                f"Call-ID: {self._call_id}",
                f"CSeq: {self._cseq} {method}",
                f"Contact: <sip:{self.number}@{self.address}:{self._sip_port}>",
                *more,
            ],
            body,
        )
        self._cseq += 1

    def _acknowledge(self, answer: _Message, branch: str) -> None:
        self._send(
            f"ACK {self._target} SIP/2.0",
            [
                f"Via: SIP/2.0/UDP {self.address}:{self._sip_port};branch={branch};rport",
                "Max-Forwards: 70",
                f"From: {self._ours}",
                f"To: {self._theirs}",
                f"Call-ID: {self._call_id}",
                f"CSeq: {answer.first('cseq').split()[0]} ACK",
            ],
        )

    def _reply(self, to: _Message, status: int, more: list[str] | None = None, body: str = "") -> None:
        target = to.first("to") if "tag=" in to.first("to") else self._ours or to.first("to")
        self._send(
            f"SIP/2.0 {status} {_PHRASES.get(status, 'Failed')}",
            [
                *(f"Via: {via}" for via in to.every("via")),
                f"From: {to.first('from')}",
                f"To: {target}",
                f"Call-ID: {to.first('call-id')}",
                f"CSeq: {to.first('cseq')}",
                f"Contact: <sip:{self.number}@{self.address}:{self._sip_port}>",
                *(more or []),
            ],
            body,
        )

    def _register(self, seconds: int) -> None:
        user = f"<sip:{self._registers_as}@127.0.0.1>"
        self._send(
            f"REGISTER sip:127.0.0.1:{self.exchange.sip_port} SIP/2.0",
            [
                f"Via: SIP/2.0/UDP {self.address}:{self._sip_port};branch={_branch()};rport",
                "Max-Forwards: 70",
                f"From: {user};tag={secrets.token_hex(4)}",
                f"To: {user}",
                f"Call-ID: {secrets.token_hex(8)}",
                "CSeq: 1 REGISTER",
                f"Contact: <sip:{self.number}@{self.address}:{self._sip_port}>",
                f"Expires: {seconds}",
            ],
        )

    def _send(self, start: str, headers: list[str], body: str = "") -> None:
        if body:
            headers = [*headers, "Content-Type: application/sdp"]
        lines = [start, *headers, f"Content-Length: {len(body)}", "", body]
        self._sip.sendto("\r\n".join(lines).encode(), self._pbx)

    def _sdp(self) -> str:
        return "\r\n".join([
            "v=0", f"o=- 1 1 IN IP4 {self.address}", "s=-", f"c=IN IP4 {self.address}", "t=0 0",
            f"m=audio {self._rtp_port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=sendrecv", "",
        ])  # fmt: skip

    # --- sound ----------------------------------------------------------------------------------------
    def _listen_to(self, sdp: str) -> None:
        for line in sdp.splitlines():
            if line.startswith("m=audio"):
                self._sound_to = ("127.0.0.1", int(line.split()[1]))
        self._next_packet = time.monotonic()

    def _sound(self, now: float) -> None:
        if not self.up or self.over or self._sound_to is None:
            self._next_packet = now
            return
        while self._next_packet <= now:
            self._next_packet += _PACKET_S
            payload = _SILENCE
            if self._spoken >= 0:
                at = self._spoken % len(self._speech)
                payload = self._speech[at : at + _PACKET_BYTES]
                self._spoken += _PACKET_BYTES
            self._sequence = (self._sequence + 1) % 65536
            self._stamp += _PACKET_BYTES
            head = bytes((0x80, 0)) + self._sequence.to_bytes(2, "big") + self._stamp.to_bytes(4, "big")
            self._rtp.sendto(head + b"\x00\x00\x00\x2a" + payload, self._sound_to)


_PHRASES = {200: "OK", 180: "Ringing", 408: "Request Timeout", 481: "Call/Transaction Does Not Exist"}


def _branch() -> str:
    return f"z9hG4bK{secrets.token_hex(6)}"


def _socket(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.setblocking(False)
    return made


def _received(source: socket.socket) -> bytes | None:
    try:
        return source.recv(65535)
    except (BlockingIOError, ConnectionError):
        return None


def _address(header: str) -> str:
    """The URI of a header such as ``"Name" <sip:…>;tag=…``."""
    inner = header.partition("<")[2].partition(">")[0]
    return inner or header.partition(";")[0].strip()
