"""Log lines written in a thread: whoever takes them (journald, a disk that hangs) may stand still."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TextIO

# Lines that wait for their reader; further ones are dropped, and counted.
LIMIT = 10_000
FLUSH_S = 1.0


class LogWriter(logging.Handler):
    """A handler that never waits: formatted lines go to `stream` in a daemon thread."""

    def __init__(self, stream: TextIO, limit: int = LIMIT) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(limit)
        self.dropped = 0
        """Lines nobody will read, since too many waited."""
        self._told = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment until everything is written; not for a reader that stands still."""
        deadline = time.monotonic() + FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._stream.write(line + "\n")
                if self.dropped > self._told and self._lines.empty():
                    self._told = self.dropped
                    self._stream.write(
                        f"callsteward: {self._told} log lines dropped so far: too many waited\n"
                    )
                self._stream.flush()
            except (OSError, ValueError):
                pass  # nobody is left to be told
            finally:
                self._lines.task_done()
