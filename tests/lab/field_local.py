"""Speech on one half of a Local channel, and the client's end with a slow h extension."""

from __future__ import annotations

from tests.lab.field_stage import FieldStage
from tests.lab.phones import Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.stage import Scenarios

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


# --- members behind Local channels ------------------------------------------------------------------------
@scenario
def local_second(stage: FieldStage) -> None:
    """201 does not answer for 4 s, 202 does; the client hangs up."""
    stage.operator(1, answer_after_s=None)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 30)
    stage.talking(second)
    stage.talk(second, client)
    client.line.bye()
    stage.over(second, client)


@scenario
def local_ringall(stage: FieldStage) -> None:
    """Both ring; 202 is the faster one and hangs up."""
    stage.operator(1, answer_after_s=None)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 32)
    stage.talking(second)
    stage.talk(second, client)
    second.line.bye()
    stage.over(second, client)


@scenario
def local_ringall_twice(stage: FieldStage) -> None:
    """Both ring for 4 s in vain, then again: 201 answers at the second ringing."""
    first = stage.operator(1, answer_after_s=6.5)
    stage.operator(2, answer_after_s=None)
    client = stage.outside()
    stage.call(client, 32)
    stage.ringing(first)
    stage.over(first)
    first.answer_after_s = 1.0
    stage.talking(first)
    stage.talk(first, client)
    client.line.bye()
    stage.over(first, client)


@scenario
def local_rejected(stage: FieldStage) -> None:
    """201 declines (603), 202 answers; the client hangs up."""
    stage.operator(1, reject_with=603)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 30)
    stage.talking(second)
    stage.talk(second, client)
    client.line.bye()
    stage.over(second, client)


@scenario
def local_busy(stage: FieldStage) -> None:
    """201 is on DND (486), 202 answers and hangs up."""
    stage.operator(1, reject_with=486)
    second, client = stage.operator(2), stage.outside()
    stage.call(client, 30)
    stage.talking(second)
    stage.talk(second, client)
    second.line.bye()
    stage.over(second, client)


@scenario
def local_abandoned(stage: FieldStage) -> None:
    """201 does not answer for 4 s; the client gives up while 202's phone rings."""
    stage.operator(1, answer_after_s=None)
    second, client = stage.operator(2, answer_after_s=None), stage.outside()
    stage.call(client, 30)
    stage.ringing(second)
    stage.wait(1.5)
    client.line.bye()
    stage.over(second, client)


@scenario
def local_group_noanswer(stage: FieldStage) -> None:
    """A ring group of Local channels: 201 declines, 202 answers; 202 hangs up."""
    stage.operator(1, reject_with=486, reject_after_s=1.0)
    second, client = stage.operator(2, answer_after_s=3.0), stage.outside()
    stage.call(client, 24)
    stage.talking(second)
    stage.talk(second, client)
    second.line.bye()
    stage.over(second, client)


@scenario
def local_two_phones(stage: FieldStage) -> None:
    """Extension 206 has two phones, called by a colleague's transfer: the softphone answers."""
    first, client = stage.operator(1), stage.outside()
    desk = stage.second_phone(6, "206desk", answer_after_s=None)
    with RemotePhone.operator(stage.exchange, stage.site.operator(6)) as soft:
        stage.call(client, 10)
        stage.talking(first, client)
        stage.talk(first, client)
        first.line.transfer(desk.number)
        stage.ringing(desk)
        stage.over(first, desk)
        soft.talk()
        stage.wait(2.0)
        soft.hush()
        stage.speak(client, 1.2)
        client.line.bye()
        stage.over(client)
        stage.wait(0.3)


@scenario
def local_operator_lost(stage: FieldStage) -> None:
    """The operator's phone behind a Local channel is gone in mid-talk: the RTP timeout finds it out."""
    operator = stage.scripted_operator(9)
    client = stage.outside()
    stage.call(client, 35)
    stage.talking(operator, client)
    stage.talk(operator, client)
    operator.vanish()
    stage.over(client)


