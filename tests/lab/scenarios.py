"""One hotline call each, 6 to 20 seconds long, played by real phones (`stage.main` plays one)."""

from __future__ import annotations

from tests.lab.errors import LabError
from tests.lab.phones import Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell

SCENARIOS = Scenarios[Stage]()
scenario = SCENARIOS.add


def connected(stage: Stage, number: str | None = None) -> tuple[Phone, Phone]:
    """The client calls, operator 1 answers after 2 s: the start of most scenarios."""
    operator = stage.operator(1)
    client = stage.client()
    line = client.dial(number or stage.lane.did(10))
    stage.until_up(line)
    stage.until_talking(operator)
    return operator, client


# --- plain calls ------------------------------------------------------------------
@scenario
def dial_client_bye(stage: Stage) -> None:
    """Answered, a dialogue, the client hangs up."""
    operator, client = connected(stage)
    stage.dialogue(operator, client)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def dial_operator_bye(stage: Stage) -> None:
    """Answered, a dialogue, the operator hangs up."""
    operator, client = connected(stage)
    stage.dialogue(operator, client)
    operator.line.bye()
    stage.until_over(operator, client)


@scenario
def dial_hold_twice(stage: Stage) -> None:
    """Two holds by the operator (4 s, 3 s), then the client hangs up."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    for seconds in (4.0, 3.0):
        operator.line.hold()
        stage.wait(seconds)
        operator.line.unhold()
        stage.wait(0.5)
        stage.say(operator, 1.5)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def client_hold(stage: Stage) -> None:
    """The client's own phone holds the operator for 4 s."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    client.line.hold()
    stage.wait(4.0)
    client.line.unhold()
    stage.wait(0.5)
    stage.say(client, 1.5)
    operator.line.bye()
    stage.until_over(operator, client)


@scenario
def hangup_while_on_hold(stage: Stage) -> None:
    """The client gives up while on hold."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    operator.line.hold()
    stage.wait(4.0)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def early_greeting(stage: Stage) -> None:
    """The client hangs up 1.6 s into the greeting."""
    operator, client = connected(stage)
    operator.line.talk()
    stage.wait(1.6)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def early_silent(stage: Stage) -> None:
    """The operator answers and says nothing, the client hangs up after 4 s."""
    operator, client = connected(stage)
    stage.wait(4.0)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def both_bye(stage: Stage) -> None:
    """Both hang up at the same moment."""
    operator, client = connected(stage)
    stage.dialogue(operator, client)
    ours, theirs = operator.line, client.line
    theirs.bye()
    ours.bye()
    stage.until_over(operator, client)


@scenario
def silence(stage: Stage) -> None:
    """Nobody says anything for 12 s in mid-dialogue."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    stage.wait(12.0)
    stage.say(operator, 2.0)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def talkover(stage: Stage) -> None:
    """The client talks into the operator's sentence for 2 s, later the other way round."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    for first, second in ((operator, client), (client, operator)):
        first.line.talk()
        stage.wait(1.5)
        second.line.talk()
        stage.wait(2.0)
        first.line.hush()
        stage.wait(1.0)
        second.line.hush()
        stage.wait(0.7)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def pbx_hangup(stage: Stage) -> None:
    """Dial's L(8000) ends the talk: no request from anybody."""
    operator, client = connected(stage, stage.lane.did(12))
    stage.dialogue(operator, client, turns=1)
    operator.line.talk()
    stage.until_over(operator, client)


