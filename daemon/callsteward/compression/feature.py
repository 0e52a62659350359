"""Records that are not compressed yet are, where the configuration wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.part import Part, Site


class CompressionFeature(Feature):
    name = "compression"

    def wanted(self, config: Config) -> bool:
        return config.store.compresses

    def open(self, site: Site) -> Part:
        from callsteward.compression.part import CompressionPart

        return CompressionPart(site)

    def commands(self, app: typer.Typer) -> None:
        from callsteward.compression.cli import add_to

        add_to(app)
