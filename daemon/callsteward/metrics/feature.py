"""Metrics for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class MetricsFeature(Feature):
    name = "metrics"

    def wanted(self, config: Config) -> bool:
        return config.web.enabled and config.web.metrics

    def open(self, site: Site) -> Part:
        from callsteward.metrics.part import MetricsPart

        return MetricsPart(site)
