"""The feed with a counter before it: whatever is published is counted for Prometheus, too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from callsteward.health import FeedState, Health
from callsteward.metrics.calls import CallMetrics
from callsteward.record.call import CallRecord
from callsteward.record.facts import LineNow, OperatorNow

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.feed.output import Output


class CountedFeed:
    """An Output that counts and hands on."""

    def __init__(self, feed: Output, counts: CallMetrics) -> None:
        self._feed = feed
        self._counts = counts

    def publish(self, fact: object) -> None:
        self._counts.observe(fact)
        self._feed.publish(fact)

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        self._counts.gauges(lines, now_ms)
        self._feed.gauges(lines, operators, now_ms)

    async def run(self) -> None:
        await self._feed.run()

    def recall(self, records: Iterable[CallRecord]) -> None:
        self._feed.recall(records)

    def link(self, asterisk_connected: bool, detail: str) -> None:
        self._feed.link(asterisk_connected, detail)

    def health(self, health: Health) -> None:
        self._feed.health(health)

    def reconfigure(self, config: Config) -> None:
        self._feed.reconfigure(config)

    def state(self) -> FeedState:
        return self._feed.state()

    async def drain(self, timeout_s: float) -> Any:
        return await self._feed.drain(timeout_s)
