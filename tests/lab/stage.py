"""A scenario, the stage that it is played on, and the process that plays one.

A scenario is a function: it is given a `Stage` and moves the phones on it. Each module that has some gathers
them in a `Scenarios`, and ends with `main`.
"""

from __future__ import annotations

import argparse
import json
import select
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.lab.errors import LabError
from tests.lab.lanes import TECHNOLOGIES, Lane
from tests.lab.phones import Exchange, Line, Phone


@dataclass(slots=True)
class Stage:
    """The stage of a scenario."""

    exchange: Exchange
    lane: Lane
    ari_url: str = ""
    ari_authorization: str = ""

    def operator(self, place: int, **habits: object) -> Phone:
        return self.exchange.operator(self.lane.operator(place), **habits)

    def client(self, place: int = 1, **habits: object) -> Phone:
        who = "client" if place == 1 else f"client{place}"
        return self.exchange.outside(self.lane.outside(place), who, **habits)

    def wait(self, seconds: float) -> None:
        self.exchange.wait(seconds)

    def until_up(self, *lines: Line, limit_s: float = 30) -> None:
        for line in lines:
            self.exchange.until(line.is_decided, limit_s, f"{line.phone.who} to be answered")
            if line.over:
                message = f"the call of {line.phone.who} ended with {line.status}"
                raise LabError(message)

    def until_talking(self, *phones: Phone, limit_s: float = 30) -> None:
        for phone in phones:
            self.exchange.until(phone.is_talking, limit_s, f"{phone.who} to talk")

    def until_ringing(self, phone: Phone, limit_s: float = 20) -> None:
        self.exchange.until(phone.is_ringing, limit_s, f"{phone.who} to ring")

    def until_over(self, *phones: Phone, limit_s: float = 30) -> None:
        for phone in phones:
            self.exchange.until(phone.is_idle, limit_s, f"{phone.who}'s call to end")

    def say(self, phone: Phone | Line, seconds: float, pause_s: float = 0.7) -> None:
        """One speaks for a while, then a breath."""
        line = phone.line if isinstance(phone, Phone) else phone
        line.talk()
        self.wait(seconds)
        line.hush()
        self.wait(pause_s)

    def dialogue(self, operator: Phone, client: Phone, *, turns: int = 2) -> None:
        """The operator greets past ``greeting_s``, the client answers, and so on."""
        self.wait(0.1)
        for turn in range(turns):
            self.say(operator, 3.3 if turn == 0 else 1.6)
            self.say(client, 2.0 if turn == 0 else 1.4)

    def until_cue(self, limit_s: float) -> None:
        """Let the phones go on until the test gives its cue: a line on stdin. LabError if it does not."""
        self.exchange.until(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), limit_s, "the test's cue")
        if not sys.stdin.readline():
            message = "the test ended without a cue"
            raise LabError(message)

    def ari(self, method: str, path: str) -> object:
        request = urllib.request.Request(
            f"{self.ari_url}{path}",
            method=method,
            headers={"Authorization": self.ari_authorization},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text else None


AnyStage = TypeVar("AnyStage", bound=Stage)


class Scenarios(dict[str, Callable[[AnyStage], None]], Generic[AnyStage]):
    """Scenarios by their names."""

    def add(self, play: Callable[[AnyStage], None]) -> Callable[[AnyStage], None]:
        """Use it as a decorator."""
        self[play.__name__] = play
        return play


def on_lane(exchange: Exchange, arguments: argparse.Namespace) -> Stage:
    """The lab's own stage."""
    lane = Lane(arguments.lane, arguments.driver)
    return Stage(exchange, lane, arguments.ari_url, arguments.ari_authorization)


def main(
    plays: Scenarios[AnyStage],
    description: str | None,
    made: Callable[[Exchange, argparse.Namespace], AnyStage] = on_lane,  # type: ignore[assignment]
) -> int:
    """``python -m MODULE NAME --sip-port PORT --lane N``: play one and print the truth as JSON lines."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", choices=sorted(plays))
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, default=0)
    parser.add_argument("--driver", default="pjsip", choices=tuple(TECHNOLOGIES))
    parser.add_argument("--ari-url", default="")
    parser.add_argument("--ari-authorization", default="")
    parser.add_argument("--console", default="[]", help="Asterisk's console as a JSON list of words")
    parser.add_argument("--sip-log", type=int, default=0, help="PJSIP's log level")
    arguments = parser.parse_args()
    exchange = Exchange(arguments.sip_port, log_level=arguments.sip_log)
    stage = made(exchange, arguments)
    status = 0
    with exchange:
        try:
            plays[arguments.name](stage)
        except LabError as error:
            print(f"{arguments.name}: {error}", file=sys.stderr, flush=True)
            status = 1
    exchange.leave(status)
    return status
