"""Sums of each line and operator over intervals of 15 or 30 minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from callsteward.intervals.messages import TELLS, TOPICS
from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.config import Config
    from callsteward.feed.resend import ResendSource
    from callsteward.part import Part, Site


class IntervalsFeature(Feature):
    name = "intervals"
    tells = TELLS
    topics = TOPICS

    def wanted(self, config: Config) -> bool:
        return config.intervals.enabled

    def open(self, site: Site) -> Part:
        from callsteward.intervals.part import IntervalsPart

        return IntervalsPart(site)

    def sources(self) -> Mapping[str, ResendSource]:
        from callsteward.intervals.history import AGAIN

        return AGAIN

    def commands(self, app: typer.Typer) -> None:
        from callsteward.intervals.cli import add_to

        add_to(app)
