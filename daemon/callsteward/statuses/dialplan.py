"""The requests to dialplan/callsteward-statuses.conf, and its reports.

The dialplan pauses members and marks in Asterisk's database which pauses are callsteward's. It puts back only
those, and takes the mark away first: what is done twice is done once, and nobody else's pause is undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from callsteward import faults
from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.exceptions import AriError
from callsteward.statuses.states import GivenMember, GivenStatus

log = structlog.get_logger(__name__)

EVENT: Final = "callsteward-status"
INCLUDED: Final = "CALLSTEWARD_STATUSES"
_CONTEXT: Final = "callsteward-status"
REPORT_S: Final = 5.0
# An address and a variable have limits: more members than this are paused in several requests.
AT_ONCE: Final = 20


class StatusReport(msgspec.Struct, frozen=True):
    """The result of a request: members paused (or put back) by it, paused by somebody else, not there."""

    ours: int = 0
    kept: int = 0
    gone: int = 0

    def __add__(self, other: StatusReport) -> StatusReport:
        return StatusReport(self.ours + other.ours, self.kept + other.kept, self.gone + other.gone)


class StatusDialplan:
    """One for a daemon. Errors are logged; no decision is made here."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._waiting: dict[tuple[str, str], asyncio.Future[StatusReport]] = {}
        self.included = False

    async def look(self) -> None:
        """Ask whether the dialplan is included; Asterisk may have been replaced."""
        try:
            self.included = bool(await self._rest.variable(INCLUDED))
        except AriError as error:
            log.warning("Asterisk does not say", action="status_dialplan", error=str(error))
            return
        if not self.included:
            log.error(
                "nobody can be paused: include callsteward-statuses.conf in extensions.conf",
                action="status_dialplan",
            )

    def hear(self, event: ari.ChannelUserevent) -> None:
        """A report of the dialplan."""
        fields = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
        waiting = self._waiting.get((fields.get("token", ""), fields.get("verb", "")))
        if waiting is not None and not waiting.done():
            waiting.set_result(StatusReport(*(_count(fields.get(key)) for key in ("ours", "kept", "gone"))))

    async def pause(self, given: GivenStatus) -> StatusReport | None:
        """Pause the members; None if no report came, and it may have been done all the same."""
        return await self._do("pause", given)

    async def unpause(self, given: GivenStatus) -> StatusReport | None:
        """Put back the members that this one paused, and nobody else's."""
        return await self._do("unpause", given)

    async def forget(self, given: GivenStatus) -> StatusReport | None:
        """Take the marks away, and put nobody back: somebody else has done that."""
        return await self._do("forget", given)

    async def _do(self, verb: str, given: GivenStatus) -> StatusReport | None:
        total = StatusReport()
        # Also without members: the hint of an operator without queues is set.
        for start in range(0, max(1, len(given.members)), AT_ONCE):
            report = await self._one(verb, given, given.members[start : start + AT_ONCE])
            if report is None:
                return None
            total += report
        return total

    async def _one(
        self, verb: str, given: GivenStatus, members: Iterable[GivenMember]
    ) -> StatusReport | None:
        key = (given.token, verb)
        waiting: asyncio.Future[StatusReport] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        query = {
            "endpoint": f"Local/{given.token}@{_CONTEXT}-{verb}",
            "context": f"{_CONTEXT}-code",
            "extension": "h",
            "priority": "1",
            "timeout": "5",
        }
        variables = {
            "CS_MEMBERS": ",".join(f"{member.queue}|{member.interface}" for member in members),
            "CS_REASON": given.reason or given.status.value,
            "CS_OPERATOR": given.operator,
        }
        try:
            faults.reached(f"before:status_{verb}")
            await self._rest.originate(query, variables)
            faults.reached(f"after:status_{verb}")
            async with asyncio.timeout(REPORT_S):
                return await waiting
        except AriError as error:
            log.warning("Asterisk does not do it", action=f"status_{verb}", error=str(error))
        except TimeoutError:
            log.warning("no report from the dialplan", action=f"status_{verb}", operator=given.operator)
        finally:
            del self._waiting[key]
        return None


def _count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0