@scenario
def local_followme_noanswer(stage: FieldStage) -> None:
    """FollowMe: neither 201 nor 202 takes the call, the client gives up after 6 s."""
    first = stage.operator(1, answer_after_s=None)
    client = stage.outside()
    stage.call(client, 12)
    stage.ringing(first)
    stage.wait(6.0)
    client.line.bye()
    stage.over(first, client)


# --- an h extension of 4 s --------------------------------------------------------------------------------
@scenario
def slow_queue_abandoned(stage: FieldStage) -> None:
    """The client gives up after 3 s in the queue."""
    operator, client = stage.operator(1, answer_after_s=None), stage.outside()
    stage.call(client, 40)
    stage.ringing(operator)
    stage.wait(3.0)
    client.line.bye()
    stage.over(operator, client)


@scenario
def slow_dial_talk(stage: FieldStage) -> None:
    """A talk; the client hangs up."""
    operator, client = stage.operator(1), stage.outside()
    stage.call(client, 41)
    stage.talking(operator, client)
    stage.talk(operator, client)
    client.line.bye()
    stage.over(operator, client)


@scenario
def slow_local_abandoned(stage: FieldStage) -> None:
    """The client gives up after 7 s in a FreePBX queue: 201 has not answered, 202's phone rings."""
    stage.operator(1, answer_after_s=None)
    second, client = stage.operator(2, answer_after_s=None), stage.outside()
    stage.call(client, 42)
    stage.ringing(second)
    stage.wait(2.0)
    client.line.bye()
    stage.over(second, client)


@scenario
def slow_group_abandoned(stage: FieldStage) -> None:
    """The client gives up after 2.5 s of two phones' ringing."""
    first = stage.operator(1, answer_after_s=None)
    second, client = stage.operator(2, answer_after_s=None), stage.outside()
    stage.call(client, 43)
    stage.ringing(first)
    stage.wait(2.5)
    client.line.bye()
    stage.over(first, second, client)


@scenario
def slow_queue_lost(stage: FieldStage) -> None:
    """The client's phone is gone in mid-talk: the RTP timeout finds it out, then h works."""
    operator = stage.operator(1)
    client = stage.scripted_client()
    stage.call(client, 40)
    stage.talking(operator)
    stage.talk(operator, client)
    client.vanish()
    stage.over(operator)


# --- a second wait, after a talk --------------------------------------------------------------------------
def _served_first(stage: FieldStage, kind: int) -> tuple[Phone, Phone]:
    first, client = stage.operator(1), stage.outside()
    stage.call(client, kind)
    stage.talking(first, client)
    stage.talk(first, client)
    return first, client


@scenario
def second_queue_talk(stage: FieldStage) -> None:
    """201 hangs up, the client goes on to a second queue: 203 answers and hangs up."""
    third = stage.operator(3)
    first, client = _served_first(stage, 3)
    first.line.bye()
    stage.talking(third)
    stage.talk(third, client)
    third.line.bye()
    stage.over(first, third, client)


@scenario
def second_queue_vain(stage: FieldStage) -> None:
    """The same; 203 does not answer, the client gives up after 3 s."""
    third = stage.operator(3, answer_after_s=None)
    first, client = _served_first(stage, 3)
    first.line.bye()
    stage.ringing(third)
    stage.wait(3.0)
    client.line.bye()
    stage.over(first, third, client)


@scenario
def blind_queue_vain(stage: FieldStage) -> None:
    """201 transfers the client to a FreePBX queue; 202 does not answer, the client gives up."""
    second = stage.operator(2, answer_after_s=None)
    first, client = _served_first(stage, 10)
    first.answer_after_s = None
    first.line.transfer(stage.site.queue("0"))
    stage.over(first)
    stage.ringing(second)
    stage.wait(1.5)
    client.line.bye()
    stage.over(first, second, client)


@scenario
def blind_phone_vain(stage: FieldStage) -> None:
    """201 transfers the client to 202, who does not answer; the client gives up after 3 s."""
    second = stage.operator(2, answer_after_s=None)
    first, client = _served_first(stage, 30)
    line = first.line
    line.transfer(second.number)
    stage.ringing(second)
    line.release()
    stage.wait(3.0)
    client.line.bye()
    stage.over(first, second, client)
