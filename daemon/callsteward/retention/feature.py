"""Old records are deleted, where the configuration says after how many days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class RetentionFeature(Feature):
    name = "retention"

    def wanted(self, config: Config) -> bool:
        return config.store.retention_days is not None

    def open(self, site: Site) -> Part:
        from callsteward.retention.part import RetentionPart

        return RetentionPart(site)
