"""Several sites with one database: a client who had one of them is not called back by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class SitesFeature(Feature):
    name = "sites"

    def wanted(self, config: Config) -> bool:
        from callsteward.store.url import store_url

        # An SQLite file has one daemon.
        return store_url(config.store.url).get_backend_name() != "sqlite"

    def open(self, site: Site) -> Part:
        from callsteward.sites.part import SitesPart

        return SitesPart(site)
