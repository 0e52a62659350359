"""Many short calls a second from one outside line: SIP over UDP, without sound.

pjsua2's phones are real but cost a core for some ten calls a second. This one says INVITE, ACK and, when
Asterisk hangs up, 200, and keeps account of each call.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.lab.lanes import OutsideLine

# RFC 3261 17.1.1.2: T1, doubled each time.
_AGAIN_S = 0.5
_GIVE_UP_S = 16.0
_HEADER = re.compile(rb"^(Via|From|To|Call-ID|CSeq)[ \t]*:[ \t]*(.*?)\r\n", re.IGNORECASE | re.MULTILINE)
_SDP = "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


@dataclass(slots=True)
class _Call:
    invite: bytes
    sent_s: float
    again_s: float
    wait_s: float = _AGAIN_S
    status: int = 0
    answered_s: float = 0.0
    ended: bool = False


@dataclass
class Account:
    """What became of the calls. `slowest_s`: from INVITE to its final answer."""

    placed: int = 0
    answered: int = 0
    ended: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    unanswered: int = 0
    slowest_s: float = 0.0


class SipLoad:
    """Places `rate` calls a second to an extension that answers and hangs up by itself. Context manager."""

    def __init__(self, line: OutsideLine, sip_port: int, extension: str, rate: float) -> None:
        self._line, self._sip_port, self._extension, self._rate = line, sip_port, extension, rate
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((line.address, 0))
        self._socket.setblocking(False)
        self._port = self._socket.getsockname()[1]
        self._calls: dict[bytes, _Call] = {}
        self._placing = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sip load", daemon=True)

    def __enter__(self) -> Self:
        self._placing.set()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def finish(self, limit_s: float = 30.0) -> Account:
        """Place no more calls, wait for the end of those that are on."""
        self._placing.clear()
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and any(not call.ended for call in list(self._calls.values())):
            time.sleep(0.1)
        return self.account()

    def account(self) -> Account:
        found = Account()
        for call in list(self._calls.values()):
            found.placed += 1
            if call.status == 200:
                found.answered += 1
                found.slowest_s = max(found.slowest_s, call.answered_s - call.sent_s)
            elif call.status:
                found.refused[call.status] = found.refused.get(call.status, 0) + 1
            else:
                found.unanswered += 1
            found.ended += call.ended
        return found

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._socket, selectors.EVENT_READ)
        due_s = time.monotonic()
        look_s = due_s
        while not self._stop.is_set():
            now_s = time.monotonic()
            if not self._placing.is_set():
                due_s = now_s
            while self._placing.is_set() and due_s <= now_s:
                self._place(now_s)
                due_s += 1 / self._rate
            if now_s >= look_s:
                look_s = now_s + 0.1
                self._repeat(now_s)
            for _ in selector.select(0.005):
                self._receive()
        selector.close()

    def _place(self, now_s: float) -> None:
        call_id = f"{secrets.token_hex(8)}@load"
        here = f"{self._line.address}:{self._port}"
        body = _SDP.format(host=self._line.address)
        invite = (
            f"INVITE sip:{self._extension}@127.0.0.1:{self._sip_port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{secrets.token_hex(6)}\r\n"
            f"From: <sip:+{self._line.number}@{here}>;tag={secrets.token_hex(4)}\r\n"
            f"To: <sip:{self._extension}@127.0.0.1>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:load@{here}>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self._calls[call_id.encode()] = _Call(invite, now_s, now_s + _AGAIN_S)
        self._send(invite)

    def _repeat(self, now_s: float) -> None:
        for call in list(self._calls.values()):
            if not call.status and not call.ended and now_s >= call.again_s:
                if now_s - call.sent_s > _GIVE_UP_S:
                    call.ended = True
                    continue
                call.wait_s *= 2
                call.again_s = now_s + call.wait_s
                self._send(call.invite)

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # then it is sent again
            self._socket.sendto(packet, ("127.0.0.1", self._sip_port))

    def _receive(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65_536)
            except BlockingIOError:
                return
            head = packet.partition(b"\r\n\r\n")[0] + b"\r\n"
            headers = {name.lower(): value for name, value in reversed(_HEADER.findall(head))}
            call = self._calls.get(headers.get(b"call-id", b""))
            if call is None:
                continue
            if packet.startswith(b"SIP/2.0 "):
                self._answered(call, int(packet[8:11]), headers)
            elif packet.startswith(b"BYE "):
                call.ended = True
                kept = [b"Via", b"From", b"To", b"Call-ID", b"CSeq"]
                lines = [name + b": " + headers[name.lower()] for name in kept]
                self._send(b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""]))

    def _answered(self, call: _Call, status: int, headers: dict[bytes, bytes]) -> None:
        if not headers.get(b"cseq", b"").endswith(b"INVITE"):
            return
        if status < 200:
            call.again_s = time.monotonic() + _GIVE_UP_S
            return
        if not call.status:
            call.status = status
            call.answered_s = time.monotonic()
            call.ended = call.ended or status >= 300
        via = headers[b"via"]
        if status < 300:
            # The ACK of a 2xx is a transaction of its own (RFC 3261 13.2.2.4).
            via = re.sub(rb"branch=[^;]+", b"branch=z9hG4bKack" + headers[b"call-id"][:12], via)
        ack = [
            f"ACK sip:{self._extension}@127.0.0.1:{self._sip_port} SIP/2.0".encode(),
            b"Via: " + via,
            b"From: " + headers[b"from"],
            b"To: " + headers[b"to"],
            b"Call-ID: " + headers[b"call-id"],
            b"CSeq: 1 ACK",
            b"Max-Forwards: 70",
            b"Content-Length: 0",
        ]
        self._send(b"\r\n".join([*ack, b"", b""]))
