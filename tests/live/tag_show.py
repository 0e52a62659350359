"""Calls of which somebody says something, and what the client's phone then gets: one show a process.

``python -m tests.live.tag_show NAME --sip-port PORT --lane N`` plays one with real phones; keys are real
RFC 4733 digits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange, Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.scenarios import Stage
from tests.lab.truth import tell

Show = Callable[[Stage], None]
SHOWS: dict[str, Show] = {}

GREETING_S = 1.6
"""Past the lab's greeting_s of 1 s."""
AFTERWARDS_S = 8.0
"""Long enough for a second call to the client, if one were made."""


def show(play: Show) -> Show:
    SHOWS[play.__name__] = play
    return play


def _dialogue(stage: Stage) -> tuple[Phone, Phone]:
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client(answer_after_s=0.5)
    stage.until_up(client.dial(stage.lane.did(10)))
    stage.until_talking(operator)
    stage.say(operator, GREETING_S)
    stage.say(client, 1.0)
    return operator, client


def _called_back(stage: Stage, client: Phone, operator: Phone) -> None:
    stage.exchange.until(lambda: len(client.calls) == 2, 30, "the client to be called back")
    stage.until_talking(client, operator)
    stage.say(operator, 1.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


def _dial_code(stage: Stage, operator: Phone, code: str) -> None:
    """The operator dials a code and waits for the beep and the hang-up."""
    line = operator.dial(code)
    stage.until_up(line)
    stage.exchange.until(lambda: line.over, 10, f"{code} to be done")
    tell("coded", who=operator.who, code=code)


@show
def key_dropped(stage: Stage) -> None:
    """The operator presses *61 in the talk, the client hangs up as after any other talk."""
    operator, client = _dialogue(stage)
    operator.line.press("*61")
    stage.wait(1.0)
    client.line.bye()
    _called_back(stage, client, operator)


@show
def key_dropped_twice(stage: Stage) -> None:
    """*61 in the talk, and *61 once more after it."""
    operator, client = _dialogue(stage)
    operator.line.press("*61")
    stage.wait(1.0)
    client.line.bye()
    _called_back(stage, client, operator)
    _dial_code(stage, operator, "*61")
    stage.wait(AFTERWARDS_S)


@show
def code_dropped(stage: Stage) -> None:
    """A plain end; the operator dials *61 right after it."""
    operator, client = _dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(0.5)
    _dial_code(stage, operator, "*61")
    _called_back(stage, client, operator)


@show
def code_too_late(stage: Stage) -> None:
    """A plain end; the operator dials *61 when the wrap-up is over."""
    operator, client = _dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(7.0)
    _dial_code(stage, operator, "*61")
    stage.wait(AFTERWARDS_S)


@show
def key_dnc(stage: Stage) -> None:
    """The client asks not to be called (*62), then their network breaks."""
    operator = stage.operator(1, answer_after_s=0.5)
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        stage.say(operator, GREETING_S, pause_s=0.3)
        operator.line.press("*62")
        stage.wait(1.0)
        client.talk()
        stage.wait(1.0)
        client.vanish()
    stage.client(1)
    stage.until_over(operator)
    stage.wait(AFTERWARDS_S)


@show
def ticket_and_others(stage: Stage) -> None:
    """*63, *64, *67 in the talk; the ticket's number and *67 once more after it."""
    operator, client = _dialogue(stage)
    for code in ("*63", "*64", "*67"):
        operator.line.press(code)
        stage.wait(1.2)
    client.line.bye()
    stage.until_over(operator, client)
    _dial_code(stage, operator, "*661042")
    _dial_code(stage, operator, "*67")
    stage.wait(1.0)


@show
def client_presses(stage: Stage) -> None:
    """It is the client who presses *61 and *62: those keys are not theirs."""
    operator, client = _dialogue(stage)
    client.line.press("*61*62")
    stage.wait(1.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@show
def plain(stage: Stage) -> None:
    """A talk that ends as talks end; the phones stay for what a test does next."""
    operator, client = _dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    tell("ended", who="client")
    stage.wait(3 * AFTERWARDS_S)


def main() -> int:
    """Play one show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SHOWS))
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, default=0)
    arguments = parser.parse_args()
    exchange = Exchange(arguments.sip_port)
    stage = Stage(exchange, Lane(arguments.lane))
    status = 0
    with exchange:
        try:
            SHOWS[arguments.name](stage)
        except LabError as error:
            print(f"{arguments.name}: {error}", file=sys.stderr, flush=True)
            status = 1
    exchange.leave(status)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
