"""Where the daemon's parts say what happened: to the feed, and to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from callsteward.calls.tracker import Tracker
from callsteward.feed.output import Output
from callsteward.part import Parts
from callsteward.record.facts import LineNow, OperatorNow

GAUGES_EVERY_S = 1.0


class Outlet:
    """`changed` is to be set when a gauge may have changed."""

    def __init__(self, feed: Output, parts: Parts) -> None:
        self._feed = feed
        self.parts = parts
        self.changed = asyncio.Event()

    def publish(self, fact: object) -> None:
        """Tell a fact. Neither waits nor fails."""
        self.parts.tell(fact)
        self._feed.publish(fact)

    async def gauges(self, tracker: Tracker, now_ms: Callable[[], int]) -> None:
        """Show lines and operators on change, at most once a second, until cancelled."""
        before: tuple[list[LineNow], list[OperatorNow]] | None = None
        knowing = self.parts.having("lines_now")
        knowing_operators = self.parts.having("operators_now")
        showing = self.parts.having("shown")
        while True:
            lines = tracker.lines_now()
            for part in knowing:
                lines = part.lines_now(lines)
            operators = tracker.operators_now()
            for part in knowing_operators:
                operators = part.operators_now(operators)
            now = (lines, operators)
            if now != before:
                before = now
                self._feed.gauges(*now, now_ms())
                for part in showing:
                    part.shown(*now, now_ms())
            await asyncio.sleep(GAUGES_EVERY_S)
            await self.changed.wait()
            self.changed.clear()
