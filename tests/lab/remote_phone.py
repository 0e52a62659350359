"""A phone in a process of its own, so that it can vanish: SIGKILL sends no BYE.

The process takes commands on stdin and prints truth lines on stdout, between them
its state (``{"state": …}``), which the near end keeps for itself.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
from types import TracebackType
from typing import IO, Self

from tests.lab.lanes import OutsideLine
from tests.lab.phones import Exchange, Phone
from tests.lab.priority import go_with_others
from tests.lab.truth import tell

# Python and the SIP stack load, on a busy machine for long.
READY_S = 30.0


class RemotePhone:
    """The near end: looks like a phone to the scenario."""

    def __init__(
        self, exchange: Exchange, who: str, number: str, address: str, registers_as: str = ""
    ) -> None:
        self.exchange = exchange
        self.who = who
        self.state = ""
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.lab.remote_phone",
                "--sip-port", str(exchange.sip_port), "--who", who,
                "--number", number, "--address", address, "--registers-as", registers_as,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        go_with_others(self._process.pid)
        os.set_blocking(self._out.fileno(), False)
        self._rest = b""

    @classmethod
    def operator(cls, exchange: Exchange, user: str) -> Self:
        return cls(exchange, user, user, "")

    @classmethod
    def outside(cls, exchange: Exchange, line: OutsideLine, who: str) -> Self:
        return cls(exchange, who, line.number, line.address, line.registers_as)

    def __enter__(self) -> Self:
        self.exchange.until(self._has_state("registered"), READY_S, f"{self.who} to register")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._read()

    def dial(self, number: str) -> None:
        self._order("dial", number)

    def talk(self) -> None:
        self._order("talk")

    def hush(self) -> None:
        self._order("hush")

    def hold(self) -> None:
        self._order("hold")

    def vanish(self) -> None:
        """Gone, without a word."""
        self._process.kill()
        tell("vanish", who=self.who)
        self._process.wait()
        self._read()

    def _order(self, verb: str, value: str = "") -> None:
        if self._process.stdin is None:
            message = "no pipe to the remote phone"
            raise RuntimeError(message)
        self._process.stdin.write(json.dumps([verb, value]).encode() + b"\n")
        self._process.stdin.flush()

    @property
    def _out(self) -> IO[bytes]:
        if self._process.stdout is None:
            message = "no pipe from the remote phone"
            raise RuntimeError(message)
        return self._process.stdout

    def _has_state(self, wanted: str) -> _StateReached:
        return _StateReached(self, wanted)

    def _read(self) -> None:
        chunk = self._out.read() or b""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"{"):
                continue
            row = json.loads(line)
            if "state" in row:
                self.state = row["state"]
            else:
                sys.stdout.write(line.decode() + "\n")
                sys.stdout.flush()


class _StateReached:
    """A condition for ``Exchange.until``."""

    def __init__(self, phone: RemotePhone, wanted: str) -> None:
        self._phone = phone
        self._wanted = wanted

    def __call__(self) -> bool:
        self._phone._read()
        return self._phone.state == self._wanted


def _obey(phone: Phone, verb: str, value: str) -> None:
    if verb == "dial":
        phone.dial(value)
    elif verb == "talk":
        phone.line.talk()
    elif verb == "hush":
        phone.line.hush()
    elif verb == "hold":
        phone.line.hold()


def main() -> None:
    """The far end: obeys until it is killed or its stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--who", required=True)
    parser.add_argument("--number", required=True)
    parser.add_argument("--address", default="", help="of an outside line")
    parser.add_argument("--registers-as", default="", help="the name an outside line registers by")
    arguments = parser.parse_args()
    commands = selectors.DefaultSelector()
    commands.register(sys.stdin, selectors.EVENT_READ)
    with Exchange(arguments.sip_port) as exchange:
        if arguments.address:
            line = OutsideLine("", arguments.number, arguments.address, arguments.registers_as)
            phone = exchange.outside(line, arguments.who)
        else:
            phone = exchange.operator(arguments.number)
        sys.stdout.write('{"state": "registered"}\n')
        sys.stdout.flush()
        while True:
            exchange.pump()
            if commands.select(timeout=0):
                text = sys.stdin.readline()
                if not text:
                    break
                _obey(phone, *json.loads(text))
    exchange.leave()


if __name__ == "__main__":
    main()
