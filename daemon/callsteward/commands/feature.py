"""Commands from outside: tags, the do-not-call list, callbacks and complaints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.commands.messages import TOPICS
from callsteward.part import Feature

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.part import Part, Site


class CommandsFeature(Feature):
    name = "commands"
    topics = TOPICS

    def wanted(self, config: Config) -> bool:
        """Also for tags that FastAGI brings."""
        return config.tags.enabled or config.takes_commands

    def open(self, site: Site) -> Part:
        from callsteward.commands.part import CommandsPart

        return CommandsPart(site)
