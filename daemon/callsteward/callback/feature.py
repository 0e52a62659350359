"""Callbacks: none after an early drop, exactly one after a drop in mid-dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from callsteward.callback.messages import TELLS, TOPICS
from callsteward.part import Feature

if TYPE_CHECKING:
    import typer

    from callsteward.calls.tracker import Tracker
    from callsteward.config import Config
    from callsteward.feed.resend import ResendSource
    from callsteward.outgoing.plan import Plan
    from callsteward.part import Part, Rehearsal, Site
    from callsteward.terminal.result import Result


class CallbackFeature(Feature):
    name = "callback"
    tells = TELLS
    topics = TOPICS

    def wanted(self, config: Config) -> bool:
        return config.callback.enabled

    def open(self, site: Site) -> Part:
        from callsteward.callback.part import CallbackPart

        return CallbackPart(site)

    async def checks(self, config: Config) -> Sequence[Result]:
        if not config.callback.enabled:
            return ()
        from callsteward.callback.check import calling_hours
        from callsteward.outgoing.check import callable_numbers

        return (calling_hours(config), callable_numbers(config))

    def rehearse(self, config: Config, tracker: Tracker) -> Rehearsal | None:
        if not config.callback.enabled:
            return None
        from callsteward.callback.rehearsal import CallbackRehearsal

        return CallbackRehearsal(config, tracker)

    def plans(self) -> Sequence[Plan[Any, Any]]:
        from callsteward.callback.ledger import PLAN

        return (PLAN,)

    def sources(self) -> Mapping[str, ResendSource]:
        from callsteward.callback.history import AGAIN

        return AGAIN

    def commands(self, app: typer.Typer) -> None:
        from callsteward.callback.cli import add_to

        add_to(app)
