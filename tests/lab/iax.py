"""Talks over an IAX2 trunk: two lab Asterisks, of which one is the provider and whoever is behind it.

``python -m tests.lab.capture --iax`` records them. The far Asterisk has no phones: it calls, answers, makes
a tone and hangs up as it is told over ARI, or is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.ports import free_port
from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell

IAX = Scenarios[Stage]()
over_iax = IAX.add

FAR = "CALLSTEWARD_LAB_FAR"
"""Where a scenario finds the far Asterisk: its ARI, and its process to be killed."""
CLIENT = "79000000000"
TONE_S = 2
BEFORE_TONE_S = 4
"""From the answer to the client's own words: the operator's greeting comes first."""


@contextmanager
def linked(version: str) -> Iterator[Asterisk]:
    """A lab Asterisk with an IAX2 trunk ``IAX2/provider`` to another one, which runs beside it."""
    pbx, far = Asterisk(version), Asterisk(version)
    ports = [free_port(socket.SOCK_DGRAM) for _ in range(2)]
    _configure(pbx.etc, "provider", "pbx", "from-trunk", ports)
    _configure(far.etc, "pbx", "provider", "far", ports[::-1])
    (pbx.etc / "extensions.conf").open("a").write(
        "[from-internal](+)\nexten => _79000009XXX,1,Dial(IAX2/provider/${EXTEN},20)\n"
        "exten => _79000008XXX,1,Dial(IAX2/provider/${EXTEN},20,L(8000))\n"
    )
    (far.etc / "extensions.conf").open("a").write(
        "[far]\n"
        "exten => _7X.,1,Ringing()\n same => n,Wait(2)\n same => n,Answer()\n same => n,Goto(talk,1)\n"
        f"exten => talk,1,Wait({BEFORE_TONE_S})\n same => n,MusicOnHold(default,{TONE_S})\n"
        " same => n,Wait(60)\n"
    )
    with far, pbx:
        os.environ[FAR] = json.dumps(
            {"url": far.ari.base_url, "authorization": far.ari.authorization, "pid": far.pid}
        )
        yield pbx


def _configure(etc: Path, peer: str, known_as: str, context: str, ports: list[int]) -> None:
    """iax.conf with the other Asterisk as `peer`, to which this one calls itself `known_as`."""
    ours, theirs = ports
    (etc / "iax.conf").write_text(f"""[general]
; In this order: an address takes the port said before it.
bindport = {ours}
bindaddr = 127.0.0.1
calltokenoptional = 127.0.0.1/255.255.255.255
autokill = yes
disallow = all
allow = ulaw
[{peer}]
type = friend
host = 127.0.0.1
port = {theirs}
username = {known_as}
requirecalltoken = no
context = {context}
setvar = TALK_DETECT(set)=500,256
""")
    modules = etc / "modules.conf"
    modules.write_text(modules.read_text().replace("noload = chan_iax2.so\n", ""))


class FarEnd:
    """The provider, told over ARI what to do."""

    def __init__(self) -> None:
        told = json.loads(os.environ[FAR])
        self._url, self._authorization, self._pid = told["url"], told["authorization"], told["pid"]

    def call(self, number: str) -> None:
        """Somebody outside calls a number of the PBX."""
        tell("dial", who="client", to=number)
        self._ask(
            "POST",
            f"/channels?endpoint=IAX2/pbx/{number}&context=far&extension=talk&priority=1&callerId={CLIENT}",
        )

    def hang_up(self) -> None:
        """Whoever is outside hangs up."""
        channels = self._ask("GET", "/channels")
        if not isinstance(channels, list) or len(channels) != 1:
            message = f"the far end has not one channel, but {channels}"
            raise LabError(message)
        self._ask("DELETE", f"/channels/{channels[0]['id']}?reason=normal")
        tell("bye", who="client")

    def vanish(self) -> None:
        """The provider is gone, without a word."""
        os.kill(self._pid, signal.SIGKILL)
        tell("vanish", who="client")

    def _ask(self, method: str, path: str) -> object:
        request = urllib.request.Request(
            f"{self._url}{path}", method=method, headers={"Authorization": self._authorization}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def _talk_in(stage: Stage) -> FarEnd:
    far = FarEnd()
    operator = stage.operator(1)
    far.call(stage.lane.did(10))
    stage.until_talking(operator)
    stage.say(operator, 3.3)
    stage.wait(BEFORE_TONE_S + TONE_S - 3.3)
    return far


@over_iax
def iax_inbound(stage: Stage) -> None:
    """A client calls in over the IAX2 trunk, a dialogue, the client hangs up."""
    far = _talk_in(stage)
    far.hang_up()
    stage.until_over(*stage.exchange.phones)


@over_iax
def iax_inbound_operator_bye(stage: Stage) -> None:
    """The same, and the operator hangs up."""
    _talk_in(stage)
    (operator,) = stage.exchange.phones
    operator.line.bye()
    stage.until_over(operator)


@over_iax
def iax_pbx_hangup(stage: Stage) -> None:
    """Dial's L(8000) ends the talk with a client on the IAX2 trunk: no request from anybody."""
    far = FarEnd()
    operator = stage.operator(1)
    far.call(stage.lane.did(12))
    stage.until_talking(operator)
    stage.say(operator, 3.3)
    stage.until_over(operator)


@over_iax
def iax_busy(stage: Stage) -> None:
    """A client calls in over the IAX2 trunk; the operator's phone says 486 Busy Here."""
    far = FarEnd()
    operator = stage.operator(1, reject_with=486)
    far.call(stage.lane.did(10))
    stage.until_ringing(operator)
    stage.until_over(operator)


@over_iax
def iax_abandon(stage: Stage) -> None:
    """A client calls in over the IAX2 trunk and gives up after 7 s of ringing."""
    far = FarEnd()
    operator = stage.operator(1, answer_after_s=None)
    far.call(stage.lane.did(10))
    stage.until_ringing(operator)
    stage.wait(7.0)
    far.hang_up()
    stage.until_over(operator)


@over_iax
def iax_outbound(stage: Stage) -> None:
    """An operator calls a client over the IAX2 trunk, who answers after 2 s and hangs up."""
    far = FarEnd()
    operator = stage.operator(1)
    line = operator.dial("79000009001")
    stage.until_up(line)
    stage.say(operator, 3.3)
    stage.wait(BEFORE_TONE_S + TONE_S - 3.3)
    far.hang_up()
    stage.until_over(operator)


@over_iax
def iax_outbound_operator_bye(stage: Stage) -> None:
    """The same, and the operator hangs up."""
    operator = stage.operator(1)
    line = operator.dial("79000009001")
    stage.until_up(line)
    stage.say(operator, 3.3)
    stage.wait(BEFORE_TONE_S + TONE_S - 3.3)
    operator.line.bye()
    stage.until_over(operator)


@over_iax
def iax_outbound_pbx_hangup(stage: Stage) -> None:
    """Dial's L(8000) ends an operator's talk with a client on the IAX2 trunk."""
    operator = stage.operator(1)
    line = operator.dial("79000008001")
    stage.until_up(line)
    stage.say(operator, 3.3)
    stage.until_over(operator)


@over_iax
def iax_lost(stage: Stage) -> None:
    """The provider is gone in mid-dialogue: the IAX2 channel notices by itself."""
    far = _talk_in(stage)
    far.vanish()
    stage.until_over(*stage.exchange.phones, limit_s=100)


if __name__ == "__main__":
    raise SystemExit(main(IAX, __doc__))
