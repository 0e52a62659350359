"""The fence in Asterisk's own database, and the daemon's requests to the dialplan behind it.

The dialplan dials the client, never the daemon, and claims the fence first: a call that is begun twice dials
the client once. Numbers go in the body of a request, never in its address. Errors are logged; no decision is
made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import structlog

from callsteward import faults
from callsteward.ari.rest import Rest
from callsteward.exceptions import AriError

log = structlog.get_logger(__name__)

ACTS = ("originate", "hang_up", "ask", "forget")
"""The requests to Asterisk; there is a fault point before and after each."""


class Place(NamedTuple):
    """A shipped dialplan. `context`: where its channels begin; `verbs`: its small contexts' first part."""

    context: str
    verbs: str
    included: str
    """Its global that shows that it is included, with its version."""
    missing: str
    """The message to an admin if it is not included."""
    kind: str
    """The first part of the actions in the log."""
    prefix: str = ""
    """The first part of the fault points' names."""


class Fence:
    """The fence of one kind of call."""

    def __init__(self, rest: Rest, place: Place) -> None:
        self._rest = rest
        self._place = place
        self._included: bool | None = None

    @property
    def included(self) -> bool:
        """True if the dialplan is known to be included. Without it a phone would ring for nothing."""
        return bool(self._included)

    def unknown(self) -> None:
        """Asterisk may have been restarted or replaced: look for the dialplan again."""
        self._included = None

    async def look(self) -> None:
        """Ask whether the dialplan is included, unless that is known."""
        if self._included:
            return
        before = self._included
        try:
            version = await self._rest.variable(self._place.included)
        except AriError as error:
            self._silent(error)
            return
        self._included = bool(version)
        if before is not None:
            return
        if version:
            self._found(version)
        else:
            log.error(self._place.missing, action=f"{self._place.kind}_dialplan")

    def _found(self, version: str) -> None:
        """The dialplan is there, in this version."""

    async def lives(self, channel: str | None) -> bool | None:
        """True if a channel exists, None if Asterisk gave no answer."""
        if channel is None:
            return None
        try:
            return await self._rest.channel(channel) is not None
        except AriError as error:
            self._silent(error)
            return None

    async def hang_up(self, channel: str) -> None:
        """End a channel whose call is not to go on."""
        faults.reached(self._point("before", "hang_up"))
        try:
            await self._rest.hang_up(channel)
        except AriError as error:
            log.warning("a phone rings on", action=f"{self._place.kind}_hang_up", error=str(error))
        faults.reached(self._point("after", "hang_up"))

    async def begin(self, query: Mapping[str, str], variables: Mapping[str, str]) -> AriError | None:
        """Begin an attempt. Returns the error if there was one; the attempt may have begun all the same."""
        failed = None
        faults.reached(self._point("before", "originate"))
        try:
            await self._rest.originate(query, variables)
        except AriError as error:
            failed = error
        faults.reached(self._point("after", "originate"))
        return failed

    async def ask(self, name: str) -> None:
        """Ask for the fence of a call; the answer comes as a UserEvent."""
        await self._local("ask", name)

    async def forget(self, name: str) -> None:
        """Remove a fence; a UserEvent confirms that it is gone."""
        await self._local("forget", name)

    async def _local(self, verb: str, name: str) -> None:
        """Run one of the dialplan's small contexts that ring no phone."""
        faults.reached(self._point("before", verb))
        try:
            await self._rest.originate(
                {
                    "endpoint": f"Local/{name}@{self._place.verbs}-{verb}",
                    "context": self._place.context,
                    "extension": "h",
                    "priority": "1",
                    "timeout": "5",
                }
            )
        except AriError as error:
            log.warning("the fence could not be asked", action=f"{self._place.kind}_ask", error=str(error))
        faults.reached(self._point("after", verb))

    def _point(self, when: str, act: str) -> str:
        return f"{when}:{self._place.prefix}{act}"

    def _silent(self, error: AriError) -> None:
        log.warning("Asterisk does not say", action=f"{self._place.kind}_ask", error=str(error))


def older(version: str, than: int) -> bool:
    """True if a dialplan's version, as its global has it, is earlier than `than`."""
    return version.isascii() and version.isdigit() and int(version) < than
