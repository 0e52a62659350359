"""A thread that syncs: a disk that hangs must not stop the event loop.

It is a daemon thread: a process that is told to stop does not wait for a disk that never answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from callsteward.network.causes import of_disk

log = structlog.get_logger("callsteward.journal.disk")

# fsync may take some ms: with a pause of this length no more than 100 ms are lost when the power goes.
SYNC_AFTER_S = 0.08
LOG_EVERY_S = 60.0


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
