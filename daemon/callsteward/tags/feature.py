"""Tags: what operators, clients and integrations say of a call, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.part import Part, Site


class TagsFeature(Feature):
    name = "tags"

    def wanted(self, config: Config) -> bool:
        """Also for commands, which ask for a call by its client. Else no number is kept beside a call."""
        return config.tags.enabled or config.takes_commands

    def open(self, site: Site) -> Part:
        from callsteward.tags.part import TagsPart

        return TagsPart(site)

    def commands(self, app: typer.Typer) -> None:
        from callsteward.tags.cli import add_to

        add_to(app)
