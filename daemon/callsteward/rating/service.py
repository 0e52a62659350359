"""The rating's parts, put together for one daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import NamedTuple

import aiohttp

from callsteward.ari.rest import HttpTransport, Rest
from callsteward.config import Config
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.hours import Hours
from callsteward.rating.complaints import Complaints
from callsteward.rating.decisions import Decisions, Publish
from callsteward.rating.ivr import Ivr
from callsteward.rating.ledger import Ledger
from callsteward.rating.surveys import Surveys
from callsteward.rating.tags import TagsOf, no_tags
from callsteward.store.outbox import Announce, nobody
from callsteward.store.records import Store


class Ratings(NamedTuple):
    """What decides on ratings, the menu that asks, and the calls that are made for them."""

    decisions: Decisions
    ivr: Ivr
    surveys: Surveys

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ivr.run(), name="rating-ivr")
            group.create_task(self.surveys.run(), name="rating-calls")


def build(
    config: Config,
    store: Store,
    session: aiohttp.ClientSession,
    *,
    client_numbers: Callable[[], Collection[str]],
    now_ms: Callable[[], int],
    publish: Publish,
    tags_of: TagsOf = no_tags,
    announce: Announce = nobody,
) -> Ratings | None:
    """The rating of a daemon; None with `rating.enabled = false`."""
    if not config.rating.enabled:
        return None
    ledger = Ledger(store.engine, config.site.name, announce)
    complaints = Complaints(store.engine, config.site.name, announce)
    guard = Guard(config)
    do_not_call = DoNotCall(store.engine)
    rest = Rest(HttpTransport(session, config.asterisk))
    decisions = Decisions(
        config,
        ledger=ledger,
        complaints=complaints,
        guard=guard,
        do_not_call=do_not_call,
        now_ms=now_ms,
        publish=publish,
        tags_of=tags_of,
    )
    surveys = Surveys(
        config,
        ledger=ledger,
        rest=rest,
        guard=guard,
        hours=Hours(config),
        do_not_call=do_not_call,
        client_numbers=client_numbers,
        now_ms=now_ms,
        publish=publish,
    )
    decisions.on_schedule = surveys.wake
    return Ratings(decisions, Ivr(config, session=session, rest=rest, decisions=decisions), surveys)
