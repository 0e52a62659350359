"""Calls that a site's own program builds over ARI."""

from __future__ import annotations

from tests.lab.dialler import Dialler
from tests.lab.field_stage import FieldStage
from tests.lab.phones import Phone
from tests.lab.stage import Scenarios
from tests.lab.truth import tell

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


def _endpoint(stage: FieldStage, place: int) -> str:
    return f"{stage.tech}/{stage.site.operator(place)}"


def _outside(stage: FieldStage, phone: Phone, trunk: str) -> str:
    return f"{stage.tech}/{phone.number}@{stage.site.trunk(trunk).endpoint}"


def _waiting(stage: FieldStage, program: Dialler) -> tuple[Phone, str, str]:
    """The client is in the program's holding bridge, with music: (phone, channel, bridge)."""
    client = stage.outside()
    stage.call(client, 26)
    channel = program.arrived()
    holding = program.bridge("holding", channel)
    program.music(holding)
    return client, channel, holding


@scenario
def acd_second(stage: FieldStage) -> None:
    """202 is called in vain for 3 s, then 201 answers; they are bridged; the client hangs up."""
    stage.operator(2, answer_after_s=None)
    operator = stage.operator(1)
    with stage.dialler() as program:
        client, channel, holding = _waiting(stage, program)
        second = program.originate(_endpoint(stage, 2), originator=channel, timeout_s=3)
        program.gone(second)
        first = program.originate(_endpoint(stage, 1), originator=channel)
        program.arrived(first)
        talk = program.bridge("mixing", channel, first)
        stage.talk(operator, client)
        client.line.bye()
        program.gone(channel)
        program.hang_up(first)
        program.drop(talk)
        program.drop(holding)
        stage.over(operator, client)


@scenario
def acd_operator_hangs_up(stage: FieldStage) -> None:
    """201 answers at once and hangs up first; the program ends the client's call."""
    operator = stage.operator(1, answer_after_s=1.0)
    with stage.dialler() as program:
        client, channel, holding = _waiting(stage, program)
        stage.wait(1.0)
        first = program.originate(_endpoint(stage, 1), originator=channel)
        program.arrived(first)
        talk = program.bridge("mixing", channel, first)
        stage.talk(operator, client)
        operator.line.bye()
        program.gone(first)
        program.hang_up(channel)
        program.drop(talk)
        program.drop(holding)
        stage.over(operator, client)


@scenario
def acd_abandoned(stage: FieldStage) -> None:
    """The client gives up after 6 s, while 201's phone rings."""
    operator = stage.operator(1, answer_after_s=None)
    with stage.dialler() as program:
        client, channel, holding = _waiting(stage, program)
        stage.wait(1.0)
        first = program.originate(_endpoint(stage, 1), originator=channel)
        stage.ringing(operator)
        stage.wait(5.0)
        client.line.bye()
        program.gone(channel)
        program.hang_up(first)
        program.drop(holding)
        stage.over(operator, client)


@scenario
def acd_lifted_and_abandoned(stage: FieldStage) -> None:
    """201 lifts, but the client has given up a moment before the program bridges them."""
    operator = stage.operator(1, answer_after_s=1.0)
    with stage.dialler() as program:
        client, channel, holding = _waiting(stage, program)
        first = program.originate(_endpoint(stage, 1), originator=channel)
        program.arrived(first)
        stage.wait(1.5)
        client.line.bye()
        program.gone(channel)
        program.hang_up(first)
        program.drop(holding)
        stage.over(operator, client)


@scenario
def dialler_operator_first(stage: FieldStage) -> None:
    """The program calls 201, then the client, and bridges them when the client answers."""
    operator, client = stage.operator(1, answer_after_s=1.0), stage.outside("mobile", "client")
    with stage.dialler() as program:
        first = program.originate(_endpoint(stage, 1))
        program.arrived(first)
        second = program.originate(_outside(stage, client, "mobile"), originator=first)
        program.arrived(second)
        talk = program.bridge("mixing", first, second)
        stage.talk(operator, client)
        client.line.bye()
        program.gone(second)
        program.hang_up(first)
        program.drop(talk)
        stage.over(operator, client)


@scenario
def dialler_operator_first_noanswer(stage: FieldStage) -> None:
    """The same; the client does not answer for 6 s."""
    operator = stage.operator(1, answer_after_s=1.0)
    client = stage.outside("mobile", "client", answer_after_s=None)
    with stage.dialler() as program:
        first = program.originate(_endpoint(stage, 1))
        program.arrived(first)
        second = program.originate(_outside(stage, client, "mobile"), originator=first, timeout_s=6)
        program.gone(second)
        program.hang_up(first)
        stage.over(operator, client)


@scenario
def dialler_client_first(stage: FieldStage) -> None:
    """The program calls the client first, then 201: a campaign."""
    operator, client = stage.operator(1, answer_after_s=1.0), stage.outside("mobile", "client")
    with stage.dialler() as program:
        first = program.originate(_outside(stage, client, "mobile"))
        program.arrived(first)
        second = program.originate(_endpoint(stage, 1), originator=first)
        program.arrived(second)
        talk = program.bridge("mixing", first, second)
        stage.talk(operator, client)
        operator.line.bye()
        program.gone(second)
        program.hang_up(first)
        program.drop(talk)
        stage.over(operator, client)


@scenario
def dialler_nobody_free(stage: FieldStage) -> None:
    """A campaign: the client answers, no operator is free, the client hangs up after 6 s."""
    client = stage.outside("mobile", "client", answer_after_s=1.0)
    with stage.dialler() as program:
        channel = program.originate(_outside(stage, client, "mobile"))
        program.arrived(channel)
        holding = program.bridge("holding", channel)
        program.music(holding)
        stage.wait(6.0)
        client.line.bye()
        program.gone(channel)
        program.drop(holding)
        stage.over(client)


@scenario
def dialler_id_again(stage: FieldStage) -> None:
    """Two calls, one after the other: the program gives their channels the same ids."""
    operator, client = stage.operator(1, answer_after_s=1.0), stage.outside("mobile", "client")
    with stage.dialler() as program:
        for turn in (1, 2):
            tell("call", who="cti", turn=turn)
            first = program.originate(_endpoint(stage, 1), channel_id="campaign-operator")
            program.arrived(first)
            second = program.originate(
                _outside(stage, client, "mobile"), channel_id="campaign-client", originator=first
            )
            program.arrived(second)
            talk = program.bridge("mixing", first, second)
            stage.talk(operator, client)
            client.line.bye()
            program.gone(second)
            program.hang_up(first)
            program.drop(talk)
            stage.over(operator, client)
            stage.wait(1.0)
