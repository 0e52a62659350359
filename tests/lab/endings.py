"""Talks past the greeting that end with a plain BYE of the client's side, meant or not.

A gateway that loses the client's radio sends the same BYE as a client who is done. ``python -m
tests.lab.capture --endings`` records them for ``tests/replay/test_heuristics.py``, which asks how well
``drop_on_bye`` tells the two apart. Each truth has one act ``end``: ``meant`` or ``cut``.
"""

from __future__ import annotations

from tests.lab.phones import Phone
from tests.lab.scenarios import connected
from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell

ENDINGS = Scenarios[Stage]()
ending = ENDINGS.add


def _talk(stage: Stage) -> tuple[Phone, Phone]:
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    return operator, client


def _end(stage: Stage, operator: Phone, client: Phone, label: str) -> None:
    tell("end", who="client", label=label)
    client.line.bye()
    stage.until_over(operator, client)


# --- meant -----------------------------------------------------------------------------------------------
@ending
def meant_after_farewell(stage: Stage) -> None:
    """The operator says goodbye, the client hangs up a second later."""
    operator, client = _talk(stage)
    stage.say(operator, 1.5, pause_s=1.0)
    _end(stage, operator, client, "meant")


@ending
def meant_during_farewell(stage: Stage) -> None:
    """The operator is still saying goodbye when the client hangs up: as often happens."""
    operator, client = _talk(stage)
    operator.line.talk()
    stage.wait(1.5)
    _end(stage, operator, client, "meant")


@ending
def meant_at_the_last_word(stage: Stage) -> None:
    """The client hangs up 0.2 s after the operator's last word: within the detector's grain."""
    operator, client = _talk(stage)
    stage.say(operator, 1.5, pause_s=0.2)
    _end(stage, operator, client, "meant")


@ending
def meant_with_own_word(stage: Stage) -> None:
    """The client says thanks and hangs up on their own word."""
    operator, client = _talk(stage)
    stage.say(operator, 1.5)
    client.line.talk()
    stage.wait(0.8)
    _end(stage, operator, client, "meant")


@ending
def meant_on_hold(stage: Stage) -> None:
    """The client is tired of the music."""
    operator, client = _talk(stage)
    operator.line.hold()
    stage.wait(3.0)
    _end(stage, operator, client, "meant")


# --- cut -------------------------------------------------------------------------------------------------
@ending
def cut_operator_mid_word(stage: Stage) -> None:
    """The radio goes while the operator explains."""
    operator, client = _talk(stage)
    operator.line.talk()
    stage.wait(1.7)
    _end(stage, operator, client, "cut")


@ending
def cut_operator_says_hello(stage: Stage) -> None:
    """The radio goes while the client speaks, the gateway notices when the operator asks for them."""
    operator, client = _talk(stage)
    client.line.talk()
    stage.wait(1.0)
    client.line.hush()
    stage.wait(1.5)
    operator.line.talk()
    stage.wait(1.0)
    _end(stage, operator, client, "cut")


@ending
def cut_client_mid_word(stage: Stage) -> None:
    """The radio goes while the client speaks."""
    operator, client = _talk(stage)
    client.line.talk()
    stage.wait(1.7)
    _end(stage, operator, client, "cut")


@ending
def cut_in_a_pause(stage: Stage) -> None:
    """The radio goes while nobody speaks."""
    operator, client = _talk(stage)
    stage.wait(1.5)
    _end(stage, operator, client, "cut")


@ending
def cut_on_hold(stage: Stage) -> None:
    """The radio goes while the client waits on hold."""
    operator, client = _talk(stage)
    operator.line.hold()
    stage.wait(3.0)
    _end(stage, operator, client, "cut")


if __name__ == "__main__":
    raise SystemExit(main(ENDINGS, __doc__))
