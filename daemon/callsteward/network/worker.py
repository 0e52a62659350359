"""A thread for work that may wait for a disk: a disk that hangs must not stop the event loop.

It is a daemon thread: a process that is told to stop does not wait for a disk that never answers.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread that does work in the order asked, for one event loop. `await do(work)` for each piece.

    `at_end` is the last thing that it does.
    """

    def __init__(self, name: str, at_end: Callable[[], None] = lambda: None) -> None:
        self._at_end = at_end
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(
        self,
        work: Callable[[], T],
        *,
        after: Callable[[Any, BaseException | None], None] | None = None,
    ) -> asyncio.Future[T]:
        """The result or exception of `work`, which runs in the thread. Once begun it runs to its end.

        `after` is called with both on the loop, also if nobody waits any more, and ahead of whoever waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if not future.cancelled():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            if after is not None:
                after(result, error)

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

    def close(self, within_s: float = 0.0) -> None:
        """No more work comes. The work asked for before is still done: the caller waits `within_s` for it."""
        self._work.put(None)
        if within_s > 0:
            self._thread.join(within_s)

    def _run(self) -> None:
        while (piece := self._work.get()) is not None:
            self._began_s = time.monotonic()
            piece()
        self._at_end()
