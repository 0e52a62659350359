"""The rating of a talk by its client: a menu after it, or a call of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from callsteward.part import Feature
from callsteward.rating.messages import TELLS, TOPICS

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.feed.resend import ResendSource
    from callsteward.outgoing.plan import Plan
    from callsteward.part import Part, Site
    from callsteward.terminal.result import Result


class RatingFeature(Feature):
    name = "rating"
    tells = TELLS
    topics = TOPICS

    def wanted(self, config: Config) -> bool:
        return config.rating.enabled

    def open(self, site: Site) -> Part:
        from callsteward.rating.part import RatingPart

        return RatingPart(site)

    async def checks(self, config: Config) -> Sequence[Result]:
        # With callbacks on, their own check has shown it already.
        if config.callback.enabled or not config.rating.enabled:
            return ()
        from callsteward.outgoing.check import callable_numbers

        return (callable_numbers(config),)

    def plans(self) -> Sequence[Plan[Any, Any]]:
        from callsteward.rating.ledger import PLAN

        return (PLAN,)

    def sources(self) -> Mapping[str, ResendSource]:
        from callsteward.rating.history import AGAIN

        return AGAIN

    def commands(self, app: typer.Typer) -> None:
        from callsteward.rating.cli import add_to

        add_to(app)
