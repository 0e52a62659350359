"""Calls that break, or do not, and the calls that the client's phone then gets.

Each ``ring`` of the client is one INVITE their phone received.
"""

from __future__ import annotations

from tests.lab.phones import Phone
from tests.lab.remote_phone import RemotePhone
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
STICKY = "210"
"""dialplan/callsteward-examples.conf, callsteward-example-sticky; lane 0's operators are in its queue."""


def _broken(stage: Stage, operator: Phone) -> None:
    """The client calls, the talk is under way, the client's phone vanishes without a word."""
    with client_who_vanishes(stage) as client:
        greeted(stage, operator, client)
        speaks_and_vanishes(stage, client)


def _back(stage: Stage, **habits: object) -> Phone:
    """The client's phone has its connection again."""
    client = stage.client(1, **habits)
    tell("back", who="client")
    return client


def _offered(stage: Stage) -> tuple[Phone, Phone]:
    """After a drop the client is back, and the operator's phone rings for the callback. The two phones."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    operator.answer_after_s = None
    client = _back(stage, answer_after_s=0.5)
    stage.exchange.until(operator.is_idle, 20, "the drop to be noticed")
    stage.until_ringing(operator)
    return operator, client


def _called(stage: Stage, client: Phone, limit_s: float = 40) -> None:
    stage.exchange.until(lambda: bool(client.calls), limit_s, "the client to be called back")


@scenario
def network_loss(stage: Stage) -> None:
    """The client's network: the same operator calls back, they talk."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, answer_after_s=1.0)
    _called(stage, client)
    stage.until_talking(client, operator)
    stage.say(operator, 1.5)
    stage.say(client, 1.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def network_loss_of_the_operator(stage: Stage) -> None:
    """The operator's network: another operator of the line calls back."""
    client = stage.client(1, answer_after_s=0.5)
    with RemotePhone.operator(stage.exchange, stage.lane.operator(1)) as lost:
        line = client.dial(stage.lane.did(10))
        stage.until_up(line)
        lost.talk()
        stage.wait(GREETING_S)
        lost.hush()
        stage.say(client, 1.0)
        other = stage.operator(2, answer_after_s=0.5)
        lost.vanish()
    stage.until_over(client)
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called back")
    stage.until_talking(client, other)
    stage.say(other, 1.5)
    client.line.bye()
    stage.until_over(other, client)
    stage.wait(AFTERWARDS_S)


@scenario
def reason_given(stage: Stage) -> None:
    """The client's provider ends the talk with a reason, temporary failure: they are called back."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client(1, answer_after_s=1.0)
    client.dial(stage.lane.did(10))
    stage.until_talking(operator)
    stage.say(operator, GREETING_S)
    stage.say(client, 1.0)
    client.line.bye(cause=41)
    stage.until_over(operator, client)
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called back")
    stage.until_talking(client, operator)
    stage.say(operator, 1.5)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def not_answered(stage: Stage) -> None:
    """The client does not answer the callback: once, and never again."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, answer_after_s=None)
    _called(stage, client)
    stage.until_over(client, operator)
    stage.wait(AFTERWARDS_S)


@scenario
def busy(stage: Stage) -> None:
    """The client's phone is busy."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, reject_with=486)
    _called(stage, client)
    stage.until_over(client, operator)
    stage.wait(AFTERWARDS_S)


@scenario
def declined(stage: Stage) -> None:
    """The client declines the callback (603)."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, reject_with=603)
    _called(stage, client)
    stage.until_over(client, operator)
    stage.wait(AFTERWARDS_S)


@scenario
def second_operator(stage: Stage) -> None:
    """The operator who had the client does not answer their phone, a colleague does."""
    operator = stage.operator(1, answer_after_s=0.5)
    other = stage.operator(2, answer_after_s=0.5)
    _broken(stage, operator)
    operator.answer_after_s = None
    client = _back(stage, answer_after_s=0.5)
    _called(stage, client)
    stage.until_talking(client, other)
    stage.say(other, 1.0)
    client.line.bye()
    stage.until_over(other, client)
    stage.wait(AFTERWARDS_S)


@scenario
def calls_again_first(stage: Stage) -> None:
    """The client calls again while the operator's phone rings for the callback."""
    operator, client = _offered(stage)
    offered = operator.line
    line = client.dial(stage.lane.did(10))
    stage.exchange.until(lambda: offered.over, 5, "the operator's phone to stop ringing")
    stage.until_ringing(operator)
    operator.line.pick_up()
    stage.until_up(line)
    stage.say(operator, GREETING_S)
    stage.say(client, 1.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def calls_elsewhere(stage: Stage) -> None:
    """The client calls another PBX while the operator's phone rings for the callback: it stops."""
    operator, _ = _offered(stage)
    stage.exchange.until(operator.is_idle, 40, "the operator's phone to stop ringing")
    tell("stopped", who="operator")
    stage.wait(AFTERWARDS_S)


@scenario
def not_called_back(stage: Stage) -> None:
    """The client's network, and nobody calls them."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    _back(stage, answer_after_s=0.5)
    stage.exchange.until(operator.is_idle, 20, "the drop to be noticed")
    stage.wait(AFTERWARDS_S)


@scenario
def calls_again_before_it_is_noticed(stage: Stage) -> None:
    """The client is back before the PBX has noticed that they were gone."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, answer_after_s=0.5)
    line = client.dial(stage.lane.did(10))
    stage.exchange.until(operator.is_ringing, 10, "the operator's phone to ring")
    operator.line.pick_up()
    stage.until_up(line)
    stage.wait(6.0)
    client.line.bye()
    stage.wait(AFTERWARDS_S)


@scenario
def early_drop(stage: Stage) -> None:
    """The client's network breaks before the greeting is over."""
    operator = stage.operator(1, answer_after_s=0.5)
    with client_who_vanishes(stage) as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        operator.line.talk()
        stage.wait(0.5)
        client.vanish()
        operator.line.hush()
    _back(stage)
    stage.until_over(operator)
    stage.wait(AFTERWARDS_S)


@scenario
def early_silent(stage: Stage) -> None:
    """The operator says nothing, the client hangs up."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client()
    stage.until_up(client.dial(stage.lane.did(10)))
    stage.wait(2.0)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def client_bye(stage: Stage) -> None:
    """A plain BYE by the client."""
    operator, client, _ = dialogue(stage)
    client.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def operator_bye(stage: Stage) -> None:
    """A plain BYE by the operator."""
    operator, client, _ = dialogue(stage)
    operator.line.bye()
    stage.until_over(operator, client)
    stage.wait(AFTERWARDS_S)


@scenario
def nobody_rings_any_more(stage: Stage) -> None:
    """The daemon dies at the drop; what happens once it is there again is the test's to see."""
    operator = stage.operator(1, answer_after_s=0.5)
    stage.operator(2, answer_after_s=0.5)
    _broken(stage, operator)
    _back(stage, answer_after_s=0.5)
    stage.until_cue(60)
    tell("restarted")
    stage.wait(8.0)


@scenario
def answered_while_nobody_looks(stage: Stage) -> None:
    """The operator takes the callback on a cue, and waits for the client until their phone is hung up."""
    operator, _ = _offered(stage)
    offered = operator.line
    stage.until_cue(60)
    offered.pick_up()
    stage.exchange.until(lambda: offered.over, 30, "the operator's phone to be hung up")
    tell("hung_up")
    stage.wait(AFTERWARDS_S)


@scenario
def press_1(stage: Stage) -> None:
    """One operator's voicemail answers and presses nothing; the next operator presses 1."""
    operator = stage.operator(1, answer_after_s=0.5)
    other = stage.operator(2, answer_after_s=0.5)
    _broken(stage, operator)
    client = _back(stage, answer_after_s=0.5)
    stage.exchange.until(operator.is_idle, 20, "the drop to be noticed")
    stage.until_talking(other, limit_s=40)
    tell("asked", who="other")
    stage.wait(1.0)
    other.line.press("1")
    _called(stage, client)
    stage.until_talking(client, other)
    stage.say(other, 1.0)
    client.line.bye()
    stage.until_over(other, client)
    stage.wait(AFTERWARDS_S)


@scenario
def pbx_restarted(stage: Stage) -> None:
    """The PBX dies under the talk and comes back; the phones know nothing of it."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client(1, answer_after_s=1.0)
    stage.until_up(client.dial(stage.lane.did(10)))
    stage.until_talking(operator)
    stage.say(operator, GREETING_S)
    stage.say(client, 1.0)
    stage.exchange.until(lambda: len(client.calls) == 2, 80, "the client to be called back")
    stage.exchange.until(lambda: client.calls[1].up, 10, "the client to answer")
    stage.wait(AFTERWARDS_S)


@scenario
def pbx_restarted_in_the_greeting(stage: Stage) -> None:
    """The PBX dies when the operator has hardly begun to greet."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client(1, answer_after_s=1.0)
    stage.until_up(client.dial(stage.lane.did(10)))
    stage.until_talking(operator)
    stage.say(operator, 0.4)
    tell("greeted")
    stage.wait(50)


@scenario
def sticky(stage: Stage) -> None:
    """Operator 2 had the client; when they call again they come to operator 2, others to the queue."""
    first = stage.operator(1, answer_after_s=None)
    second = stage.operator(2, answer_after_s=0.5)
    with client_who_vanishes(stage) as client:
        greeted(stage, second, client, 13)
        speaks_and_vanishes(stage, client)
    second.answer_after_s = None
    back = _back(stage)
    stage.exchange.until(second.is_idle, 20, "the drop to be noticed")
    stage.until_ringing(second)
    offered = second.line
    first.answer_after_s = 0.5
    line = back.dial(STICKY)
    stage.exchange.until(lambda: offered.over, 5, "the operator's phone to stop ringing")
    stage.until_ringing(second)
    second.line.pick_up()
    stage.until_up(line)
    stage.say(second, GREETING_S)
    stage.say(back, 1.0)
    back.line.bye()
    stage.until_over(second, back)
    other = stage.client(2)
    other.dial(STICKY)
    stage.until_talking(first)
    stage.say(first, GREETING_S)
    other.line.bye()
    stage.until_over(first, other)
    stage.wait(AFTERWARDS_S)


@scenario
def called_by_hand(stage: Stage) -> None:
    """While operator 1 is asked, operator 2 calls the client by themselves."""
    first = stage.operator(1, answer_after_s=0.5)
    second = stage.operator(2, answer_after_s=None)
    _broken(stage, first)
    first.answer_after_s = None
    client = _back(stage, answer_after_s=0.5)
    stage.exchange.until(first.is_idle, 20, "the drop to be noticed")
    stage.until_ringing(first)
    offered = first.line
    line = second.dial(client.number)
    stage.until_up(line)
    stage.exchange.until(lambda: offered.over, 5, "operator 1's phone to stop ringing")
    stage.say(second, GREETING_S)
    client.line.bye()
    stage.until_over(first, second, client)
    stage.wait(AFTERWARDS_S)


@scenario
def rung_by_hand_in_vain(stage: Stage) -> None:
    """Operator 2 rings the client by hand and gives up; only then an operator is asked, and reaches them."""
    first = stage.operator(1, answer_after_s=0.5)
    second = stage.operator(2, answer_after_s=None)
    _broken(stage, first)
    client = _back(stage, answer_after_s=None)
    line = second.dial(client.number)
    stage.until_ringing(client)
    tell("by_hand")
    stage.exchange.until(first.is_idle, 20, "the drop to be noticed")
    stage.wait(2.0)
    tell("gives_up")
    line.bye()
    stage.until_over(client)
    client.answer_after_s = 0.5
    stage.exchange.until(lambda: len(client.calls) == 2, 20, "the client to be called back")
    stage.until_talking(client, first)
    stage.say(first, 1.0)
    client.line.bye()
    stage.until_over(first, client)
    stage.wait(AFTERWARDS_S)


@scenario
def nobody_answers(stage: Stage) -> None:
    """No operator takes the callback: it waits too long, then it expires."""
    operator = stage.operator(1, answer_after_s=0.5)
    _broken(stage, operator)
    operator.answer_after_s = None
    _back(stage)
    stage.exchange.until(operator.is_idle, 20, "the drop to be noticed")
    stage.wait(28.0)


@scenario
def nobody_answers_the_client(stage: Stage) -> None:
    """A lost call; a second client is lost and then called by an operator."""
    operator = stage.operator(1, answer_after_s=None)
    first, second = stage.client(1), stage.client(2, answer_after_s=0.5)
    for client in (first, second):
        client.dial(stage.lane.did(10))
        stage.until_ringing(operator)
        stage.wait(1.0)
        client.line.bye()
        stage.until_over(client, operator)
    tell("lost")
    stage.wait(4.0)
    tell("calls")
    stage.until_up(operator.dial(second.number))
    # The line of operators' own calls has the standard's greeting of 3 s.
    stage.say(operator, 3.5)
    second.line.bye()
    stage.until_over(operator, second)
    tell("spoken")
    stage.wait(2.0)


if __name__ == "__main__":
    raise SystemExit(main(SCENARIOS, __doc__))
