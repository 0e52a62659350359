"""Ends that come with a SIP status, and BYEs that say why."""

from __future__ import annotations

from tests.lab.field_stage import FieldStage
from tests.lab.stage import Scenarios

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


# --- no ACK ---------------------------------------------------------------------------------------------
@scenario
def noack_dial(stage: FieldStage) -> None:
    """The client's side never acknowledges the answer: after 32 s Asterisk ends the talk."""
    operator = stage.operator(1)
    client = stage.scripted_client(acknowledges=False)
    stage.call(client, 10)
    stage.talking(operator, client)
    stage.talk(operator, client, turns=2)
    stage.over(operator, client, limit_s=40)


@scenario
def noack_queue(stage: FieldStage) -> None:
    """The same in a queue, where the client was answered 4 s before the operator."""
    stage.operator(1, answer_after_s=None)
    operator = stage.operator(2, answer_after_s=1.0)
    client = stage.scripted_client(acknowledges=False)
    stage.call(client, 1)
    stage.talking(operator)
    stage.talk(operator, client, turns=2)
    stage.over(operator, client, limit_s=40)


# --- session refresh ------------------------------------------------------------------------------------
def _refreshed(stage: FieldStage, kind: int, status: int | None) -> None:
    operator = stage.operator(1)
    client = stage.scripted_client("timers", session_timer="90;refresher=uas", refresh_with=status)
    stage.call(client, kind)
    stage.talking(operator, client)
    stage.talk(operator, client, turns=2)
    if status is None:
        client.vanish()
    stage.over(operator, limit_s=120)


@scenario
def refresh_481_dial(stage: FieldStage) -> None:
    """After 45 s Asterisk refreshes the session; the client's side knows of no such call (481)."""
    _refreshed(stage, 10, 481)


@scenario
def refresh_408_queue(stage: FieldStage) -> None:
    """The same in a queue; the provider's switch says that it got no answer (408)."""
    _refreshed(stage, 1, 408)


@scenario
def refresh_unanswered_local(stage: FieldStage) -> None:
    """A FreePBX queue; the client's phone is gone, and nothing answers the refresh."""
    _refreshed(stage, 30, None)


@scenario
def refresh_481_operator(stage: FieldStage) -> None:
    """The operator's phone was restarted: to the refresh it says 481."""
    operator = stage.scripted_operator(session_timer="90;refresher=uac", refresh_with=481)
    client = stage.outside()
    stage.call(client, 15)
    stage.talking(operator, client)
    stage.talk(operator, client, turns=2)
    stage.over(operator, client, limit_s=120)


@scenario
def refresh_408_operator_local(stage: FieldStage) -> None:
    """The same behind a Local channel of a FreePBX queue, answered by 408."""
    operator = stage.scripted_operator(session_timer="90;refresher=uac", refresh_with=408)
    client = stage.outside()
    stage.call(client, 33)
    stage.talking(operator, client)
    stage.talk(operator, client, turns=2)
    stage.over(operator, client, limit_s=120)


@scenario
def reinvite_481_transfer(stage: FieldStage) -> None:
    """201 gives the client to 202; the re-INVITE that tells the client's side so is answered by 481."""
    first, second = stage.operator(1), stage.operator(2)
    client = stage.scripted_client("lazy")
    stage.call(client, 10)
    stage.talking(first, client)
    stage.talk(first, client)
    client.refresh_with = 481
    first_line = first.line
    first_line.hold()
    consultation = first.dial(second.number)
    stage.until_up(consultation)
    stage.wait(1.0)
    first_line.transfer_to(consultation, to=second.who)
    stage.over(first, second, client)


# --- BYE with a reason ----------------------------------------------------------------------------------
def _ended(stage: FieldStage, kind: int, reason: str, *, by_operator: bool = False) -> None:
    operator = stage.operator(1)
    client = stage.outside()
    stage.call(client, kind)
    stage.talking(operator, client)
    stage.talk(operator, client)
    (operator if by_operator else client).line.bye(reason=reason)
    stage.over(operator, client)


@scenario
def bye_sip_408_dial(stage: FieldStage) -> None:
    """The provider ends the call: Reason: SIP;cause=408."""
    _ended(stage, 10, 'SIP;cause=408;text="Request Timeout"')


@scenario
def bye_sip_503_queue(stage: FieldStage) -> None:
    """The same in a queue: SIP;cause=503."""
    _ended(stage, 1, "SIP;cause=503")


@scenario
def bye_sip_408_local(stage: FieldStage) -> None:
    """The same in a FreePBX queue, on the operator's side."""
    _ended(stage, 30, "SIP;cause=408", by_operator=True)


@scenario
def bye_41_dial(stage: FieldStage) -> None:
    """The provider ends the call: Reason: Q.850;cause=41."""
    _ended(stage, 10, "Q.850;cause=41")


@scenario
def bye_38_queue(stage: FieldStage) -> None:
    """The same in a queue with cause 38."""
    _ended(stage, 1, "Q.850;cause=38")


@scenario
def bye_41_local(stage: FieldStage) -> None:
    """The same in a FreePBX queue, where a Local channel is between the two."""
    _ended(stage, 30, "Q.850;cause=41")


@scenario
def bye_38_operator(stage: FieldStage) -> None:
    """The operator's phone loses its network: its BYE has cause 38."""
    _ended(stage, 10, "Q.850;cause=38", by_operator=True)


@scenario
def bye_41_operator_local(stage: FieldStage) -> None:
    """The same behind a Local channel, with cause 41."""
    _ended(stage, 30, "Q.850;cause=41", by_operator=True)


@scenario
def bye_41_transferred(stage: FieldStage) -> None:
    """A blind transfer to 202; then the provider's BYE has cause 41."""
    first, second = stage.operator(1), stage.operator(2)
    client = stage.outside()
    stage.call(client, 10)
    stage.talking(first, client)
    stage.talk(first, client)
    first.line.transfer(second.number)
    stage.talking(second)
    stage.over(first)
    stage.talk(second, client)
    client.line.bye(reason="Q.850;cause=41")
    stage.over(second, client)


@scenario
def bye_38_greeting(stage: FieldStage) -> None:
    """The provider's BYE has cause 38, 1.5 s into the greeting."""
    operator = stage.operator(1)
    client = stage.outside()
    stage.call(client, 10)
    stage.talking(operator, client)
    stage.wait(0.1)
    operator.line.talk()
    stage.wait(1.5)
    client.line.bye(reason="Q.850;cause=38")
    stage.over(operator, client)


@scenario
def bye_16_dial(stage: FieldStage) -> None:
    """A provider that gives a reason for a usual end, too: Q.850;cause=16."""
    _ended(stage, 10, "Q.850;cause=16")
