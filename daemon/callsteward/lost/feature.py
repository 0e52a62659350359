"""Calls that nobody answered: on a list until somebody has dealt with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.part import Part, Site


class LostFeature(Feature):
    name = "lost"

    def open(self, site: Site) -> Part:
        from callsteward.lost.part import LostPart

        return LostPart(site)

    def commands(self, app: typer.Typer) -> None:
        from callsteward.lost.cli import add_to

        add_to(app)
