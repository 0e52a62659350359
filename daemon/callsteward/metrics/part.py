"""Metrics in the daemon: whatever is published is counted."""

from __future__ import annotations

from callsteward.metrics.scrape import Metrics
from callsteward.part import Part, Site
from callsteward.record.facts import LineNow, OperatorNow


class MetricsPart(Part):
    def __init__(self, site: Site) -> None:
        self.metrics = Metrics(site.config, site.readings)

    def told(self, fact: object) -> None:
        self.metrics.calls.observe(fact)

    def shown(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        self.metrics.calls.gauges(lines, now_ms)
        self.metrics.calls.operators(operators)
