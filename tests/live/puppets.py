"""Phones a test moves step by step, where a scenario played from top to bottom is too stiff."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

from tests.judge.truth import Truth
from tests.lab.asterisk import Asterisk
from tests.lab.lanes import Lane
from tests.lab.pbx_config import REPOSITORY


class Puppets:
    """An operator's and a client's phone on one lane, in a process of their own. Context manager."""

    def __init__(self, pbx: Asterisk, lane: int) -> None:
        self.lane = Lane(lane)
        self.acts: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.live.puppet_show",
                "--sip-port", str(pbx.sip_port), "--lane", str(lane),
            ],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self.do("operator", "operator", 1)
            self.do("client", "client", 1)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # With its stdin it knows that the show is over; it hangs up and unregisters.
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def operator(self) -> str:
        """What Asterisk calls the operator."""
        return self.lane.operator(1)

    @property
    def truth(self) -> Truth:
        return Truth(self.acts)

    def do(self, do: str, who: str, value: object = None) -> None:
        """One step, done when this returns."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, "who": who, "value": value}) + "\n")
        stdin.flush()
        while line := stdout.readline():
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            if "done" not in row:
                self.acts.append(row)
                continue
            assert not row["error"], row["error"]
            return
        message = f"the phones of lane {self.lane.index} died at {do}"
        raise AssertionError(message)

    def call(self, *, answered_after_s: float = 1.0) -> None:
        """The client dials the operator, who answers."""
        self.do("answers_after", "operator", answered_after_s)
        self.do("dial", "client", self.lane.did(10))
        self.do("until_talking", "operator")
        self.do("until_talking", "client")

    def say(self, who: str, seconds: float) -> None:
        self.do("talk", who)
        time.sleep(seconds)
        self.do("hush", who)

    def bye(self, who: str = "client") -> None:
        """One hangs up; both phones are free when this returns."""
        self.do("bye", who)
        self.do("until_idle", "client")
        self.do("until_idle", "operator")
