"""Keeps frames before the tracker sees them: in the journal and the recording, off the event loop.

The pump waits for the disk here; the reader, in the same loop, does not. So a disk that hangs delays records
and alerts, and Asterisk does not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import structlog

from callsteward import faults
from callsteward.ari.recorder import Recorder
from callsteward.exceptions import StoreError
from callsteward.health import Counters
from callsteward.journal import compactor
from callsteward.journal.journal import COMPACTED_LIMIT, Journal
from callsteward.network.causes import of_disk
from callsteward.network.worker import Worker

log = structlog.get_logger(__name__)

T = TypeVar("T")
# The longest write that is not reported.
STALL_S = 1.0
# A stop waits no longer for a disk that hangs: frames that are not written by then are lost, and the log says
# so.
CLOSE_S = 0.5


class Keeping:
    """The journal and, if there is one, the recording. Nothing here raises because of the disk."""

    def __init__(
        self,
        journal: Journal,
        recorder: Recorder | None,
        counters: Counters,
        before_compacting: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        """`before_compacting` makes marks of what a compacted journal's frames no longer tell."""
        self._before_compacting = before_compacting
        self._journal = journal
        self._recorder = recorder
        self._counters = counters
        self._disk: Worker | None = None
        self._compacting: asyncio.Task[None] | None = None
        self.trouble = ""
        """The disk's last error, empty while it works."""

    @property
    def stalled_s(self) -> float:
        """For how long the disk has been at one piece of work; only beyond `STALL_S` it is a stall."""
        return 0.0 if self._disk is None else self._disk.busy_s

    @property
    def journal_begins(self) -> bool:
        """True if the next frame kept is the first in the journal."""
        return self._journal.keeps and not self._journal.size

    @property
    def journal_bytes(self) -> int:
        return self._journal.size

    def left(self) -> Iterator[bytes]:
        """The frames that an earlier process left."""
        return self._journal.frames()

    def record_left(self, raw: bytes) -> None:
        """Write such a frame into the recording: a new recording needs it, a continued one has it."""
        if self._recorder is not None and self._recorder.empty:
            self._recorder.write(raw)

    async def keep(self, frames: Sequence[bytes], head: bytes | None = None) -> bool:
        """Keep frames: they survive a SIGKILL once this returns, a power cut 100 ms later.

        `head`: a mark that stands before them in the journal, and that no recording needs. False if the disk
        refused them: they stay in memory for the next try.
        """
        journal, recorder = self._journal, self._recorder
        if not journal.keeps and recorder is None:
            return True

        def work() -> bool:
            try:
                if head is not None:
                    journal.append(head)
                for raw in frames:
                    journal.append(raw)
                faults.reached("before:journal")
                journal.flush()
                faults.reached("after:journal")
            finally:
                if recorder is not None:
                    for raw in frames:
                        recorder.write(raw)
                    recorder.flush()
            return True

        return await self._guarded(work) is not None

    async def mark(self, frame: bytes) -> None:
        """Keep a mark, which no recording needs."""
        if self._journal.keeps:

            def work() -> None:
                self._journal.append(frame)
                self._journal.flush()

            await self._guarded(work)

    async def tidy(self, *, calls_on: bool) -> None:
        """Remove frames that no call needs any more. Call it when every record is stored."""
        journal = self._journal
        if not journal.size:
            return
        if not calls_on:
            faults.reached("before:clear")
            await self._guarded(journal.clear)
            faults.reached("after:clear")
        elif journal.grown and self._compacting is None:
            for mark in self._before_compacting():
                await self.mark(mark)
            self._compacting = asyncio.create_task(self._compact(journal.written), name="compact the journal")

    async def _compact(self, size: int) -> None:
        """Compact beside everything else: frames are appended meanwhile, and nobody waits for it."""
        try:
            compaction = await self._guarded(lambda: self._journal.begin_compaction(size))
            if compaction is None:
                return
            try:
                await compactor.run(
                    compaction.source, compaction.target, size=compaction.size, limit_bytes=COMPACTED_LIMIT
                )
            except StoreError as error:
                compaction.drop()
                # The journal works as before, and grows; compaction is tried again after a while.
                if not self._journal.emptied_since(compaction):
                    log.error(  # noqa: TRY400
                        "the journal could not be compacted and stays as it is",
                        action="compaction_failed",
                        error=str(error),
                    )
                return
            except asyncio.CancelledError:
                compaction.drop()
                raise
            removed = await self._guarded(lambda: self._journal.adopt(compaction))
            if removed is not None:
                self._counters.compactions += 1
                log.info(
                    "compacted the journal",
                    action="journal_compacted",
                    bytes=self._journal.size,
                    removed=removed,
                )
        finally:
            self._compacting = None

    async def close(self) -> None:
        """Write the remaining frames and unlock, as far as the disk answers."""
        if self._compacting is not None:
            self._compacting.cancel()
            await asyncio.wait({self._compacting})
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._do(self._journal.close)
        except TimeoutError:
            log.error(  # noqa: TRY400
                "stopping without waiting for the journal's disk, which hangs", action="disk_hangs_at_stop"
            )
        except (StoreError, OSError) as error:
            log.error(  # noqa: TRY400
                "stopping without the last frames in the journal: the disk refuses them",
                action="disk_fails_at_stop",
                error=of_disk(error),
            )
        if self._disk is not None:
            self._disk.close()

    async def _guarded(self, work: Callable[[], T]) -> T | None:
        """The result of `work`; None if the disk refused it, which is logged once."""
        try:
            result = await self._do(work)
        except (StoreError, OSError) as error:
            # Calls are followed all the same; a kill would now cost the calls in progress.
            if not self.trouble:
                self._counters.disk_errors += 1
                log.error("the journal cannot be written", action="journal_broken", error=of_disk(error))  # noqa: TRY400
            self.trouble = of_disk(error)
            return None
        if self.trouble:
            self.trouble = ""
            log.info("the journal can be written again", action="journal_mended")
        return result

    async def _do(self, work: Callable[[], T]) -> T:
        if self._disk is None:
            self._disk = Worker("journal")
        doing = self._disk.do(work)
        stalled = False

        def stalls() -> None:
            nonlocal stalled
            stalled = True
            self._counters.disk_stalls += 1
            log.error("the disk hangs: events are received and wait", action="disk_stalled")

        # A timer costs less than a task that waits with a limit, and this is done for every batch of frames.
        stall = asyncio.get_running_loop().call_later(STALL_S, stalls)
        try:
            return await doing
        finally:
            stall.cancel()
            if stalled and not doing.cancelled():
                log.warning("the disk works again", action="disk_resumed")
