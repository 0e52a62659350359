"""The FastAGI server in the daemon."""

from __future__ import annotations

from callsteward.agi.server import Server
from callsteward.agi.site import site_questions
from callsteward.commands.part import CommandsPart
from callsteward.part import Part, Site
from callsteward.rating.part import RatingPart


class AgiPart(Part):
    def __init__(self, site: Site) -> None:
        commands, ratings = site.part(CommandsPart), site.part(RatingPart)
        questions = site_questions(
            site.config,
            site.store.engine,
            guard=site.guard,
            forbidding=site.forbidding,
            commands=None if commands is None else commands.commands,
            ratings=None if ratings is None else ratings.decisions,
        )
        self._openings = site.openings
        self._server = Server(site.config.agi.host, site.config.agi.port, questions.scripts())

    async def run(self) -> None:
        await self._openings.keep_open("agi", self._server.run)
