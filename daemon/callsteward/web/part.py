"""The HTTP server in the daemon."""

from __future__ import annotations

from typing import ClassVar

from callsteward.commands.part import CommandsPart
from callsteward.metrics.part import MetricsPart
from callsteward.part import Part, Site
from callsteward.web.probes import readiness
from callsteward.web.server import HttpDoor


class WebPart(Part):
    stands_by: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        commands = site.part(CommandsPart) if site.config.commands_over_http else None
        metrics = site.part(MetricsPart)
        self._openings = site.openings
        self._http = HttpDoor(
            site.config,
            None if commands is None else commands.commands,
            None if metrics is None else metrics.metrics,
            ready=lambda: readiness(site.readings),
        )

    async def run(self) -> None:
        await self._openings.keep_open("web", self._http.run)
