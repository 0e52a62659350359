"""Calls on other people's configurations, with callbacks where they are due.

Each ``ring`` of the client is one INVITE their phone received.
"""

from __future__ import annotations

import urllib.parse

from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell
from tests.live.scenario_parts import (
    AFTERWARDS_S,
    GREETING_S,
    client_who_vanishes,
    dialogue,
    greeted,
    speaks_and_vanishes,
)

SCENARIOS = Scenarios[Stage]()
scenario = SCENARIOS.add


@scenario
def provider_timeout(stage: Stage) -> None:
    """The client's provider has lost them: its BYE says `Reason: SIP;cause=408`. They are called back."""
    operator, client, _ = dialogue(stage)
    client.line.bye(reason='SIP;cause=408;text="Request Timeout"')
    stage.until_over(operator, client)
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called back")
    stage.until_talking(client, operator)
    stage.say(operator, 1.5)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def old_cause(stage: Stage) -> None:
    """Operator 1's phone fails (500), operator 2 has the client, who says goodbye: nobody calls them back."""
    stage.operator(1, reject_with=500)
    second = stage.operator(2, answer_after_s=0.5)
    client = stage.client(1, answer_after_s=0.5)
    stage.until_up(client.dial(stage.lane.did(16)))
    stage.until_talking(second)
    stage.say(second, GREETING_S)
    stage.say(client, 1.0)
    client.line.bye()
    stage.until_over(second, client)
    stage.wait(AFTERWARDS_S)


@scenario
def dead_transfer(stage: Stage) -> None:
    """The operator hands the client to a number whose provider says 500: the PBX ends it, nobody was lost."""
    stage.client(2, reject_with=500)
    operator, client, _ = dialogue(stage, 14)
    operator.line.transfer(stage.lane.outside(2).number)
    stage.until_over(client)
    stage.wait(AFTERWARDS_S)


@scenario
def operator_unheard(stage: Stage) -> None:
    """Nobody hears the operator, the client vanishes after a long dialogue: they are called back."""
    operator = stage.operator(1, answer_after_s=0.5)
    with client_who_vanishes(stage) as gone:
        greeted(stage, operator, gone, 17)
        speaks_and_vanishes(stage, gone)
    client = stage.client(1, answer_after_s=1.0)
    tell("back", who="client")
    stage.exchange.until(lambda: bool(client.calls), 40, "the client to be called back")
    stage.until_talking(client, operator)
    stage.say(operator, 1.5)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def clicked_in_vain(stage: Stage) -> None:
    """While a callback is due a program rings operator 2 and then the client, in vain: it stays due."""
    first = stage.operator(1, answer_after_s=0.5)
    second = stage.operator(2, answer_after_s=0.5)
    with client_who_vanishes(stage) as gone:
        greeted(stage, first, gone)
        speaks_and_vanishes(stage, gone)
    first.answer_after_s = None
    client = stage.client(1, answer_after_s=None)
    tell("back", who="client")
    stage.exchange.until(first.is_idle, 20, "the drop to be noticed")
    clicked = {
        "endpoint": f"{stage.lane.technology}/{stage.lane.operator(2)}",
        "extension": client.number,
        "context": "from-internal",
        "priority": "1",
    }
    stage.ari("POST", f"/channels?{urllib.parse.urlencode(clicked)}")
    stage.until_ringing(client)
    tell("clicked", who="client")
    stage.until_over(client, second)
    client.answer_after_s = 0.5
    first.answer_after_s = 0.5
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called back")
    stage.until_talking(client)
    stage.wait(1.0)
    client.line.bye()
    stage.until_over(first, second, client)
    stage.wait(AFTERWARDS_S)


if __name__ == "__main__":
    raise SystemExit(main(SCENARIOS, __doc__))
