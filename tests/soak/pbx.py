"""An Asterisk for many calls: an outside line and five operators who are sipp."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.ports import free_port
from tests.lab.sipp import Sipp
from tests.live.settings import Settings, lab_settings, merged
from tests.soak.scenarios import CLIENTS, KINDS, OPERATORS

LINE = "soak"
_CLIENTS_AT = "127.0.5.1"
_OPERATORS_AT = "127.0.5.2"
_NUMBER = "800{}"
_OPERATOR = "90{}"
NAMES = [_OPERATOR.format(kind) for kind in KINDS]
"""The operators' endpoints."""
# More than any machine that runs this carries at once.
_AT_ONCE = 4_000
# Clients, each with a number: who calls again is one whose call was lost, or whose talk is over.
_NUMBERS = [f"79000000{client:03}" for client in range(1_000)]


class Crowd:
    """Clients who call at a rate, operators who answer. Use as a context manager."""

    def __init__(self, pbx: Asterisk) -> None:
        self._pbx = pbx
        self._sipp = Sipp()
        self._ports = {kind: free_port(socket.SOCK_DGRAM) for kind in KINDS}
        self._client_ports = {kind: free_port(socket.SOCK_DGRAM) for kind in KINDS}
        self._clients: dict[str, subprocess.Popen[bytes]] = {}
        self._round = 0
        prepare(pbx, self._ports)

    def __enter__(self) -> Self:
        self._sipp.__enter__()
        for kind, scenario in OPERATORS.items():
            self._sipp.start(f"operator{kind}", scenario, _OPERATORS_AT, self._ports[kind])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sipp.__exit__(kind, error, trace)

    def call(self, rate: float) -> None:
        """Let clients call, `rate` calls a second in all, until `rest`."""
        self._round += 1
        share_ms = round(1000 * len(KINDS) / rate)
        for kind, scenario in CLIENTS.items():
            name = f"client{kind}_{self._round}"
            numbers = self._sipp.file(f"{name}.numbers", _numbers(kind))
            self._clients[name] = self._sipp.start(
                name, scenario, _CLIENTS_AT, self._client_ports[kind],
                "-r", "1", "-rp", str(share_ms), "-l", str(_AT_ONCE), "-s", _NUMBER.format(kind),
                "-inf", numbers,
                f"127.0.0.1:{self._pbx.sip_port}",
            )  # fmt: skip

    def rest(self, limit_s: float = 30) -> None:
        """No new calls; returns when those that are on have ended."""
        for process in self._clients.values():
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + limit_s
        for name, process in self._clients.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                message = f"{name} still has calls after {limit_s:g} s:\n{self._sipp.said(name)}"
                raise AssertionError(message) from None

    def totals(self) -> tuple[int, int]:
        """Calls placed and calls that did not go as their scenario says, by the clients' own count."""
        placed = failed = 0
        for name in self._clients:
            counts = self._sipp.counts(name)
            placed += int(counts.get("OutgoingCall(C)", 0))
            failed += int(counts.get("FailedCall(C)", 0))
        return placed, failed

    def complaints(self) -> str:
        """The clients' errors."""
        return "\n".join(f"--- {name}\n{self._sipp.said(name)}" for name in self._clients)


def _numbers(kind: int) -> str:
    """A sequence of callers as sipp reads it; each kind of call begins at another one."""
    first = kind * len(_NUMBERS) // (len(KINDS) + 1)
    return "\n".join(["SEQUENTIAL", *_NUMBERS[first:], *_NUMBERS[:first], ""])


def prepare(pbx: Asterisk, ports: dict[int, int]) -> None:
    """Write the crowd's endpoints and extensions. Before the start of `pbx`."""
    parts = [
        f"""
[soaktrunk](outside)
rtp_timeout = 0
context = from-soak
[soaktrunk-address]
type = identify
endpoint = soaktrunk
match = {_CLIENTS_AT}
"""
    ]
    for kind, port in ports.items():
        name = _OPERATOR.format(kind)
        parts.append(
            f"""
[{name}](operator)
rtp_timeout = 0
aors = {name}
[{name}]
type = aor
contact = sip:{name}@{_OPERATORS_AT}:{port}
"""
        )
    _append(pbx.etc / "pjsip.conf", "".join(parts))
    extension = _NUMBER.format("X").replace("8", "_8", 1)
    _append(
        pbx.etc / "extensions.conf",
        f"\n[from-soak]\nexten => {extension},1,Gosub(callsteward-arm,s,1)\n"
        f" same => n,Dial(PJSIP/{_OPERATOR.format('${EXTEN:-1}')},20,b(callsteward-predial^s^1))\n"
        " same => n,Hangup()\n",
    )


def _append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def prepare_settings(
    folder: Path, pbx: Asterisk, broker: Mosquitto, *, name: str = "soak", **more: Any
) -> Settings:
    """The daemon's. `name`: of its ARI application and MQTT root."""
    lines = [{"name": LINE, "dids": [_NUMBER.format(kind) for kind in KINDS], "profile": "standard"}]
    return merged(lab_settings(folder, pbx, broker, name=name), {"lines": lines} | more)
