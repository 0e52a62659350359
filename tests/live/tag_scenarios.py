"""Calls of which somebody says something, and what the client's phone then gets.

Keys are real RFC 4733 digits.
"""

from __future__ import annotations

from tests.lab.phones import Phone
from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell
from tests.live.scenario_parts import (
    AFTERWARDS_S,
    client_who_vanishes,
    dialogue,
    greeted,
    speaks_and_vanishes,
)

SCENARIOS = Scenarios[Stage]()
scenario = SCENARIOS.add


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


@scenario
def key_dropped(stage: Stage) -> None:
    """The operator presses *61 in the talk, the client hangs up as after any other talk."""
    operator, client, _ = dialogue(stage)
    operator.line.press("*61")
    stage.wait(1.0)
    client.line.bye()
    _called_back(stage, client, operator)


@scenario
def key_dropped_twice(stage: Stage) -> None:
    """*61 in the talk, and *61 once more after it."""
    operator, client, _ = dialogue(stage)
    operator.line.press("*61")
    stage.wait(1.0)
    client.line.bye()
    _called_back(stage, client, operator)
    _dial_code(stage, operator, "*61")
    stage.wait(AFTERWARDS_S)


@scenario
def code_dropped(stage: Stage) -> None:
    """A plain end; the operator dials *61 right after it."""
    operator, client, _ = dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(0.5)
    _dial_code(stage, operator, "*61")
    _called_back(stage, client, operator)


@scenario
def code_too_late(stage: Stage) -> None:
    """A plain end; the operator dials *61 when the wrap-up is over."""
    operator, client, _ = dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(7.0)
    _dial_code(stage, operator, "*61")
    stage.wait(AFTERWARDS_S)


@scenario
def key_dnc(stage: Stage) -> None:
    """The client asks not to be called (*62), then their network breaks."""
    operator = stage.operator(1, answer_after_s=0.5)
    with client_who_vanishes(stage) as client:
        greeted(stage, operator, client)
        operator.line.press("*62")
        stage.wait(1.0)
        speaks_and_vanishes(stage, client)
    stage.client(1)
    stage.until_over(operator)
    stage.wait(AFTERWARDS_S)


@scenario
def ticket_and_others(stage: Stage) -> None:
    """*63, *64, *67 in the talk; the ticket's number and *67 once more after it."""
    operator, client, _ = dialogue(stage)
    for code in ("*63", "*64", "*67"):
        operator.line.press(code)
        stage.wait(1.2)
    client.line.bye()
    stage.until_over(operator, client)
    _dial_code(stage, operator, "*661042")
    _dial_code(stage, operator, "*67")
    stage.wait(1.0)


@scenario
def client_presses(stage: Stage) -> None:
    """It is the client who presses *61 and *62: those keys are not theirs."""
    operator, client, _ = dialogue(stage)
    client.line.press("*61*62")
    stage.wait(1.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def plain(stage: Stage) -> None:
    """A talk that ends as talks end; the phones stay for what a test does next."""
    operator, client, _ = dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    tell("ended", who="client")
    stage.wait(3 * AFTERWARDS_S)


if __name__ == "__main__":
    raise SystemExit(main(SCENARIOS, __doc__))
