"""Codes that operators dial for their status: the phone hears one beep for yes and another for no.

A code that a journal has is not carried out again: whoever dialled it has heard by now that nobody took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from callsteward.ari import events as ari
from callsteward.ari.phone_answers import PhoneAnswers
from callsteward.calls.directory import Directory
from callsteward.exceptions import StoreError
from callsteward.network.waiting import together
from callsteward.statuses.asked import ACTIONS, StatusDesk

if TYPE_CHECKING:
    from callsteward.ari.rest import Rest
    from callsteward.config import Config

log = structlog.get_logger(__name__)

CODE_DIALLED: Final = "callsteward-status-code"
_AT_ONCE: Final = 100


class StatusCodes:
    """One for a daemon."""

    def __init__(self, config: Config, rest: Rest, desk: StatusDesk) -> None:
        self._directory = Directory(config)
        self._reasons: Mapping[str, str] = config.statuses.reasons
        self._desk = desk
        self._answers = PhoneAnswers(rest)
        self._queue: asyncio.Queue[tuple[str, str, str, str]] = asyncio.Queue(_AT_ONCE)

    def hear(self, event: ari.ChannelUserevent) -> None:
        """Somebody dialled a code; who it was is known by the channel. Does not wait."""
        if event.channel is None:
            return
        channel = event.channel.name
        caller = self._directory.endpoint(channel)
        action, key = (str(event.userevent.get(name) or "")[:20] for name in ("do", "key"))
        reason = self._reasons.get(key, "")
        wrong = action not in ACTIONS or bool(key and not reason)
        if not caller.is_operator or wrong or self._queue.full():
            log.warning("code refused", action="status_refused", by=caller.name, code=action, key=key)
            self._answers.say(channel, taken=False)
            return
        self._queue.put_nowait((channel, caller.name, action, reason))

    async def run(self) -> None:
        await together(self._answers.run(), self._take())

    async def _take(self) -> None:
        while True:
            channel, operator, action, reason = await self._queue.get()
            try:
                refused, result = await self._desk.ask(
                    operator, action, reason=reason, by=f"{operator} (phone)"
                )
            except StoreError as error:
                refused, result = str(error), ""
            if refused:
                log.warning("code refused", action="status_refused", by=operator, code=action, reason=refused)
            # A code that goes on being tried is taken: the status follows.
            self._answers.say(channel, taken=not refused)
            log.debug("code", action="status_code", by=operator, code=action, result=result)
