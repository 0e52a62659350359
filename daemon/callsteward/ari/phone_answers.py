"""Answers to codes that operators dial: their phone hears one beep for yes and another for no.

ARI cannot set a variable of a channel outside Stasis, but a global it can: the dialplan looks at one that
is named after the phone, so there are no more of them than phones.
"""

from __future__ import annotations

import asyncio
import re

import structlog

from callsteward.ari.rest import Rest
from callsteward.exceptions import AriError

log = structlog.get_logger(__name__)

PREFIX = "CALLSTEWARD_SAID_"
TAKEN, REFUSED = "taken", "refused"
_WAITING = 100


def variable(channel_name: str) -> str:
    """The global by which a phone is answered: PJSIP/101-0000001c reads CALLSTEWARD_SAID_PJSIP101.

    The same as ${FILTER(A-Za-z0-9,${CHANNEL(name):0:-9})} in dialplan/callsteward-tags.conf.
    """
    return PREFIX + re.sub(r"[^A-Za-z0-9]", "", channel_name[:-9])


class PhoneAnswers:
    """Takes answers at once and gives them to Asterisk one after the other."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._queue: asyncio.Queue[tuple[str, bool]] = asyncio.Queue(_WAITING)

    def say(self, channel_name: str, taken: bool) -> None:
        """Answer a phone. Never waits: a phone that hears nothing in time has its own way on."""
        try:
            self._queue.put_nowait((channel_name, taken))
        except asyncio.QueueFull:
            log.warning("too many codes at once: a phone gets no answer", action="tag_answer_dropped")

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            channel_name, taken = await self._queue.get()
            try:
                await self._rest.set_variable(variable(channel_name), TAKEN if taken else REFUSED)
            except AriError as error:
                log.warning("a phone gets no answer", action="tag_answer_failed", error=str(error))
