"""May a client be called? Asked when a call is decided, and again right before a phone is rung.

The number guard, the do-not-call list, the calling hours and the client's own zone answer together, in the
order of their weight: what forbids calling them at all comes before what forbids it now.
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
    """How a client stands. `never`: why they are not called at all; `now`: whether the hours allow it."""

    number: str | None
    never: str | None = None
    now: bool = True


def refused(client: Checked) -> str | None:
    """Why the guard gives no number to dial, None where it does."""
    if client.number is not None:
        return None
    return Against.NO_NUMBER.value if client.refusal is None else client.refusal.value


class May:
    """One site's. Its methods raise StoreError when the database fails."""

    def __init__(self, *, guard: Guard, hours: Hours, do_not_call: NotToCall, zones: Whereabouts) -> None:
        self.guard = guard
        self.hours = hours
        self._do_not_call = do_not_call
        self._zones = zones

    @classmethod
    def of(cls, config: Config, engine: AsyncEngine) -> May:
        """As the configuration asks, from the site's database."""
        return cls(
            guard=Guard(config),
            hours=Hours(config),
            do_not_call=DoNotCall(engine),
            zones=ClientZones(engine),
        )

    async def forbidden(self, number: str | None) -> bool:
        """Whether a number is on the do-not-call list."""
        return number is not None and await self._do_not_call.has(number)

    async def call(self, raw: str, line: str, *, at_ms: int, dropped_ms: int | None = None) -> Standing:
        """How a client stands at a moment. `dropped_ms`: when their talk broke, if one did.

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
