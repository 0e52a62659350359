"""This site's contacts with clients, written down for the other sites, whether or not it calls back."""

from __future__ import annotations

from collections.abc import Sequence

from callsteward.clock import DAY_MS
from callsteward.outgoing.contacts import Contacts, contacts_of
from callsteward.part import Part, Site
from callsteward.record.facts import Fact
from callsteward.store.forgetting import hourly

# Longer than any callback is open, and than a call lasts.
KEPT_MS = DAY_MS


class SitesPart(Part):
    def __init__(self, site: Site) -> None:
        self._site = site
        self.contacts = Contacts(site.store.engine, site.name)

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """Write contacts down before anything else is decided on these facts."""
        await self.contacts.note(contacts_of(facts, self._site.guard, self._site.name))
        return facts

    async def run(self) -> None:
        await hourly(
            self._forget, failing="old contacts with clients are not deleted", action="contacts_forget"
        )

    async def _forget(self) -> None:
        await self.contacts.forget(self._site.now_ms() - KEPT_MS)
