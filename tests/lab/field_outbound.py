"""Operators call out: trunks that do not take the call, a second try, an outside-line prefix."""

from __future__ import annotations

from tests.lab.field_stage import FieldStage
from tests.lab.phones import Phone
from tests.lab.stage import Scenarios

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


def _refused(stage: FieldStage, status: int) -> None:
    operator = stage.operator(1)
    client = stage.outside("mobile", "client", reject_with=status)
    operator.dial(client.number)
    stage.over(operator, client)


def _not_taken(stage: FieldStage, status: int) -> None:
    """The trunk itself refuses: no phone has rung."""
    operator = stage.operator(1)
    trunk = stage.scripted_client("mobile", "trunk", reject_with=status)
    operator.dial(trunk.number)
    stage.ringing(operator)
    stage.over(operator)


@scenario
def out_404(stage: FieldStage) -> None:
    """The trunk knows no such number (404)."""
    _not_taken(stage, 404)


@scenario
def out_484(stage: FieldStage) -> None:
    """The trunk says that the number is incomplete (484)."""
    _not_taken(stage, 484)


@scenario
def out_500(stage: FieldStage) -> None:
    """The trunk fails (500)."""
    _not_taken(stage, 500)


@scenario
def out_500_after_ringing(stage: FieldStage) -> None:
    """The client's phone rings, then its provider fails (500)."""
    _refused(stage, 500)


@scenario
def out_603(stage: FieldStage) -> None:
    """The client declines (603)."""
    _refused(stage, 603)


@scenario
def out_486(stage: FieldStage) -> None:
    """The client is busy."""
    _refused(stage, 486)


@scenario
def out_noanswer(stage: FieldStage) -> None:
    """The client does not answer for 8 s."""
    operator = stage.operator(1)
    client = stage.outside("mobile", "client", answer_after_s=None)
    operator.dial(client.number)
    stage.over(operator, client)


@scenario
def out_given_up(stage: FieldStage) -> None:
    """201 gives up after 4 s of ringing."""
    operator = stage.operator(1)
    client = stage.outside("mobile", "client", answer_after_s=None)
    operator.dial(client.number)
    stage.ringing(client)
    stage.wait(4.0)
    operator.line.bye()
    stage.over(operator, client)


def _two_trunks(stage: FieldStage, first: int, **habits: object) -> tuple[Phone, Phone]:
    """201 dials 9 and the number: the provider refuses, the second trunk is tried."""
    operator = stage.operator(1)
    stage.scripted_client("provider", "provider", reject_with=first)
    client = stage.outside("backup", "client", **habits)
    operator.dial(f"9{client.number}")
    return operator, client


@scenario
def out_failover_talk(stage: FieldStage) -> None:
    """The provider refuses (503), the second trunk reaches the client, who hangs up."""
    operator, client = _two_trunks(stage, 503)
    stage.talking(operator, client)
    stage.talk(operator, client)
    client.line.bye()
    stage.over(operator, client)


@scenario
def out_failover_noanswer(stage: FieldStage) -> None:
    """The provider refuses (500), on the second trunk the client does not answer."""
    operator, client = _two_trunks(stage, 500, answer_after_s=None)
    stage.over(operator, client)


@scenario
def out_failover_busy(stage: FieldStage) -> None:
    """The provider refuses (503), on the second trunk the client is busy."""
    operator, client = _two_trunks(stage, 503, reject_with=486)
    stage.over(operator, client)


@scenario
def out_failover_both(stage: FieldStage) -> None:
    """Both trunks refuse: 503, then 404."""
    operator, client = _two_trunks(stage, 503, reject_with=404)
    stage.over(operator, client)


def _redialled(stage: FieldStage, **habits: object) -> tuple[Phone, Phone]:
    """201 dials 0 and the number: tried again a second after the first try."""
    operator = stage.operator(1)
    client = stage.outside("provider", "client", **habits)
    operator.dial(f"0{client.number}")
    stage.ringing(client)
    stage.over(client)
    return operator, client


@scenario
def out_redial_talk(stage: FieldStage) -> None:
    """Busy at first, answered at the second try; 201 hangs up."""
    operator, client = _redialled(stage, reject_with=486)
    client.reject_with = None
    stage.talking(operator, client)
    stage.talk(operator, client)
    operator.line.bye()
    stage.over(operator, client)


@scenario
def out_redial_noanswer_busy(stage: FieldStage) -> None:
    """Not answered at first, busy at the second try."""
    operator, client = _redialled(stage, answer_after_s=None)
    client.reject_with = 486
    stage.over(operator)


@scenario
def out_redial_refused_noanswer(stage: FieldStage) -> None:
    """Refused by the trunk (503) at first, not answered at the second try."""
    operator, client = _redialled(stage, reject_with=503)
    client.reject_with, client.answer_after_s = None, None
    stage.over(operator)


@scenario
def out_prefix_talk(stage: FieldStage) -> None:
    """201 dials 9 and the number; the client hangs up."""
    operator, client = stage.operator(1), stage.outside()
    operator.dial(f"9{client.number}")
    stage.talking(operator, client)
    stage.talk(operator, client)
    client.line.bye()
    stage.over(operator, client)


@scenario
def out_prefix_lost(stage: FieldStage) -> None:
    """The same; the provider's BYE has cause 41."""
    operator, client = stage.operator(1), stage.outside()
    operator.dial(f"9{client.number}")
    stage.talking(operator, client)
    stage.talk(operator, client)
    client.line.bye(reason="Q.850;cause=41")
    stage.over(operator, client)


# --- an operator's phone that says 404 --------------------------------------------------------------------
@scenario
def reject_404_dial(stage: FieldStage) -> None:
    """201's phone says 404."""
    stage.operator(1, reject_with=404)
    client = stage.outside()
    stage.call(client, 10)
    stage.over(client)


@scenario
def reject_404_queue(stage: FieldStage) -> None:
    """In a queue 201's phone says 404, 202 answers; the client hangs up."""
    stage.operator(1, reject_with=404)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 1)
    stage.talking(second)
    stage.talk(second, client)
    client.line.bye()
    stage.over(second, client)


@scenario
def reject_484_local(stage: FieldStage) -> None:
    """In a FreePBX queue 201's phone says 484, 202 answers; the client hangs up."""
    stage.operator(1, reject_with=484)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 30)
    stage.talking(second)
    stage.talk(second, client)
    client.line.bye()
    stage.over(second, client)
