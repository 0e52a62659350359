"""The way of facts out of the pump: judged, stored, published; or held back, where another daemon acts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import structlog

from callsteward import faults
from callsteward.exceptions import StoreError
from callsteward.network.backoff import Backoff
from callsteward.record.call import CallRecord
from callsteward.record.facts import Alert, CallEnded, CallHappened, Fact, HandOver
from callsteward.stream.held import HeldBack
from callsteward.stream.progress import Progress

log = structlog.get_logger("callsteward.stream.pump")

# What judges say nothing in, but for the records.
_TOLD_AS_THEY_ARE = (CallEnded, CallHappened, Alert, HandOver)

# How long a failing store is tried again before the daemon gives up and lets itself be restarted.
STORE_PATIENCE_S = 300.0

T = TypeVar("T")
Save = Callable[[Sequence[CallRecord]], Awaitable[list[CallRecord]]]


Judge = Callable[[Sequence[Fact]], Awaitable[Sequence[Fact]]]
"""Stores the consequences of facts in the ledger and adds them to their records. Raises StoreError."""


class FactOutlet(Protocol):
    """The target of facts."""

    def publish(self, fact: Fact) -> None: ...


class Telling:
    """Makes known what was found. `held`: it is held back there, until that is None."""

    def __init__(
        self,
        *,
        save: Save,
        outlet: FactOutlet,
        judge: Judge | None,
        progress: Progress,
        held: HeldBack | None,
    ) -> None:
        self._save = save
        self._outlet = outlet
        self._judge = judge
        self._progress = progress
        self.held = held
        self.finishing = False
        """A write that fails now is not tried again."""

    async def deliver(self, facts: Sequence[Fact]) -> None:
        """Publish events at once; store the records, then publish them."""
        if not facts:
            return
        if self.held is not None:
            self.held.add(facts)
            return
        # All of these come before their call's record, and need not wait for the disk; but nothing may
        # overtake a fact that is published only after it was judged.
        at_once = all(isinstance(fact, _TOLD_AS_THEY_ARE) for fact in facts)
        if at_once:
            self._publish(fact for fact in facts if not isinstance(fact, CallEnded))
        facts, new = await self._written(facts)
        self._publish(
            fact
            for fact in facts
            if (fact.record.call_id in new if isinstance(fact, CallEnded) else not at_once)
        )

    def _publish(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._outlet.publish(fact)

    async def deliver_rerun(self, facts: Sequence[Fact]) -> None:
        """Publish only the records that an earlier process did not store; it may have published the rest."""
        if self.held is not None:
            self.held.add(facts)
            return
        facts, new = await self._written(facts)
        for fact in facts:
            if isinstance(fact, CallEnded) and fact.record.call_id in new:
                self._outlet.publish(fact)

    async def _written(self, facts: Sequence[Fact]) -> tuple[Sequence[Fact], set[str]]:
        """The facts as they are to be published, and the ids of the records that were not stored before."""
        judge = self._judge
        if judge is not None:
            unjudged = facts
            facts = await self.patiently(lambda: judge(unjudged), len(facts))
        records = [fact.record for fact in facts if isinstance(fact, CallEnded)]
        if not records:
            return facts, set()
        faults.reached("before:record")
        stored = await self.patiently(lambda: self._save(records), len(records))
        faults.reached("after:record")
        return facts, {record.call_id for record in stored}

    async def patiently(self, write: Callable[[], Awaitable[T]], count: int) -> T:
        """The result of a write, tried again for a while if the store fails."""
        backoff = Backoff(0.2, 5.0)
        give_up = time.monotonic() + STORE_PATIENCE_S
        while True:
            try:
                with self._progress.waiting("store"):
                    return await write()
            except StoreError as error:
                if self.finishing or time.monotonic() > give_up:
                    raise
                delay = backoff.next_s()
                log.error(  # noqa: TRY400
                    "records wait for the store",
                    action="store_failed",
                    error=str(error),
                    records=count,
                    retry_s=round(delay, 1),
                )
                await asyncio.sleep(delay)
