"""The answer to one scrape."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from callsteward.config import Config
from callsteward.health import Readings
from callsteward.metrics.calls import CallMetrics
from callsteward.metrics.health import HealthCollector


class Metrics:
    """All metrics of one daemon, in a registry of their own."""

    def __init__(self, config: Config, readings: Readings) -> None:
        self._registry = CollectorRegistry()
        lines = [line.name for line in config.lines]
        self.calls = CallMetrics(self._registry, [*lines, config.default_line])
        self._registry.register(HealthCollector(readings))
        # Memory, CPU time and descriptors of the process.
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its content type: OpenMetrics where `accept` asks for it, else Prometheus' text."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
