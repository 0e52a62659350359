"""The talks that the scenarios of callbacks, ratings and tags begin with."""

from __future__ import annotations

from tests.lab.phones import Line, Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.stage import Stage

GREETING_S = 1.6
"""Past the lab's greeting_s of 1 s."""
AFTERWARDS_S = 8.0
"""Long enough for a second call to the client, if one were made."""


def dialogue(stage: Stage, kind: int = 10, *, pause_s: float = 0.7) -> tuple[Phone, Phone, Line]:
    """A talk past the greeting on that kind of number: operator 1, the client, and the client's line."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client(answer_after_s=0.5)
    line = client.dial(stage.lane.did(kind))
    stage.until_up(line)
    stage.until_talking(operator)
    stage.say(operator, GREETING_S, pause_s=pause_s)
    stage.say(client, 1.0, pause_s=pause_s)
    return operator, client, line


def client_who_vanishes(stage: Stage) -> RemotePhone:
    """The client's phone in a process of its own; enter it, then `greeted`."""
    return RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client")


def greeted(stage: Stage, operator: Phone, client: RemotePhone, kind: int = 10) -> None:
    """The client calls and the operator greets them."""
    client.dial(stage.lane.did(kind))
    stage.until_talking(operator)
    stage.say(operator, GREETING_S, pause_s=0.3)


def speaks_and_vanishes(stage: Stage, client: RemotePhone) -> None:
    """The client's phone goes in the middle of a word, without a BYE."""
    client.talk()
    stage.wait(1.0)
    client.vanish()
