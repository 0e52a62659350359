"""Calls that nobody answered: on a list until somebody has dealt with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.part import Part, Site


class LostFeature(Feature):
    name = "lost"

    def open(self, site: Site) -> Part:
        from callsteward.lost.part import LostPart

        return LostPart(site)
