"""Operators' statuses: free, paused, unreachable and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class StatusesFeature(Feature):
    name = "statuses"

    def wanted(self, config: Config) -> bool:
        return config.statuses.enabled

    def open(self, site: Site) -> Part:
        from callsteward.statuses.part import StatusesPart

        return StatusesPart(site)
