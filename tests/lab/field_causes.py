"""Causes on a channel that are not of its end: an earlier phone's, or a trunk's that came to nothing."""

from __future__ import annotations

from tests.lab.field_stage import AnyPhone, FieldStage
from tests.lab.phones import Phone
from tests.lab.stage import Scenarios
from tests.lab.truth import tell

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


# --- an earlier phone's cause, then a usual end -----------------------------------------------------------
def _served_by(stage: FieldStage, operator: AnyPhone, client: AnyPhone, ends: AnyPhone) -> None:
    stage.talking(operator)
    stage.talk(operator, client)
    ends.line.bye()
    stage.over(operator, client)


@scenario
def stale_500_ivr_queue(stage: FieldStage) -> None:
    """A menu, 201's phone fails (500), then a queue: 203 talks, the client hangs up as usual."""
    stage.operator(1, reject_with=500)
    operator, client = stage.operator(3), stage.outside()
    stage.call(client, 22)
    _served_by(stage, operator, client, client)


@scenario
def stale_502_ivr_dial(stage: FieldStage) -> None:
    """A menu, 201's phone fails (502), 202 talks, the client hangs up as usual."""
    stage.operator(1, reject_with=502)
    operator, client = stage.operator(2), stage.outside()
    stage.call(client, 21)
    _served_by(stage, operator, client, client)


@scenario
def stale_504_operator_bye(stage: FieldStage) -> None:
    """201's phone fails (504), 202 talks and hangs up."""
    stage.operator(1, reject_with=504)
    operator, client = stage.operator(2), stage.outside()
    stage.call(client, 14)
    _served_by(stage, operator, client, operator)


@scenario
def stale_500_queue(stage: FieldStage) -> None:
    """In a queue 201's phone fails (500), 202 talks, the client hangs up."""
    stage.operator(1, reject_with=500)
    operator, client = stage.operator(2), stage.outside()
    stage.call(client, 1)
    _served_by(stage, operator, client, client)


@scenario
def stale_500_local(stage: FieldStage) -> None:
    """In a FreePBX queue 201's phone fails (500), 202 talks, the client hangs up."""
    stage.operator(1, reject_with=500)
    operator, client = stage.operator(2), stage.outside()
    stage.call(client, 30)
    _served_by(stage, operator, client, client)


@scenario
def stale_lost_first(stage: FieldStage) -> None:
    """201's phone is lost in mid-talk (RTP timeout); the dialplan goes on to 202; the client hangs up."""
    client = stage.outside()
    second = stage.operator(2)
    first = stage.scripted_operator(9)
    stage.call(client, 19)
    stage.talking(first, client)
    stage.talk(first, client)
    first.vanish()
    _served_by(stage, second, client, client)


# --- a trunk's cause, copied to the client ----------------------------------------------------------------
def _served(stage: FieldStage, kind: int = 10) -> tuple[Phone, Phone]:
    operator, client = stage.operator(1), stage.outside()
    stage.call(client, kind)
    stage.talking(operator, client)
    stage.talk(operator, client)
    return operator, client


@scenario
def dead_trunk_disconnect_code(stage: FieldStage) -> None:
    """201 presses *0, the site calls a mobile, whose provider says 500: the PBX ends the call."""
    stage.scripted_client("mobile", "mobile", reject_with=500)
    operator, client = _served(stage, 18)
    operator.line.press("*0")
    stage.over(operator, client)


@scenario
def dead_trunk_redirect(stage: FieldStage) -> None:
    """A program redirects the client to a mobile, whose provider says 500."""
    mobile = stage.outside("mobile", "mobile", reject_with=500)
    operator, client = _served(stage)
    channel = stage.channel_of(f"{stage.tech}/{stage.site.trunk('provider').endpoint}-")
    stage.cli(f"channel redirect {channel} from-internal,{mobile.number},1")
    tell("redirect", who="cti", to=mobile.number)
    stage.over(operator, client)


@scenario
def dead_trunk_blind(stage: FieldStage) -> None:
    """201 transfers the client blindly to a mobile, whose provider says 503."""
    mobile = stage.scripted_client("mobile", "mobile", reject_with=503)
    operator, client = _served(stage)
    line = operator.line
    line.transfer(mobile.number)
    stage.over(client)
    line.release()
    stage.over(operator)


@scenario
def dead_trunk_blind_queue(stage: FieldStage) -> None:
    """The same from a FreePBX queue, and the provider says 500."""
    mobile = stage.outside("mobile", "mobile", reject_with=500)
    operator, client = _served(stage, 30)
    line = operator.line
    line.transfer(mobile.number)
    stage.over(client)
    line.release()
    stage.over(operator)


@scenario
def dead_phone_after_queue(stage: FieldStage) -> None:
    """201 hangs up, the dialplan goes on to 202, whose phone says 500: the PBX ends the call."""
    stage.operator(2, reject_with=500)
    operator, client = _served(stage, 16)
    operator.line.bye()
    stage.over(operator, client)


# --- nobody answers ---------------------------------------------------------------------------------------
@scenario
def ivr_500(stage: FieldStage) -> None:
    """An answered client in a menu; the one phone says 500; the dialplan ends."""
    stage.operator(1, reject_with=500)
    client = stage.outside()
    stage.call(client, 20)
    stage.over(client)


@scenario
def ivr_500_group(stage: FieldStage) -> None:
    """Two phones at once: both say 500."""
    stage.operator(1, reject_with=500)
    stage.operator(2, reject_with=500)
    client = stage.outside()
    stage.call(client, 23)
    stage.over(client)


@scenario
def ivr_500_after_noanswer(stage: FieldStage) -> None:
    """201 rings 4 s in vain, 202's phone says 500."""
    stage.operator(1, answer_after_s=None)
    stage.operator(2, reject_with=500)
    client = stage.outside()
    stage.call(client, 21)
    stage.over(client)


@scenario
def dial_500_after_noanswer(stage: FieldStage) -> None:
    """The same with a client whom nobody has answered before."""
    stage.operator(1, answer_after_s=None)
    stage.operator(2, reject_with=500)
    client = stage.outside()
    stage.call(client, 14)
    stage.over(client)


@scenario
def ivr_404_phone(stage: FieldStage) -> None:
    """An answered client; the phone says 404."""
    stage.operator(1, reject_with=404)
    client = stage.outside()
    stage.call(client, 20)
    stage.over(client)


# --- the PBX ends a talk ----------------------------------------------------------------------------------
@scenario
def absolute_timeout(stage: FieldStage) -> None:
    """TIMEOUT(absolute)=9 ends the talk."""
    operator, client = _served(stage, 17)
    stage.over(operator, client)


@scenario
def blind_announcement(stage: FieldStage) -> None:
    """201 transfers the client to an announcement; the PBX hangs up at its end."""
    operator, client = _served(stage)
    operator.line.transfer("*97")
    stage.over(operator, client)
