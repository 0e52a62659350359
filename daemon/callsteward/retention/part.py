"""Old records in the daemon: deleted beside the stream, each hour."""

from __future__ import annotations

from callsteward.intervals.catching_up import REST
from callsteward.intervals.keeping import SumsKeeper
from callsteward.part import Part, Site
from callsteward.retention.expiry import Expiry


class RetentionPart(Part):
    def __init__(self, site: Site) -> None:
        # Without a number of days the feature is not wanted, and there is no part.
        days = site.config.store.retention_days or 0
        self._expiry = Expiry(
            site.store.engine,
            site.name,
            days,
            site.forbidding.plans,
            zone=site.config.site.zone,
            now_ms=site.now_ms,
            # Reports of a year go on when its records are gone.
            before=SumsKeeper(site.store.engine, site.name, rest=REST).complete,
        )

    async def run(self) -> None:
        await self._expiry.run()
