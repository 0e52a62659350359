"""Gives operators a status: writes it down, has the dialplan pause them, checks that it took, and undoes it.

Each step is in the ledger before what it allows is done. What a crash leaves is done again: pausing by the
same token changes nothing, and putting back takes the mark away first, so it is done once. A pause that
somebody else has ended is over: its marks are taken away, and nobody is put back.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Final

import structlog

from callsteward.exceptions import StoreError
from callsteward.record.facts import OperatorStatus
from callsteward.statuses.dialplan import StatusDialplan
from callsteward.statuses.ledger import StatusLedger
from callsteward.statuses.seen import Seen
from callsteward.statuses.states import GivenMember, GivenState, GivenStatus

log = structlog.get_logger(__name__)

AGAIN_S: Final = 5.0
CONFIRM_S: Final = 3.0
_LOOK_S: Final = 0.05
BY_SOMEBODY: Final = "somebody_else"


class Setting:
    """One for a daemon. `seen`: what Asterisk says; `known`: whether all of it was read."""

    def __init__(
        self,
        ledger: StatusLedger,
        dialplan: StatusDialplan,
        *,
        seen: Callable[[], Seen],
        known: Callable[[], bool],
        now_ms: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._dialplan = dialplan
        self._seen = seen
        self._known = known
        self._now_ms = now_ms
        self._changed = changed
        self._open: dict[str, GivenStatus] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._wake = asyncio.Event()

    async def load(self) -> None:
        """Take up what an earlier process left. Raises StoreError."""
        self._open = {given.operator: given for given in await self._ledger.opened()}

    def given(self, operator: str) -> GivenStatus | None:
        """The status that an operator was given and that took; None without one."""
        given = self._open.get(operator)
        return given if given is not None and given.state is GivenState.PAUSED else None

    def has(self, operator: str) -> bool:
        """True if an operator was given a status that is not over, whether it took or not."""
        return operator in self._open

    def in_status(self, status: OperatorStatus) -> list[str]:
        """The operators who were given this status, and are not being put back."""
        return [
            given.operator
            for given in self._open.values()
            if given.status is status and given.state is GivenState.PAUSED
        ]

    def runs_out(self, operator: str) -> bool:
        """True if an operator's status has a time at which it ends."""
        given = self._open.get(operator)
        return given is not None and given.until_ms is not None

    async def run_out(self, operator: str, status: OperatorStatus, until_ms: int) -> None:
        """Have a status end at a moment, if it is still that one. Raises StoreError."""
        async with self._locks[operator]:
            given = self._open.get(operator)
            if given is not None and given.status is status and given.state is not GivenState.UNDOING:
                self._open[operator] = await self._ledger.run_out(given, until_ms)
                self._wake.set()

    def look_again(self) -> None:
        """Something changed that may end a status, or let one go on."""
        if self._open:
            self._wake.set()

    async def begin(
        self,
        operator: str,
        status: OperatorStatus,
        *,
        reason: str,
        given_by: str,
        until_ms: int | None = None,
    ) -> bool:
        """Give a status. True once Asterisk has confirmed it; False where it did not, and it is tried again.

        Raises StoreError; then nothing was done.
        """
        async with self._locks[operator]:
            before = self._open.get(operator)
            members = self._members(operator)
            token = secrets.token_hex(8)
            if before is not None:
                # The pauses that are there go on under the same mark.
                token = before.token
                members = tuple(dict.fromkeys((*before.members, *members)))
            given = await self._ledger.ask(
                operator,
                status,
                reason=reason,
                given_by=given_by,
                token=token,
                members=members,
                at_ms=self._now_ms(),
                until_ms=until_ms,
                before=before,
            )
            self._open[operator] = given
            return await self._pause(given)

    async def end(self, operator: str, *, by: str, only: Collection[OperatorStatus] = ()) -> bool | None:
        """End a status. None if there is none (of these); False if it goes on being tried.

        Raises StoreError; then nothing was done.
        """
        async with self._locks[operator]:
            given = self._open.get(operator)
            if given is None or (only and given.status not in only):
                return None
            if given.state is not GivenState.UNDOING:
                given = await self._ledger.move(given, GivenState.UNDOING, ended_by=by)
                self._open[operator] = given
            return await self._undo(given)

    async def run(self) -> None:
        """Go on with what was left, end what is over, until cancelled."""
        while True:
            self._wake.clear()
            for operator in list(self._open):
                try:
                    async with self._locks[operator]:
                        await self._go_on(operator)
                except StoreError as error:
                    log.warning("a status waits for the store", action="status_store", error=str(error))
            try:
                async with asyncio.timeout(self._next_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _next_s(self) -> float:
        now_ms = self._now_ms()
        ends = [given.until_ms for given in self._open.values() if given.until_ms is not None]
        return max(_LOOK_S, min([AGAIN_S, *((until_ms - now_ms) / 1000 for until_ms in ends)]))

    async def _go_on(self, operator: str) -> None:
        given = self._open.get(operator)
        if given is None or not self._known():
            return
        over = given.until_ms is not None and given.until_ms <= self._now_ms()
        if over and given.state is not GivenState.UNDOING:
            given = await self._ledger.move(given, GivenState.UNDOING, ended_by="time")
            self._open[operator] = given
        if given.state is GivenState.ASKED:
            await self._pause(given)
        elif given.state is GivenState.UNDOING:
            await self._undo(given)
        elif given.members and not self._any_paused(given):
            log.info("somebody else put an operator back", action="status_ended", operator=operator)
            if await self._dialplan.forget(given) is not None:
                await self._over(given, BY_SOMEBODY)

    def _members(self, operator: str) -> tuple[GivenMember, ...]:
        return tuple(GivenMember(*place) for place in self._seen().places(operator))

    def _any_paused(self, given: GivenStatus) -> bool:
        seen = self._seen()
        return any(seen.is_paused(member.queue, member.interface) for member in given.members)

    async def _pause(self, given: GivenStatus) -> bool:
        report = await self._dialplan.pause(given)
        if report is None:
            return False
        took = report.ours + report.kept > 0
        if took and not await self._confirmed(given):
            return False
        if not took and given.members:
            # In no queue after all: the status is theirs, and no queue has them.
            given = await self._ledger.without_members(given)
        given = await self._ledger.move(given, GivenState.PAUSED)
        self._open[given.operator] = given
        log.info(
            "an operator has a status",
            action="status_given",
            operator=given.operator,
            status=given.status.value,
            reason=given.reason,
            by=given.given_by,
            paused=report.ours,
            paused_before=report.kept,
        )
        self._changed()
        return True

    async def _confirmed(self, given: GivenStatus) -> bool:
        """True once Asterisk's own device states say it, too."""
        for _ in range(round(CONFIRM_S / _LOOK_S)):
            if self._any_paused(given):
                return True
            await asyncio.sleep(_LOOK_S)
        log.warning("a pause did not take", action="status_unconfirmed", operator=given.operator)
        return False

    async def _undo(self, given: GivenStatus) -> bool:
        report = await self._dialplan.unpause(given)
        if report is None:
            return False
        await self._over(given, given.ended_by)
        return True

    async def _over(self, given: GivenStatus, ended_by: str) -> None:
        await self._ledger.end(given, self._now_ms(), ended_by)
        self._open.pop(given.operator, None)
        log.info(
            "an operator's status is over",
            action="status_over",
            operator=given.operator,
            status=given.status.value,
            ended_by=ended_by,
        )
        self._changed()
