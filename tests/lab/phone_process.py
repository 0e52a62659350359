"""The phones of one lane in a process of their own, moved step by step.

`Phones` is the near end: it gives orders, and hears what the phones did the moment they do it. The far end
reads an order a line of JSON from stdin and answers each with ``{"done": …, "error": …}``; the lines before
the answer are the truth. Between orders the phones live by their habits, since after a fault nobody knows
what comes next: they answer after a while, and a client who has talked enough hangs up.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.judge.truth import Truth
from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.pbx_config import REPOSITORY
from tests.lab.phones import Exchange, Line, Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.truth import tell

ORDER_LIMIT_S = 45.0
UNTIL_LIMIT_S = 30.0
Act = dict[str, Any]


class Phones:
    """The near end. Context manager; raises LabError where the phones do not do as they are told."""

    def __init__(self, sip_port: int, lane: int) -> None:
        self.lane = Lane(lane)
        self.acts: list[Act] = []
        self._changed = threading.Condition()
        self._done: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, "--sip-port", str(sip_port), "--lane", str(lane)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"phones {lane}", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # With the end of its stdin it knows that all is over; it hangs up and unregisters.
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.close()
            self._process.wait(6)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def do(self, do: str, who: str, value: object = None) -> None:
        """One order, carried out when this returns."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"do": do, "who": who, "value": value}) + "\n")
            stdin.flush()
            error = self._done.get(timeout=ORDER_LIMIT_S)
        except (BrokenPipeError, queue.Empty) as trouble:
            message = f"the phones of lane {self.lane.index} do not {do} ({who})"
            raise LabError(message) from trouble
        if error is None:
            message = f"the phones of lane {self.lane.index} died at {do} ({who})"
            raise LabError(message)
        if error:
            raise LabError(error)

    def vanish(self) -> None:
        """Their process is killed: no phone says goodbye, and none answers any more."""
        self._process.kill()
        self._process.wait()

    def two(self, *, answer_after_s: float | None = None) -> Self:
        """An operator and a client, with phones: the operator's rings until it is picked up, or answers."""
        self.do("operator", "op1", {"answer_after_s": answer_after_s})
        self.do("client", "client")
        return self

    def call(self, *, answered_after_s: float = 1.0) -> None:
        """The client dials the operator, who answers."""
        self.two(answer_after_s=answered_after_s)
        self.do("dial", "client", self.lane.did(10))
        self.do("until_talking", "op1")
        self.do("until_talking", "client")

    def say(self, who: str, seconds: float) -> None:
        """One speaks for a while."""
        self.do("talk", who)
        time.sleep(seconds)
        self.do("hush", who)

    def bye(self, who: str = "client") -> None:
        """One hangs up; both phones are free when this returns."""
        self.do("bye", who)
        self.do("until_idle", "client")
        self.do("until_idle", "op1")

    def wait(self, matches: Callable[[Act], bool], limit_s: float, what: str, *, since: int = 0) -> Act:
        """The first act that matches, as soon as it happens; LabError if none does."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                found = next((act for act in self.acts[since:] if matches(act)), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    message = f"waited {limit_s} s in vain for {what}"
                    raise LabError(message)
                self._changed.wait(left)

    def count(self) -> int:
        return len(self.acts)

    def of(self, do: str, who: str) -> list[Act]:
        """A phone's acts of one kind, in order."""
        return [act for act in list(self.acts) if act["do"] == do and act.get("who") == who]

    @property
    def truth(self) -> Truth:
        return Truth(self.acts)

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            if "done" in row:
                self._done.put(row["error"])
                continue
            with self._changed:
                self.acts.append(row)
                self._changed.notify_all()
        self._done.put(None)


