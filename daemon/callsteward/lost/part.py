"""The list of lost calls, kept as calls end, and its counts in the lines' gauges."""

from __future__ import annotations

from collections.abc import Sequence

from callsteward.lost.calls import LostCalls
from callsteward.lost.counts import LostCounts
from callsteward.part import Part, Site
from callsteward.record.facts import Fact, LineNow


class LostPart(Part):
    def __init__(self, site: Site) -> None:
        self.lost = LostCalls(site.store.engine, site.name)
        self.counts = LostCounts(site.config, self.lost, read=site.guard.read, changed=site.changed)

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return await self.counts.judge(facts)

    def lines_now(self, lines: list[LineNow]) -> list[LineNow]:
        return self.counts.on(lines)

    async def run(self) -> None:
        await self.counts.run()
