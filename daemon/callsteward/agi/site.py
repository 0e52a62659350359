"""The FastAGI server of one site, put together from its configuration and database."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.agi.lookups import Caller, Lookups
from callsteward.agi.questions import Questions
from callsteward.agi.request import Request
from callsteward.agi.server import Server
from callsteward.callback.do_not_call import DoNotCall
from callsteward.callback.guard import Guard
from callsteward.callback.ledger import DAY_MS
from callsteward.calls.number import Numbers
from callsteward.config import Config

_BY = "agi"


def open_agi(config: Config, engine: AsyncEngine) -> Server:
    """The server as `[agi]` asks for it; it listens once it runs."""
    return Server(config.agi.host, config.agi.port, site_questions(config, engine).scripts())


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def site_questions(config: Config, engine: AsyncEngine, *, now_ms: Callable[[], int] = _wall_ms) -> Questions:
    """The questions of a site, answered from its database."""
    guard = Guard(config)
    numbers = Numbers(config.site.region, config.privacy.key)
    lookups = Lookups(engine, config.site.name)
    do_not_call = DoNotCall(engine)

    async def caller(number: str) -> Caller:
        at_ms = now_ms()
        since_ms = at_ms - config.agi.last_operator_days * DAY_MS
        return await lookups.caller(number, numbers.ref(number), since_ms=since_ms, now_ms=at_ms)

    async def add(number: str) -> object:
        return await do_not_call.add([number], by=_BY)

    def language(request: Request) -> str:
        return request.language

    return Questions(
        read=guard.read,
        caller=caller,
        listed=do_not_call.has,
        add=add,
        remove=do_not_call.remove,
        language=language,
    )
