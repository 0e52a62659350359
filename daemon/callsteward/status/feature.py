"""`callsteward status`: how the daemon does, asked over a local socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.part import Part, Site


class StatusFeature(Feature):
    name = "status"

    def wanted(self, config: Config) -> bool:
        """Not for a database in memory, which nobody else can have in mind."""
        from callsteward.status.socket import socket_path

        return socket_path(config) is not None

    def open(self, site: Site) -> Part:
        from callsteward.status.part import StatusPart

        return StatusPart(site)

    def commands(self, app: typer.Typer) -> None:
        from callsteward.status import cli, operators

        cli.add_to(app)
        operators.add_to(app)
