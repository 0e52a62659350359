"""The number of lost calls of each line, for the gauges: from the store, so that it survives a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.lost.calls import LostCalls
from callsteward.record.facts import Fact, LineNow

log = structlog.get_logger(__name__)

# Another process may settle a call, and the daemon is not notified.
LOOK_EVERY_S = 5.0
# A gauge is shown once a second at most.
REST_S = 1.0


class LostCounts:
    """Keeps the list and counts it.

    `read` makes a line's caller id an E.164 number; `changed` is called when a count has changed.
    """

    def __init__(
        self,
        config: Config,
        lost: LostCalls,
        *,
        read: Callable[[str], str | None],
        changed: Callable[[], None],
    ) -> None:
        self._lost = lost
        self._read = read
        self._retention_ms = config.callback.retention_days * DAY_MS
        self._changed = changed
        self._counts: dict[str, int] = {}
        self._forgot_ms = 0
        self._look = asyncio.Event()

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """Take calls that ended into account, in the transaction that stores their records."""
        self._lost.note(facts, self._read, self._look.set)
        return facts

    def on(self, lines: Iterable[LineNow]) -> list[LineNow]:
        """The lines' gauges with their lost calls, including lines on which nothing else goes on."""
        shown = {line.line: line for line in lines}
        for name, count in self._counts.items():
            shown[name] = msgspec.structs.replace(shown.get(name) or LineNow(line=name), lost=count)
        return list(shown.values())

    async def run(self) -> None:
        """Count until cancelled. While the store fails, the last counts stay."""
        failing = False
        while True:
            self._look.clear()
            try:
                await self.count()
                failing = False
            except StoreError as error:
                if not failing:
                    log.warning("lost calls cannot be counted", action="lost_uncounted", error=str(error))
                failing = True
            await asyncio.sleep(REST_S)
            try:
                async with asyncio.timeout(LOOK_EVERY_S - REST_S):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def count(self) -> None:
        """Count; once a day delete numbers past the retention. Raises StoreError."""
        await self._lost.settle_elsewhere()
        counts = await self._lost.counts()
        if counts != self._counts:
            self._counts = counts
            self._changed()
        now_ms = time.time_ns() // 1_000_000
        if now_ms - self._forgot_ms >= DAY_MS:
            await self._lost.forget_numbers(now_ms - self._retention_ms)
            self._forgot_ms = now_ms
