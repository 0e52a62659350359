"""FastAGI: the dialplan's questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class AgiFeature(Feature):
    name = "agi"

    def wanted(self, config: Config) -> bool:
        return config.agi.enabled

    def open(self, site: Site) -> Part:
        from callsteward.agi.part import AgiPart

        return AgiPart(site)
