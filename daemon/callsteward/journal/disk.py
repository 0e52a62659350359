"""Threads for work that may wait for a disk: a disk that hangs must not stop the event loop.

Both are daemon threads: a process that is told to stop does not wait for a disk that never answers.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from callsteward.network.causes import of_disk

log = structlog.get_logger("callsteward.journal.disk")

T = TypeVar("T")
# fsync may take some ms: with a pause of this length no more than 100 ms are lost when the power goes.
SYNC_AFTER_S = 0.08
LOG_EVERY_S = 60.0


class Disk:
    """One thread that does work in the order asked, for one event loop. `await do(work)` for each piece."""

    def __init__(self, name: str = "disk") -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The result or exception of `work`, which runs in the thread. Once begun it runs to its end."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        def piece() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001  # whoever awaits it gets it
                error = raised
            # Before anybody is woken: they may look at it at once.
            self._began_s = None
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        self._work.put(piece)
        return future

    @property
    def busy_s(self) -> float:
        """For how long the present piece of work has been running, 0 if there is none."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def close(self) -> None:
        """No more work comes; work asked for before is still done, but nobody waits for it."""
        self._work.put(None)

    def _run(self) -> None:
        while (piece := self._work.get()) is not None:
            self._began_s = time.monotonic()
            piece()


class Syncer:
    """Calls `sync` in a thread of its own, soon after each `wrote`: one sync for all writes so far."""

    def __init__(self, sync: Callable[[], None], after_s: float = SYNC_AFTER_S) -> None:
        self._sync = sync
        self._after_s = after_s
        self._written = threading.Event()
        self._closing = threading.Event()
        self._logged_s = -LOG_EVERY_S
        self._thread = threading.Thread(target=self._run, name="disk sync", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """Bytes were written that need a sync."""
        self._written.set()

    def close(self) -> None:
        """End the thread; the caller syncs the last writes."""
        self._closing.set()
        self._written.set()

    def _run(self) -> None:
        while True:
            self._written.wait()
            if self._closing.wait(self._after_s):
                return
            self._written.clear()
            try:
                self._sync()
            except OSError as error:
                now_s = time.monotonic()
                if now_s - self._logged_s >= LOG_EVERY_S:
                    self._logged_s = now_s
                    log.error("the disk does not sync", action="disk_sync_failed", error=of_disk(error))  # noqa: TRY400
