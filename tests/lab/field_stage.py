"""The stage of the field site's scenarios."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

from tests.lab.dialler import Dialler
from tests.lab.errors import LabError
from tests.lab.field_lanes import FieldLane
from tests.lab.lanes import PASSWORD
from tests.lab.phones import Line, Phone
from tests.lab.scripted_phone import ScriptedPhone
from tests.lab.stage import Stage
from tests.lab.truth import tell

AnyPhone = Phone | ScriptedPhone


@dataclass(slots=True)
class FieldStage(Stage):
    """A `Stage` with the field site's names; ``lane`` stays unused, ``site`` is the lane there."""

    site: FieldLane = field(default_factory=lambda: FieldLane(0))
    console: tuple[str, ...] = ()
    """The command line of Asterisk's console."""

    @property
    def tech(self) -> str:
        """The driver of the site's phones, as the names of their channels have it."""
        return self.site.technology

    # --- who is there ---------------------------------------------------------------------------------
    def operator(self, place: int, **habits: object) -> Phone:
        return self.exchange.operator(self.site.operator(place), **habits)

    def second_phone(self, place: int, who: str, **habits: object) -> Phone:
        """One more phone of an operator who has several."""
        user = self.site.operator(place)
        return self.exchange._phone(Phone(self.exchange, who, user, "127.0.0.1", PASSWORD), habits)

    def outside(self, trunk: str = "provider", who: str = "client", **habits: object) -> Phone:
        """Somebody behind one of the site's trunks."""
        return self.exchange.outside(self.site.trunk(trunk), who, **habits)

    def scripted_client(
        self, trunk: str = "provider", who: str = "client", **habits: object
    ) -> ScriptedPhone:
        line = self.site.trunk(trunk)
        phone = ScriptedPhone(self.exchange, who, line.number, line.address, line.registers_as)
        return _scripted(phone, habits)

    def scripted_operator(self, place: int = 8, **habits: object) -> ScriptedPhone:
        user = self.site.operator(place)
        return _scripted(ScriptedPhone(self.exchange, user, user, self.site.scripted_address(place)), habits)

    # --- what happens ---------------------------------------------------------------------------------
    def call(self, client: AnyPhone, kind: int) -> None:
        """The client dials one of the lane's numbers."""
        client.dial(self.site.did(kind))

    def talk(self, operator: AnyPhone, client: AnyPhone, *, turns: int = 1) -> None:
        """They are connected, and speak past the greeting."""
        self.wait(0.1)
        for turn in range(turns):
            self.speak(operator, 3.3 if turn == 0 else 1.6)
            self.speak(client, 1.2)

    def speak(self, phone: AnyPhone, seconds: float, pause_s: float = 0.5) -> None:
        phone.line.talk()
        self.wait(seconds)
        phone.line.hush()
        self.wait(pause_s)

    def until_connected(self, line: Line | ScriptedPhone, limit_s: float = 30) -> None:
        """Until the client's own phone is up, for a site that answers it when the operator is there."""
        self.exchange.until(line.is_decided, limit_s, f"{line.phone.who} to be connected")
        if line.over:
            message = f"the call of {line.phone.who} ended with {line.status}"
            raise LabError(message)
        tell("connected", who=line.phone.who)

    def over(self, *phones: AnyPhone, limit_s: float = 30) -> None:
        for phone in phones:
            self.exchange.until(phone.is_idle, limit_s, f"{phone.who}'s call to end")

    def ringing(self, phone: AnyPhone, limit_s: float = 20) -> None:
        self.exchange.until(phone.is_ringing, limit_s, f"{phone.who} to ring")

    def talking(self, *phones: AnyPhone, limit_s: float = 30) -> None:
        for phone in phones:
            self.exchange.until(phone.is_talking, limit_s, f"{phone.who} to talk")

    def cli(self, command: str) -> None:
        """Somebody's program orders something of Asterisk."""
        tell("cli", command=command)
        subprocess.run([*self.console, command], capture_output=True, check=True, timeout=10)

    def channel_of(self, prefix: str) -> str:
        """The name of the first channel that begins so."""
        channels = self.ari("GET", "/channels")
        assert isinstance(channels, list)
        for channel in channels:
            if channel["name"].startswith(prefix):
                return str(channel["name"])
        message = f"no channel {prefix}"
        raise LabError(message)

    def dialler(self) -> Dialler:
        return Dialler(self.exchange, self.ari_url, self.ari_authorization, f"fieldacd{self.site.index}")


def _scripted(phone: ScriptedPhone, habits: dict[str, object]) -> ScriptedPhone:
    for name, value in habits.items():
        if not hasattr(phone, name):
            message = f"a scripted phone has no habit {name!r}"
            raise LabError(message)
        setattr(phone, name, value)
    return phone
