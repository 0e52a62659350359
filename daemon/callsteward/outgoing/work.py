"""Carrying calls to clients out: one task that works through the dialplan's reports, then the ledger.

So no two steps of one call cross. The task decides from the ledger each time, and after a restart nothing
depends on its own notes: for a call under way it looks for the channel in Asterisk, and if that is gone it
asks the fence. Subclasses have what differs between callbacks and rating calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic

import structlog

from callsteward.ari import fence_events
from callsteward.config import CallbackSettings, RatingSettings
from callsteward.exceptions import StoreError
from callsteward.outgoing.ages import Ages
from callsteward.outgoing.fence import Fence
from callsteward.outgoing.ledger import Ledger
from callsteward.outgoing.plan import R, S
from callsteward.outgoing.retention import Retention
from callsteward.outgoing.words import Actor, Against

log = structlog.get_logger(__name__)

LISTED = "the client is on the do-not-call list"
"""The evidence of a step by which a call was stopped."""
# While a call is open the ledger is read this often: it is how an admin's cancel reaches the daemon.
LOOK_EVERY_S = 1.0
LOOK_IDLE_S = 5.0
# If no event came by then, Asterisk is asked.
GRACE_MS = 5_000
ASK_EVERY_MS = 10_000
_MINUTE_MS = 60_000

AnyReport = fence_events.FenceReport[Any]
Settings = CallbackSettings | RatingSettings


class Work(Generic[R, S]):
    """Works until cancelled. `publish` gets the facts to publish."""

    def __init__(
        self,
        ledger: Ledger[R, S],
        fence: Fence,
        settings: Settings,
        *,
        now_ms: Callable[[], int],
        steady_ms: Callable[[], int],
        publish: Callable[[Any], None],
    ) -> None:
        """`steady_ms`: a clock that nobody sets; `now_ms` is Asterisk's clock, which may be set."""
        self._plan = ledger.plan
        self._ledger = ledger
        self._fence = fence
        self._limits = settings
        self._now_ms = now_ms
        self.steady_ms = steady_ms
        self.ages = Ages(now_ms, self.steady_ms)
        self._publish = publish
        self._wake = asyncio.Event()
        self._heard: deque[AnyReport] = deque()
        self._begun_ms: deque[int] = deque()
        self._under_way = 0
        self._any_open = True
        self._stopped: set[str] = set()
        self.linked = False
        self.looked_after: set[str] = set()
        """Calls whose channel this process has looked for since the link was made."""
        self.asked_ms: dict[str, int] = {}
        """By call: when the fence was last asked."""
        self._retention = Retention(
            settings.retention_days, ledger, fence, forget=self._forget, now_ms=now_ms
        )

    # --- what each kind of call does in its own way --------------------------------------------------

    async def _take(self, item: AnyReport) -> None:
        """Make the step that follows from a report. Raises StoreError; may get the same report again."""
        raise NotImplementedError

    async def _go_on(self, opened: Sequence[R]) -> None:
        """Begin those of the open calls that may begin now."""
        raise NotImplementedError

    def _patience_s(self, row: R) -> float:
        """How many seconds a call may stay in its state without a report."""
        raise NotImplementedError

    async def _prepare(self, opened: Sequence[R]) -> None:
        """Do what must be done before any phone rings."""

    async def _forget(self, row: R) -> None:
        """Ask Asterisk to delete its data of a call that is past the retention."""
        # The answer is an event: the dialplan reports that the fence is gone.
        if self._fence.included and row.attempts and row.fence_gone_at_ms is None:
            await self._fence.forget(row.id)

    def _moved(self, row: R, to: S, reason: str) -> None:
        """A step was made."""

    def _rings(self, _row: R) -> bool:
        """True if the phone of a client who was dialled only rings, so that a hang-up cuts no talk off."""
        return True

    # --- calls from the daemon: none of these waits --------------------------------------------------

    def said(self, item: AnyReport | None) -> None:
        """Take in a report from Asterisk or from the journal."""
        if item is not None:
            self._heard.append(item)
            self.wake()

    def link(self, connected: bool) -> None:
        """The link was made, or lost: ask Asterisk what happened in between."""
        self.linked = connected
        self._fence.unknown()
        self.looked_after.clear()
        self.asked_ms.clear()
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def wake_for_open(self) -> None:
        """There may be something to do for a call that is open. Where none was, whoever opens one wakes."""
        if self._any_open:
            self.wake()

    # --- the work ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled. While store or Asterisk fails, it tries again and nothing is dialled."""
        while True:
            try:
                opened = await self.once()
            except StoreError as error:
                waits = f"{self._plan.what} wait for the store"
                log.error(waits, action=f"{self._plan.kind}_store", error=str(error))  # noqa: TRY400
                opened = 1
            try:
                async with asyncio.timeout(LOOK_EVERY_S if opened else LOOK_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def once(self) -> int:
        """Do everything that is due now. Returns how many calls were open. Raises StoreError."""
        while self._heard:
            # A report is taken off only after its step is stored: if the store fails, it comes again.
            await self._take(self._heard[0])
            self._heard.popleft()
        opened = await self._callable(await self._ledger.opened())
        self._any_open = bool(opened)
        await self._prepare(opened)
        under_way = [row for row in opened if row.state in self._plan.under_way]
        if self.linked:
            for row in under_way:
                await self._look_after(row)
        self._under_way = len(under_way)
        await self._go_on(opened)
        await self._retention.work(linked=self.linked)
        return len(opened)

    async def _callable(self, opened: list[R]) -> list[R]:
        """The open calls whose client may still be called. The others are ended.

        Other processes put numbers on the list, too (the command line, another site with the same database),
        so it is read each time.
        """
        forbidden = await self._ledger.forbidden() if opened else []
        for row in forbidden:
            if row.state in self._plan.stoppable:
                await self.stop(row)
            elif (
                self.linked
                and row.channel_id is not None
                and row.id not in self._stopped
                and self._rings(row)
            ):
                self._stopped.add(row.id)
                log.info(
                    "stopped ringing a client",
                    action=f"{self._plan.kind}_forbidden",
                    **{self._plan.kind: row.id},
                )
                await self._fence.hang_up(row.channel_id)
        return await self._ledger.opened() if forbidden else opened

    async def _look_after(self, row: R) -> None:
        """Look for the channel of a call under way that an earlier process began, or that takes too long."""
        age_ms = self.ages.of_ms(row.id, row.changed_at_ms)
        patience_ms = int(self._patience_s(row) * 1000) + GRACE_MS
        if row.id in self.looked_after and age_ms < patience_ms:
            return
        now_ms = self.steady_ms()
        asked_ms = self.asked_ms.get(row.id)
        if asked_ms is not None and now_ms - asked_ms < ASK_EVERY_MS:
            return
        self.asked_ms[row.id] = now_ms
        lives = await self._fence.lives(row.channel_id)
        if lives:
            self.looked_after.add(row.id)
        elif lives is False:
            await self._fence.ask(row.id)

    # --- pace ----------------------------------------------------------------------------------------

    def may_begin(self) -> bool:
        """True if one more call may begin now, by the configured limits at once and per minute."""
        now_ms = self.steady_ms()
        while self._begun_ms and self._begun_ms[0] <= now_ms - _MINUTE_MS:
            self._begun_ms.popleft()
        return (
            self.linked
            and self._fence.included
            and self._under_way < self._limits.max_parallel
            and len(self._begun_ms) < self._limits.per_minute
        )

    def begun(self, row: R) -> None:
        """One more call is under way."""
        self._begun_ms.append(self.steady_ms())
        self._under_way += 1
        self.looked_after.add(row.id)

    # --- steps ---------------------------------------------------------------------------------------

    async def move(
        self,
        row: R,
        to: S,
        actor: Actor = Actor.DAEMON,
        *,
        reason: str = "",
        evidence: str = "",
        among: Sequence[S] | None = None,
        asked: str | None = None,
        channel: str | None = None,
    ) -> R | None:
        """Make a step in the ledger and publish it. None if it is not allowed (any more)."""
        after = await self._ledger.move(
            row,
            to,
            actor=actor,
            at_ms=self._now_ms(),
            reason=reason,
            evidence=evidence,
            among=among,
            asked=asked,
            channel_id=channel,
        )
        if after is None:
            return None
        if to in self._plan.over:
            self._stopped.discard(after.id)
        self._moved(after, to, reason)
        self._publish(self._plan.fact(after, actor))
        # A call that is due again may begin at once.
        self.wake()
        return after

    async def stop(self, row: R) -> None:
        """The client is on the do-not-call list: nobody calls them."""
        await self.move(
            row,
            self._plan.stopped,
            reason=Against.DO_NOT_CALL.value,
            evidence=LISTED,
            among=tuple(self._plan.stoppable),
        )

    async def why_not_reached(self, row: R, item: AnyReport) -> str:
        """Why a client was not reached, by what Asterisk said of the dial."""
        if item.status == "CANCEL" and await self._ledger.forbids(row):
            return Against.DO_NOT_CALL.value
        return fence_events.not_reached(item.status, item.cause, cancelled=self._plan.cancelled)

    async def gone(self, row: R) -> None:
        """Asterisk says that a call's fence is gone; any dialplan may: of an open call it is not believed."""
        if row.state in self._plan.over:
            await self._ledger.fence_gone(row, self._now_ms())