class _FarEnd:
    """Phones by name: op1 … op4, client, client2, and `mobile`, the client's phone that can vanish."""

    def __init__(self, exchange: Exchange, lane: Lane) -> None:
        self._exchange = exchange
        self._lane = lane
        self._phones: dict[str, Phone] = {}
        self._mobile: RemotePhone | None = None
        self._talks_s: dict[str, float] = {}
        self._up_since: dict[Line, float] = {}
        self._over: set[Line] = set()

    def go_on(self) -> None:
        """Who has talked long enough hangs up; that a call is over is told, whoever ended it."""
        now = time.monotonic()
        for name, called in self._phones.items():
            for line in called.calls:
                if line.over and line not in self._over:
                    self._over.add(line)
                    tell("over", who=name)
        for name, seconds in self._talks_s.items():
            phone = self._phones.get(name)
            for line in [] if phone is None else phone.calls:
                if line.up and not line.over and now - self._up_since.setdefault(line, now) > seconds:
                    line.bye()

    def obey(self, do: str, who: str, value: Any) -> None:
        """Carry out an order. Raises LabError."""
        match do:
            case "operator" | "client":
                if who not in self._phones:
                    self._phones[who] = self._made(do, who)
                    if do == "client":
                        tell("back", who=who)
                self._habits(who, value)
            case "habits":
                self._habits(who, value)
            case "mobile":
                self._mobile = RemotePhone.outside(self._exchange, self._lane.outside(1), "client")
                self._mobile.__enter__()
            case "register":
                for phone in self._phones.values():
                    phone.setRegistration(True)
            case "until_talking" | "until_ringing" | "until_idle":
                phone = self._phones[who]
                what = do.removeprefix("until_")
                self._until(
                    {"talking": phone.is_talking, "ringing": phone.is_ringing, "idle": phone.is_idle}[what],
                    f"{who} to be {what}",
                )
            case "transfer":
                self._phones[who].line.transfer(self._lane.operator(_place(str(value))))
            case "if_up":
                # A client who may be gone by now does it all the same, if not.
                for line in [line for line in self._phones[who].calls if line.up and not line.over]:
                    getattr(line, value[0])(*value[1:])
            case "dial" if who != "mobile":
                self._phones[who].dial(str(value))
            case _:
                self._act(do, who, value)

    def _made(self, kind: str, who: str) -> Phone:
        if kind == "operator":
            return self._exchange.operator(self._lane.operator(_place(who)))
        return self._exchange.outside(self._lane.outside(_place(who)), who)

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        def so() -> bool:
            self.go_on()
            return happened()

        self._exchange.until(so, UNTIL_LIMIT_S, what)

    def _act(self, do: str, who: str, value: Any) -> None:
        if who != "mobile":
            getattr(self._phones[who].line, do)()
            return
        if self._mobile is None:
            message = "there is no mobile phone"
            raise LabError(message)
        getattr(self._mobile, do)(*(() if value is None else (value,)))

    def _habits(self, who: str, habits: dict[str, Any] | None) -> None:
        for name, value in (habits or {}).items():
            if name == "talks_s":
                self._talks_s[who] = value
            else:
                setattr(self._phones[who], name, value)


def _place(who: str) -> int:
    """Of ``op2`` or ``client2`` the 2; who has no number is the first."""
    return int(re.sub(r"\D", "", who) or 1)


def main() -> None:
    """The far end: ``--sip-port PORT --lane N``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, required=True)
    arguments = parser.parse_args()
    orders = selectors.DefaultSelector()
    orders.register(sys.stdin, selectors.EVENT_READ)
    with Exchange(arguments.sip_port) as exchange:
        phones = _FarEnd(exchange, Lane(arguments.lane))
        while True:
            exchange.pump()
            phones.go_on()
            if not orders.select(timeout=0):
                continue
            text = sys.stdin.readline()
            if not text:
                break
            order = json.loads(text)
            error = ""
            try:
                phones.obey(**order)
            except LabError as trouble:
                error = str(trouble)
            except KeyError as nobody:
                error = f"there is no phone {nobody}"
            print(json.dumps({"done": order["do"], "error": error}), flush=True)
    exchange.leave()


if __name__ == "__main__":
    main()
