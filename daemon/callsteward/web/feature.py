"""HTTP: metrics, and commands where they are switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class WebFeature(Feature):
    name = "web"

    def wanted(self, config: Config) -> bool:
        return config.web.enabled

    def open(self, site: Site) -> Part:
        from callsteward.web.part import WebPart

        return WebPart(site)
