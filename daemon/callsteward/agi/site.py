"""The questions of the dialplan, answered for one site from its configuration and database."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.agi.lookups import Caller, Lookups
from callsteward.agi.questions import Questions
from callsteward.agi.request import AgiRequest
from callsteward.calls.directory import Directory
from callsteward.clock import DAY_MS, wall_ms
from callsteward.commands.core import Commands
from callsteward.config import Config
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.forbidding import Forbidding
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.words import Actor
from callsteward.rating.decisions import RatingDecisions
from callsteward.record.number import Numbers
from callsteward.record.tag import Source

_BY = "agi"


def site_questions(
    config: Config,
    engine: AsyncEngine,
    *,
    guard: Guard,
    forbidding: Forbidding,
    now_ms: Callable[[], int] = wall_ms,
    commands: Commands | None = None,
    ratings: RatingDecisions | None = None,
) -> Questions:
    """The questions of a site, answered from its database."""
    numbers = Numbers(config.site.region, config.privacy.key)
    lookups = Lookups(engine, config.site.name)
    do_not_call = DoNotCall(engine)

    async def caller(number: str) -> Caller:
        at_ms = now_ms()
        since_ms = at_ms - config.agi.last_operator_days * DAY_MS
        return await lookups.caller(number, numbers.ref(number), since_ms=since_ms, now_ms=at_ms)

    async def add(number: str) -> object:
        return await forbidding.add([number], by=_BY, actor=Actor.INTEGRATION)

    directory = Directory(config)

    def delivered(request: AgiRequest) -> str | None:
        if request.caller is None:
            return None
        return numbers.delivered(request.caller, directory.endpoint(request.channel).numbers)

    def line_of(request: AgiRequest) -> str:
        found = request.params.get("line") or directory.line_of_number(request.called or "", request.context)
        return found or config.default_line

    def language(request: AgiRequest) -> str:
        # The call's own language is Asterisk's default if nobody chose one.
        return config.line(line_of(request)).language or config.rating.language

    async def tag(call_id: str, name: str, value: str) -> str:
        assert commands is not None
        body = msgspec.json.encode({"id": uuid.uuid4().hex, "call_id": call_id, "tag": name, "value": value})
        reply = await commands.handle("tag", body, Source.AGI)
        return reply.status if reply.status == "done" else reply.reason

    async def against(request: AgiRequest) -> str | None:
        assert ratings is not None
        return await ratings.against(request.channel_id, line_of(request), delivered(request) or "")

    return Questions(
        read=guard.read,
        caller=caller,
        listed=do_not_call.has,
        add=add,
        remove=do_not_call.remove,
        language=language,
        tag=None if commands is None or not config.tags.enabled else tag,
        rating=None if ratings is None else against,
        delivered=delivered,
    )