@scenario
def pbx_hangup_ari(stage: Stage) -> None:
    """Somebody else's ARI program deletes the client's channel in mid-talk."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    _ari_delete(stage, f"{stage.lane.technology}/{stage.lane.outside(1).endpoint}-")
    stage.until_over(operator, client)


def _ari_delete(stage: Stage, prefix: str) -> None:
    channels = stage.ari("GET", "/channels")
    if not isinstance(channels, list):
        message = "ARI gave no list of channels"
        raise LabError(message)
    for channel in channels:
        if channel["name"].startswith(prefix):
            stage.ari("DELETE", f"/channels/{channel['id']}")
            tell("pbx_hangup", who=channel["name"])
            return
    message = f"no channel {prefix}"
    raise LabError(message)


# --- lost connections -------------------------------------------------------------
@scenario
def netdrop_client(stage: Stage) -> None:
    """The client's phone vanishes in mid-dialogue; the RTP timeout (5 s) notices."""
    operator = stage.operator(1)
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        stage.say(operator, 3.3)
        client.talk()
        stage.wait(2.0)
        client.hush()
        stage.wait(0.5)
        operator.line.talk()
        stage.wait(1.0)
        client.vanish()
        stage.wait(1.0)
        operator.line.hush()
        stage.until_over(operator)


@scenario
def netdrop_operator(stage: Stage) -> None:
    """The operator's phone vanishes in mid-dialogue."""
    client = stage.client()
    with RemotePhone.operator(stage.exchange, stage.lane.operator(1)) as operator:
        line = client.dial(stage.lane.did(10))
        stage.until_up(line)
        operator.talk()
        stage.wait(3.3)
        operator.hush()
        stage.wait(0.5)
        stage.say(client, 2.0)
        operator.talk()
        stage.wait(1.0)
        operator.vanish()
        stage.until_over(client)


@scenario
def netdrop_early(stage: Stage) -> None:
    """The client's phone vanishes 1 s into the greeting."""
    operator = stage.operator(1)
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        operator.line.talk()
        stage.wait(1.0)
        client.vanish()
        stage.wait(0.6)
        operator.line.hush()
        stage.until_over(operator)


# --- nobody answers ---------------------------------------------------------------
@scenario
def dial_busy(stage: Stage) -> None:
    """The operator's phone says 486 Busy Here."""
    stage.operator(1, reject_with=486)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_over(client)


@scenario
def dial_reject(stage: Stage) -> None:
    """The operator presses decline (603) after 2 s."""
    stage.operator(1, reject_with=603, reject_after_s=2.0)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_over(client)


@scenario
def dial_noanswer(stage: Stage) -> None:
    """The phone rings for 6 s, then the PBX gives up."""
    stage.operator(1, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(11))
    stage.until_over(client)


