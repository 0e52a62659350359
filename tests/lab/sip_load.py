"""Many short calls a second from one outside line, without sound, to an extension that hangs up by itself."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.lab.lanes import OutsideLine
from tests.lab.ports import free_port
from tests.lab.sipp import Sipp
from tests.soak.scenarios import OPERATOR_ENDS

_NAME = "load"
# Upper ends, in ms, of the classes in which sipp counts how long an answer took.
_ANSWERED_WITHIN_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_SCENARIO = OPERATOR_ENDS.replace("[field0]", "79000000001").replace(
    "</scenario>",
    f'<ResponseTimeRepartition value="{", ".join(map(str, _ANSWERED_WITHIN_MS))}"/>\n</scenario>',
)
# More than any machine that runs this carries at once.
_AT_ONCE = 4_000


@dataclass(frozen=True, slots=True)
class Account:
    """The results of the calls, by sipp's count.

    `within_ms`: the slowest answer took less, None where that is none of sipp's classes.
    """

    placed: int
    answered: int
    refused: int
    unanswered: int
    within_ms: int | None

    @classmethod
    def of(cls, counts: Mapping[str, str]) -> Self:
        def count(column: str) -> int:
            return int(counts.get(f"{column}(C)") or 0)

        refused = count("FailedUnexpectedMessage")
        slower = count(f"ResponseTimeRepartition1_>={_ANSWERED_WITHIN_MS[-1]}")
        within = [ms for ms in _ANSWERED_WITHIN_MS if count(f"ResponseTimeRepartition1_<{ms}")]
        return cls(
            placed=count("OutgoingCall"),
            answered=count("SuccessfulCall"),
            refused=refused,
            unanswered=count("FailedCall") - refused,
            within_ms=None if slower or not within else within[-1],
        )


class SipLoad:
    """Places `rate` calls a second. Use as a context manager."""

    def __init__(self, line: OutsideLine, sip_port: int, extension: str, rate: float) -> None:
        self._line, self._sip_port, self._extension, self._rate = line, sip_port, extension, rate
        self._sipp = Sipp()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._sipp.__enter__()
        port = free_port(socket.SOCK_DGRAM)
        self._process = self._sipp.start(
            _NAME, _SCENARIO, self._line.address, port,
            "-r", f"{self._rate:g}", "-l", str(_AT_ONCE), "-s", self._extension,
            f"127.0.0.1:{self._sip_port}",
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sipp.__exit__(kind, error, trace)

    def finish(self, limit_s: float = 30.0) -> Account:
        """Place no more calls, wait for the end of those that are on."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            message = f"still calls after {limit_s:g} s:\n{self._sipp.said(_NAME)}"
            raise AssertionError(message) from None
        return self.account()

    def account(self) -> Account:
        """So far; sipp writes it down once a second."""
        return Account.of(self._sipp.counts(_NAME))

    def said(self) -> str:
        """Its errors, for a test that fails."""
        return self._sipp.said(_NAME)
