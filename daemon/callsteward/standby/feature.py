"""A second daemon for the same PBX ([standby]). The daemon's own part of it is in `daemon.duty`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.terminal.result import Result


class StandbyFeature(Feature):
    name = "standby"

    def wanted(self, config: Config) -> bool:
        """Nothing of it works beside the stream."""
        del config
        return False

    async def checks(self, config: Config) -> Sequence[Result]:
        from callsteward.standby.check import pair

        return await pair(config)

    def commands(self, app: typer.Typer) -> None:
        from callsteward.standby.cli import add_to

        add_to(app)
