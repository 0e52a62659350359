"""May a client be called? Asked when a call to them is decided, and again right before a phone rings.

The answer combines the number guard, the do-not-call list, the calling hours and the client's own zone. A
reason that forbids calling the client at all comes before one that forbids it at the moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Checked, Guard
from callsteward.outgoing.hours import Hours
from callsteward.outgoing.words import Against
from callsteward.outgoing.zones import ClientZones

if TYPE_CHECKING:
    from callsteward.config import Config


class NotToCall(Protocol):
    """Clients who asked not to be called; see `do_not_call.DoNotCall`."""

    async def has(self, number: str) -> bool: ...


class Whereabouts(Protocol):
    """Clients' own zones; see `zones.ClientZones`."""

    async def of(self, number: str) -> ZoneInfo | None: ...


class Standing(msgspec.Struct, frozen=True):
    """The answer for a client. `never`: why they are not called at all; `now`: the hours allow a call."""

    number: str | None
    never: str | None = None
    now: bool = True


def refused(client: Checked) -> str | None:
    """The reason why the guard gives no number to dial, None if it gives one."""
    if client.number is not None:
        return None
    return Against.NO_NUMBER.value if client.refusal is None else client.refusal.value


class May:
    """For one site. Its methods raise StoreError when the database fails."""

    def __init__(self, *, guard: Guard, hours: Hours, do_not_call: NotToCall, zones: Whereabouts) -> None:
        self.guard = guard
        self.hours = hours
        self._do_not_call = do_not_call
        self._zones = zones

    @classmethod
    def of(cls, config: Config, engine: AsyncEngine) -> May:
        """Made from the configuration and the site's database."""
        return cls(
            guard=Guard(config),
            hours=Hours(config),
            do_not_call=DoNotCall(engine),
            zones=ClientZones(engine),
        )

    async def forbidden(self, number: str | None) -> bool:
        """True if a number is on the do-not-call list."""
        return number is not None and await self._do_not_call.has(number)

    async def call(self, raw: str, line: str, *, at_ms: int, dropped_ms: int | None = None) -> Standing:
        """The answer for a client at a moment. `dropped_ms`: when their talk broke, for a callback.

        A callback soon after the drop is exempt from the hours (docs/standard.md, `calling_hours`).
        """
        client = self.guard.check(raw)
        number = client.number
        if number is None:
            return Standing(None, refused(client), now=False)
        never = Against.DO_NOT_CALL.value if await self.forbidden(number) else None
        if dropped_ms is not None and self.hours.exempt(dropped_ms=dropped_ms, at_ms=at_ms):
            return Standing(number, never)
        own = await self._zones.of(number)
        return Standing(number, never, now=self.hours.open(number, line, at_ms=at_ms, own=own))
