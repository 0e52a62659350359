"""The phones of one run, in a process of their own that obeys commands (tests/lab/commanded.py).

Between commands the phones live by their habits, since after a fault nobody knows what comes next: they
answer after a while, and a client who has talked enough hangs up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.lab.commanded import run
from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange, Line, Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.truth import tell

LIMIT_S = 30


class Show:
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
        match do:
            case "operator":
                phone = self._exchange.operator(self._lane.operator(int(who.removeprefix("op"))))
                self._phones[who] = phone
                self._habits(who, value)
            case "client":
                place = int(who.removeprefix("client") or 1)
                self._phones[who] = self._exchange.outside(self._lane.outside(place), who)
                self._habits(who, value)
                tell("back", who=who)
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
                self._phones[who].line.transfer(self._lane.operator(int(str(value).removeprefix("op"))))
            case "if_up":
                # A client who may be gone by now does it all the same, if not.
                for line in [line for line in self._phones[who].calls if line.up and not line.over]:
                    getattr(line, value[0])(*value[1:])
            case "dial" if who != "mobile":
                self._phones[who].dial(str(value))
            case _:
                self._act(do, who, value)

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        def so() -> bool:
            self.go_on()
            return happened()

        self._exchange.until(so, LIMIT_S, what)

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


if __name__ == "__main__":
    run(__doc__, Show)
