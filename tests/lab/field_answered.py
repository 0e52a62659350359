"""A phone that was lifted, and a client who is not connected with it yet, or never will be."""

from __future__ import annotations

from tests.lab.field_stage import AnyPhone, FieldStage
from tests.lab.phones import Phone
from tests.lab.stage import Scenarios

SCENARIOS = Scenarios[FieldStage]()
scenario = SCENARIOS.add


def _asked(stage: FieldStage, kind: int) -> tuple[Phone, Phone]:
    """201 has lifted the phone, and hears the question or the announcement."""
    operator, client = stage.operator(1, answer_after_s=1.0), stage.outside()
    stage.call(client, kind)
    stage.talking(operator)
    return operator, client


def _takes(stage: FieldStage, operator: Phone, client: Phone, ends: AnyPhone) -> None:
    stage.wait(1.5)
    operator.line.press("1")
    stage.talk(operator, client)
    ends.line.bye()
    stage.over(operator, client)


def _gives_up(stage: FieldStage, operator: Phone, client: Phone) -> None:
    stage.wait(2.0)
    client.line.bye()
    stage.over(operator, client)


# --- confirmation: Dial U() -------------------------------------------------------------------------------
@scenario
def confirm_taken(stage: FieldStage) -> None:
    """201 presses 1 after 1.5 s; they talk; the client hangs up."""
    operator, client = _asked(stage, 11)
    _takes(stage, operator, client, client)


@scenario
def confirm_abandoned(stage: FieldStage) -> None:
    """The client gives up while 201 hears the question."""
    operator, client = _asked(stage, 11)
    _gives_up(stage, operator, client)


@scenario
def confirm_second(stage: FieldStage) -> None:
    """201 lifts and presses nothing, 202 takes the client."""
    second = stage.operator(2, answer_after_s=1.0)
    first, client = _asked(stage, 11)
    stage.over(first)
    stage.talking(second)
    _takes(stage, second, client, second)


@scenario
def confirm_nobody(stage: FieldStage) -> None:
    """201 and 202 lift one after the other; neither presses anything: the PBX ends the call."""
    stage.operator(2, answer_after_s=1.0)
    _, client = _asked(stage, 11)
    stage.over(client)


@scenario
def group_confirm(stage: FieldStage) -> None:
    """A ring group: 201 and 202 lift, 202 presses 1."""
    second = stage.operator(2, answer_after_s=1.4)
    first, client = _asked(stage, 25)
    stage.talking(second)
    _takes(stage, second, client, client)
    stage.over(first)


@scenario
def queue_confirm(stage: FieldStage) -> None:
    """A FreePBX queue whose members confirm: 201 presses 1."""
    operator, client = _asked(stage, 31)
    _takes(stage, operator, client, operator)


@scenario
def queue_confirm_abandoned(stage: FieldStage) -> None:
    """The same; the client gives up while 201 hears the question."""
    operator, client = _asked(stage, 31)
    _gives_up(stage, operator, client)


# --- FollowMe ---------------------------------------------------------------------------------------------
@scenario
def followme_taken(stage: FieldStage) -> None:
    """FollowMe: 201 lifts, hears the offer, presses 1."""
    operator, client = _asked(stage, 12)
    # Three prompts of a second each.
    stage.wait(3.5)
    operator.line.press("1")
    stage.wait(1.5)
    stage.talk(operator, client)
    client.line.bye()
    stage.over(operator, client)


@scenario
def followme_abandoned(stage: FieldStage) -> None:
    """The same; the client gives up meanwhile."""
    operator, client = _asked(stage, 12)
    _gives_up(stage, operator, client)


@scenario
def queue_followme(stage: FieldStage) -> None:
    """A queue whose member is behind FollowMe."""
    operator, client = _asked(stage, 34)
    # Three prompts of a second each.
    stage.wait(3.5)
    operator.line.press("1")
    stage.wait(1.5)
    stage.talk(operator, client)
    operator.line.bye()
    stage.over(operator, client)


# --- announcements to the operator ------------------------------------------------------------------------
@scenario
def privacy_announced(stage: FieldStage) -> None:
    """Dial A(): 201 hears an announcement of 4 s first; they talk; the client hangs up."""
    operator, client = _asked(stage, 13)
    stage.until_connected(client.line)
    stage.talk(operator, client)
    client.line.bye()
    stage.over(operator, client)


@scenario
def privacy_abandoned(stage: FieldStage) -> None:
    """The client gives up while 201 hears the announcement."""
    operator, client = _asked(stage, 13)
    _gives_up(stage, operator, client)


@scenario
def member_announced(stage: FieldStage) -> None:
    """A queue with memberdelay (1 s) and an announcement (4 s); they talk; 201 hangs up."""
    operator, client = _asked(stage, 4)
    stage.wait(5.1)
    stage.talk(operator, client)
    operator.line.bye()
    stage.over(operator, client)