@scenario
def dial_abandon(stage: Stage) -> None:
    """The client gives up after 6 s of ringing."""
    operator = stage.operator(1, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_ringing(operator)
    stage.wait(6.0)
    client.line.bye()
    stage.until_over(client, operator)


@scenario
def dial_abandon_short(stage: Stage) -> None:
    """The client gives up after 2 s of ringing."""
    operator = stage.operator(1, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_ringing(operator)
    stage.wait(2.0)
    client.line.bye()
    stage.until_over(client, operator)


@scenario
def dial_unavailable(stage: Stage) -> None:
    """The operator's phone is switched off."""
    stage.operator(1).unregister()
    stage.wait(0.5)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_over(client)


# --- queues -----------------------------------------------------------------------
@scenario
def queue_second(stage: Stage) -> None:
    """Operator 1 does not answer for 6 s, operator 2 does."""
    stage.operator(1, answer_after_s=None)
    operator = stage.operator(2)
    client = stage.client()
    client.dial(stage.lane.did(20))
    stage.until_talking(operator)
    stage.dialogue(operator, client)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def queue_reject(stage: Stage) -> None:
    """Operator 1 declines, operator 2 answers and hangs up."""
    stage.operator(1, reject_with=603)
    operator = stage.operator(2)
    client = stage.client()
    client.dial(stage.lane.did(20))
    stage.until_talking(operator)
    stage.dialogue(operator, client)
    operator.line.bye()
    stage.until_over(operator, client)


@scenario
def queue_ringall(stage: Stage) -> None:
    """Three phones ring, operator 2 is the fastest."""
    stage.operator(1, answer_after_s=None)
    operator = stage.operator(2, answer_after_s=2.5)
    stage.operator(3, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(21))
    stage.until_talking(operator)
    stage.dialogue(operator, client)
    operator.line.bye()
    stage.until_over(operator, client)


@scenario
def dial_two(stage: Stage) -> None:
    """Dial(A&B): two phones ring, operator 2 answers."""
    stage.operator(1, answer_after_s=None)
    operator = stage.operator(2)
    client = stage.client()
    client.dial(stage.lane.did(15))
    stage.until_talking(operator)
    stage.dialogue(operator, client)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def queue_abandon(stage: Stage) -> None:
    """The client gives up after 7 s in the queue, while operator 2's phone rings."""
    stage.operator(1, answer_after_s=None)
    operator = stage.operator(2, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(20))
    stage.until_ringing(operator)
    stage.wait(1.5)
    client.line.bye()
    stage.until_over(client, operator)


@scenario
def queue_timeout(stage: Stage) -> None:
    """Nobody answers for 8 s: the queue lets the call go on, and the dialplan ends it."""
    stage.operator(1, answer_after_s=None)
    client = stage.client()
    client.dial(stage.lane.did(24))
    stage.until_over(client)


@scenario
def queue_no_members_abandon(stage: Stage) -> None:
    """No phone ever rings; the client gives up after 7 s."""
    client = stage.client()
    line = client.dial(stage.lane.did(25))
    stage.until_up(line)
    stage.wait(7.0)
    client.line.bye()
    stage.until_over(client)


def _queue_with_hold(stage: Stage, number: str) -> None:
    operator, client = connected(stage, number)
    stage.until_talking(operator)
    stage.dialogue(operator, client, turns=1)
    operator.line.hold()
    stage.wait(3.0)
    operator.line.unhold()
    stage.wait(0.5)
    stage.say(operator, 1.6)
    operator.line.bye()
    stage.until_over(operator, client)


@scenario
def freepbx_local(stage: Stage) -> None:
    """A member behind Local/…/n, as in FreePBX, one hold."""
    _queue_with_hold(stage, stage.lane.did(22))


@scenario
def local_optimised(stage: Stage) -> None:
    """A member behind a Local channel that optimises itself away after the answer."""
    _queue_with_hold(stage, stage.lane.did(23))


# --- transfers --------------------------------------------------------------------
@scenario
def blind(stage: Stage) -> None:
    """Operator 1 transfers the client to operator 2 without asking."""
    operator, client = connected(stage)
    second = stage.operator(2)
    stage.dialogue(operator, client, turns=1)
    operator.line.transfer(second.number)
    stage.until_talking(second)
    stage.until_over(operator)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(second, client)


@scenario
def blind_noanswer_return(stage: Stage) -> None:
    """Operator 2 does not answer the transfer for 8 s: the client returns to operator 1."""
    operator, client = connected(stage)
    second = stage.operator(2, answer_after_s=None)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.transfer(second.number)
    stage.until_ringing(second)
    first_line.release()
    stage.until_talking(operator)
    stage.say(operator, 1.6)
    stage.say(client, 1.4)
    operator.line.bye()
    stage.until_over(operator, second, client)


@scenario
def blind_abandon(stage: Stage) -> None:
    """The client gives up while the transfer's target rings."""
    operator, client = connected(stage)
    second = stage.operator(2, answer_after_s=None)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.transfer(second.number)
    stage.until_ringing(second)
    first_line.release()
    stage.wait(3.0)
    client.line.bye()
    stage.until_over(operator, second, client)


@scenario
def blind_outside(stage: Stage) -> None:
    """Operator 1 transfers the client to a number outside."""
    operator, client = connected(stage)
    third = stage.client(2)
    stage.dialogue(operator, client, turns=1)
    operator.line.transfer(third.number)
    stage.until_talking(third)
    stage.dialogue(third, client, turns=1)
    client.line.bye()
    stage.until_over(operator, third, client)


@scenario
def blind_queue(stage: Stage) -> None:
    """Operator 1 hands the client back to the queue, where operator 2 answers."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    operator.answer_after_s = None
    second = stage.operator(2)
    operator.line.transfer(stage.lane.did(20))
    stage.until_talking(second)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(operator, second, client)


def _attended(stage: Stage, number: str) -> None:
    operator, client = connected(stage, number)
    stage.until_talking(operator)
    second = stage.operator(2)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.hold()
    consultation = operator.dial(second.number)
    stage.until_up(consultation)
    stage.say(consultation, 1.6)
    stage.say(second, 1.4)
    first_line.transfer_to(consultation, to=second.who)
    stage.until_over(operator)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(second, client)


@scenario
def attended(stage: Stage) -> None:
    """Operator 1 holds the client, talks to operator 2, then connects them."""
    _attended(stage, stage.lane.did(10))


@scenario
def attended_queue(stage: Stage) -> None:
    """The same with a client who came through a queue."""
    _attended(stage, stage.lane.did(20))


@scenario
def attended_back(stage: Stage) -> None:
    """Operator 1 asks operator 2, comes back and ends the call: no transfer at all."""
    operator, client = connected(stage)
    second = stage.operator(2)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.hold()
    consultation = operator.dial(second.number)
    stage.until_up(consultation)
    stage.say(consultation, 1.6)
    consultation.bye()
    stage.until_over(second)
    first_line.unhold()
    stage.wait(0.5)
    stage.say(first_line, 1.6)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def attended_outside(stage: Stage) -> None:
    """Operator 1 asks somebody outside and connects the client with them."""
    operator, client = connected(stage)
    third = stage.client(2)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.hold()
    consultation = operator.dial(third.number)
    stage.until_up(consultation)
    stage.say(consultation, 1.6)
    first_line.transfer_to(consultation, to=third.who)
    stage.until_over(operator)
    stage.dialogue(third, client, turns=1)
    third.line.bye()
    stage.until_over(third, client)


@scenario
def blonde(stage: Stage) -> None:
    """Operator 1 connects the client while operator 2's phone still rings."""
    operator, client = connected(stage)
    second = stage.operator(2, answer_after_s=4.0)
    stage.dialogue(operator, client, turns=1)
    first_line = operator.line
    first_line.hold()
    consultation = operator.dial(second.number)
    stage.until_ringing(second)
    stage.wait(1.5)
    first_line.transfer_to(consultation, do="blonde", to=second.who)
    stage.until_talking(second)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(operator, second, client)


@scenario
def attended_dtmf(stage: Stage) -> None:
    """The PBX's own feature code: *2, the number, talk, hang up to connect."""
    operator, client, second = _by_feature_code(stage)
    operator.line.bye()
    stage.until_over(operator)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(second, client)


@scenario
def three_way(stage: Stage) -> None:
    """The feature code with *3: all three talk, then operator 1 leaves."""
    operator, client, second = _by_feature_code(stage)
    operator.line.press("*3")
    tell("three_way", who=operator.who)
    stage.wait(0.5)
    stage.say(operator, 1.6)
    stage.say(client, 1.4)
    stage.say(second, 1.4)
    operator.line.bye()
    stage.until_over(operator)
    stage.say(second, 1.6)
    client.line.bye()
    stage.until_over(second, client)


def _by_feature_code(stage: Stage) -> tuple[Phone, Phone, Phone]:
    operator, client = connected(stage, stage.lane.did(14))
    second = stage.operator(2)
    stage.dialogue(operator, client, turns=1)
    operator.line.press("*2")
    tell("consult", who=operator.who, to=second.who)
    stage.wait(1.2)
    operator.line.press(second.number)
    stage.until_talking(second)
    stage.say(operator, 1.6)
    stage.say(second, 1.4)
    return operator, client, second


# --- pick-up, forwarding, parking -------------------------------------------------
def _pickup(stage: Stage, number: str) -> None:
    ringing = stage.operator(1, answer_after_s=None)
    second = stage.operator(2)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_ringing(ringing)
    stage.wait(2.0)
    line = second.dial(number)
    tell("pickup", who=second.who, of=ringing.who)
    stage.until_up(line)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(ringing, second, client)


@scenario
def pickup(stage: Stage) -> None:
    """Operator 2 dials *8 and takes the call that rings at operator 1's."""
    _pickup(stage, "*8")


@scenario
def pickup_directed(stage: Stage) -> None:
    """The same by number: **101."""
    _pickup(stage, f"**{stage.lane.operator(1)}")


@scenario
def forward(stage: Stage) -> None:
    """Operator 1's phone forwards (302) to operator 2."""
    second = stage.operator(2)
    stage.operator(1, reject_with=302, forward_to=second.number)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_talking(second)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(second, client)


@scenario
def forward_outside(stage: Stage) -> None:
    """Operator 1's phone forwards (302) to a number outside."""
    third = stage.client(2)
    stage.operator(1, reject_with=302, forward_to=third.number)
    client = stage.client()
    client.dial(stage.lane.did(10))
    stage.until_talking(third)
    stage.dialogue(third, client, turns=1)
    client.line.bye()
    stage.until_over(third, client)


@scenario
def forward_queue(stage: Stage) -> None:
    """A queue member's phone forwards (302) to operator 3."""
    third = stage.operator(3)
    stage.operator(1, reject_with=302, forward_to=third.number)
    client = stage.client()
    client.dial(stage.lane.did(20))
    stage.until_talking(third)
    stage.dialogue(third, client, turns=1)
    client.line.bye()
    stage.until_over(third, client)


@scenario
def forward_noanswer(stage: Stage) -> None:
    """The dialplan rings operator 1 for 5 s, then operator 2."""
    stage.operator(1, answer_after_s=None)
    second = stage.operator(2)
    client = stage.client()
    client.dial(stage.lane.did(13))
    stage.until_talking(second)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(second, client)


@scenario
def park_retrieve(stage: Stage) -> None:
    """Operator 1 parks the client (blind transfer), operator 2 fetches them."""
    operator, client = connected(stage)
    second = stage.operator(2)
    stage.dialogue(operator, client, turns=1)
    operator.line.transfer(stage.lane.park_extension, do="park")
    stage.wait(4.0)
    line = second.dial(stage.lane.park_slot)
    tell("retrieve", who=second.who)
    stage.until_up(line)
    stage.dialogue(second, client, turns=1)
    client.line.bye()
    stage.until_over(operator, second, client)


# --- operators dial ---------------------------------------------------------------
@scenario
def outbound(stage: Stage) -> None:
    """Operator 1 calls the client, the client hangs up."""
    operator = stage.operator(1)
    client = stage.client()
    line = operator.dial(client.number)
    stage.until_up(line)
    stage.dialogue(operator, client)
    client.line.bye()
    stage.until_over(operator, client)


@scenario
def outbound_noanswer(stage: Stage) -> None:
    """The client does not answer for 8 s."""
    operator = stage.operator(1)
    client = stage.client(answer_after_s=None)
    operator.dial(client.number)
    stage.until_over(operator)


@scenario
def outbound_busy(stage: Stage) -> None:
    """The client is busy."""
    operator = stage.operator(1)
    client = stage.client(reject_with=486)
    operator.dial(client.number)
    stage.until_over(operator, client)


@scenario
def internal(stage: Stage) -> None:
    """Operator 1 calls operator 2: no client in it."""
    operator = stage.operator(1)
    second = stage.operator(2)
    line = operator.dial(second.number)
    stage.until_up(line)
    stage.dialogue(operator, second, turns=1)
    operator.line.bye()
    stage.until_over(operator, second)


@scenario
def concurrent(stage: Stage) -> None:
    """Operator 1 holds one client for another's call, then returns to the first."""
    operator, client = connected(stage)
    stage.dialogue(operator, client, turns=1)
    operator.answer_after_s = None
    other = stage.client(2)
    first_line = operator.line
    other_line = other.dial(stage.lane.did(10))
    stage.until_ringing(operator)
    stage.wait(1.5)
    first_line.hold()
    second_line = operator.line
    second_line.pick_up()
    stage.until_up(other_line, second_line)
    stage.say(second_line, 3.3)
    stage.say(other, 1.4)
    second_line.bye()
    stage.until_over(other)
    first_line.unhold()
    stage.wait(0.5)
    stage.say(first_line, 1.6)
    client.line.bye()
    stage.until_over(operator, client)


if __name__ == "__main__":
    raise SystemExit(main(SCENARIOS, __doc__))
