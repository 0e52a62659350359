"""Talks that break: a reason given in the BYE, a session timer, a phone lost behind a Local channel.

What a driver and a version tell of such an end differs more than of any other: ``python -m
tests.lab.capture --version 16 --driver sip NAME`` records one of them.
"""

from __future__ import annotations

from tests.lab.remote_phone import RemotePhone
from tests.lab.scenarios import connected
from tests.lab.stage import Scenarios, Stage, main

BREAKS = Scenarios[Stage]()
breaks = BREAKS.add

FOUND_OUT_S = 110
"""A session timer of 90 s asks after 45 s, and waits 32 s for the answer."""


@breaks
def reason_client(stage: Stage) -> None:
    """The provider ends the talk: its BYE gives Q.850 cause 41, temporary failure, as the reason."""
    operator, client = connected(stage)
    stage.dialogue(operator, client)
    client.line.bye(cause=41)
    stage.until_over(operator, client)


@breaks
def reason_client_queue(stage: Stage) -> None:
    """The same of a client who came through a queue."""
    operator, client = connected(stage, stage.lane.did(20))
    stage.until_talking(operator)
    stage.dialogue(operator, client)
    client.line.bye(cause=41)
    stage.until_over(operator, client)


@breaks
def reason_operator(stage: Stage) -> None:
    """The operator's phone loses its network: its gateway's BYE gives cause 38, network out of order."""
    operator, client = connected(stage)
    stage.dialogue(operator, client)
    operator.line.bye(cause=38)
    stage.until_over(operator, client)


@breaks
def reason_early(stage: Stage) -> None:
    """The provider ends it 1.5 s into the greeting, with cause 38."""
    operator, client = connected(stage)
    operator.line.talk()
    stage.wait(1.5)
    client.line.bye(cause=38)
    stage.until_over(operator, client)


@breaks
def reason_outbound(stage: Stage) -> None:
    """The operator calls the client; the provider ends the talk with cause 41."""
    operator = stage.operator(1)
    client = stage.client()
    line = operator.dial(client.number)
    stage.until_up(line)
    stage.dialogue(operator, client)
    client.line.bye(cause=41)
    stage.until_over(operator, client)


@breaks
def session_timer(stage: Stage) -> None:
    """The client's phone vanishes where no RTP timeout watches: the session timer finds out after 77 s."""
    operator = stage.operator(1)
    with RemotePhone.outside(stage.exchange, stage.lane.timed_line, "client") as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        stage.say(operator, 3.3)
        client.talk()
        stage.wait(2.0)
        client.hush()
        stage.wait(0.5)
        client.vanish()
        stage.until_over(operator, limit_s=FOUND_OUT_S)


def _lost_client(stage: Stage, number: str) -> None:
    operator = stage.operator(1)
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(number)
        stage.until_talking(operator)
        stage.say(operator, 3.3)
        client.talk()
        stage.wait(2.0)
        client.hush()
        stage.wait(0.5)
        client.vanish()
        stage.until_over(operator)


def _lost_operator(stage: Stage, number: str) -> None:
    client = stage.client()
    with RemotePhone.operator(stage.exchange, stage.lane.operator(1)) as operator:
        line = client.dial(number)
        stage.until_up(line)
        # The queue has answered long before.
        stage.wait(3.0)
        operator.talk()
        stage.wait(3.3)
        operator.hush()
        stage.wait(0.5)
        stage.say(client, 2.0)
        operator.vanish()
        stage.until_over(client)


@breaks
def lost_client_waiting(stage: Stage) -> None:
    """The client's phone vanishes while they wait in a queue where nobody is."""
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(stage.lane.did(25))
        stage.wait(6.0)
        client.vanish()
        # The RTP timeout of 5 s.
        stage.wait(9.0)


@breaks
def lost_client_holding(stage: Stage) -> None:
    """The client puts the operator on hold, and their phone vanishes."""
    operator = stage.operator(1)
    with RemotePhone.outside(stage.exchange, stage.lane.outside(1), "client") as client:
        client.dial(stage.lane.did(10))
        stage.until_talking(operator)
        stage.say(operator, 3.3)
        client.talk()
        stage.wait(2.0)
        client.hush()
        stage.wait(0.5)
        client.hold()
        stage.wait(3.0)
        client.vanish()
        stage.until_over(operator, limit_s=60)


@breaks
def lost_client_local(stage: Stage) -> None:
    """The client's phone vanishes in a talk with a member behind Local/…/n, as in FreePBX."""
    _lost_client(stage, stage.lane.did(22))


@breaks
def lost_operator_local(stage: Stage) -> None:
    """The phone of a member behind Local/…/n vanishes."""
    _lost_operator(stage, stage.lane.did(22))


@breaks
def lost_client_optimised(stage: Stage) -> None:
    """The client's phone vanishes; the Local channel in between has optimised itself away."""
    _lost_client(stage, stage.lane.did(23))


@breaks
def lost_operator_optimised(stage: Stage) -> None:
    """The operator's phone vanishes; the Local channel in between has optimised itself away."""
    _lost_operator(stage, stage.lane.did(23))


if __name__ == "__main__":
    raise SystemExit(main(BREAKS, __doc__))