@scenario
def member_abandoned(stage: FieldStage) -> None:
    """The client gives up while 201 hears the announcement."""
    operator, client = _asked(stage, 4)
    stage.wait(0.5)
    _gives_up(stage, operator, client)


@scenario
def member_leaves_second(stage: FieldStage) -> None:
    """201 hangs up in the announcement (AGENTDUMP), 202 takes the client."""
    second = stage.operator(2, answer_after_s=1.0)
    first, client = _asked(stage, 4)
    stage.wait(1.5)
    first.answer_after_s = None
    first.line.bye()
    stage.talking(second)
    stage.wait(5.1)
    stage.talk(second, client)
    client.line.bye()
    stage.over(second, first, client)


@scenario
def member_leaves_abandoned(stage: FieldStage) -> None:
    """201 hangs up in the announcement, the client waits on and gives up."""
    first, client = _asked(stage, 4)
    stage.wait(1.5)
    first.answer_after_s = None
    first.line.bye()
    stage.wait(3.5)
    client.line.bye()
    stage.over(first, client)


# --- agents who are on the line already -------------------------------------------------------------------
def _agent(stage: FieldStage) -> Phone:
    agent = stage.operator(7)
    stage.until_up(agent.dial("*45"))
    # Until the pool takes a new agent for ready.
    stage.wait(5.0)
    return agent


@scenario
def agent_talk(stage: FieldStage) -> None:
    """207 is logged in and waits on the line; the queue asks for the agent; the client hangs up."""
    agent, client = _agent(stage), stage.outside()
    stage.call(client, 5)
    stage.until_up(client.line)
    stage.wait(1.5)
    stage.talk(agent, client)
    client.line.bye()
    stage.over(client)
    stage.wait(0.5)
    agent.line.bye()
    stage.over(agent)


@scenario
def agent_away(stage: FieldStage) -> None:
    """No agent is logged in; the client waits 6 s and gives up."""
    client = stage.outside()
    stage.call(client, 5)
    stage.until_up(client.line)
    stage.wait(6.0)
    client.line.bye()
    stage.over(client)


# --- click to call ----------------------------------------------------------------------------------------
def _clicked(stage: FieldStage, caller: str, **habits: object) -> tuple[Phone, Phone]:
    """A program rings 201 first, then the client. `caller`: what it originates."""
    operator = stage.operator(1, answer_after_s=1.0)
    client = stage.outside("mobile", "client", **habits)
    stage.cli(f"channel originate {caller} extension {client.number}@from-internal")
    stage.talking(operator)
    return operator, client


def _plain(stage: FieldStage) -> str:
    return f"{stage.tech}/{stage.site.operator(1)}"


def _local(stage: FieldStage) -> str:
    return f"Local/{stage.site.operator(1)}@from-internal/n"


def _click_talk(stage: FieldStage, caller: str, *, by_client: bool) -> None:
    operator, client = _clicked(stage, caller)
    stage.talking(client)
    stage.talk(operator, client)
    (client if by_client else operator).line.bye()
    stage.over(operator, client)


@scenario
def click_talk(stage: FieldStage) -> None:
    """The client answers after 2 s; they talk; the client hangs up."""
    _click_talk(stage, _plain(stage), by_client=True)


@scenario
def click_local_talk(stage: FieldStage) -> None:
    """The same through Local/201@from-internal/n; 201 hangs up."""
    _click_talk(stage, _local(stage), by_client=False)


@scenario
def click_busy(stage: FieldStage) -> None:
    """The client is busy (486)."""
    operator, client = _clicked(stage, _plain(stage), reject_with=486)
    stage.over(operator, client)


@scenario
def click_local_busy(stage: FieldStage) -> None:
    """The same through a Local channel."""
    operator, client = _clicked(stage, _local(stage), reject_with=486)
    stage.over(operator, client)


@scenario
def click_noanswer(stage: FieldStage) -> None:
    """The client does not answer for 8 s."""
    operator, client = _clicked(stage, _plain(stage), answer_after_s=None)
    stage.over(operator, client)


@scenario
def click_operator_gives_up(stage: FieldStage) -> None:
    """201 hangs up after 3 s of hearing it ring."""
    operator, client = _clicked(stage, _plain(stage), answer_after_s=None)
    stage.ringing(client)
    stage.wait(3.0)
    operator.line.bye()
    stage.over(operator, client)


@scenario
def click_trunk_503(stage: FieldStage) -> None:
    """The provider does not take the call (503)."""
    operator, client = _clicked(stage, _local(stage), reject_with=503)
    stage.over(operator, client)
