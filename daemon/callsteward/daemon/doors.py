"""Builds what takes tags and commands from outside: the books, what follows, the doors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import structlog

from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import Rest
from callsteward.callback.decisions import Decisions
from callsteward.callback.forbidding import Forbidding
from callsteward.callback.ledger import Ledger
from callsteward.commands.core import Commands
from callsteward.commands.done import CommandsDone
from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.outgoing.guard import Guard
from callsteward.rating.complaints import TAGGED, ByCommand, Complaints
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallTagged
from callsteward.store.outbox import Announce
from callsteward.store.records import Store
from callsteward.tags.answers import PhoneAnswers
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences
from callsteward.tags.tagging import Tagging

log = structlog.get_logger(__name__)

FORGET_EVERY_S = 3600.0

Escalate = Callable[[CallRecord, str], Awaitable[None]]
"""Puts a call on the supervisors' list, for a reason."""


class Door(Protocol):
    async def run(self) -> None: ...


class Doors:
    """`tagging` sits in the stream; `tasks` are what has to run beside it."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        frames: FrameQueue,
        rest: Rest,
        decisions: Decisions | None,
        forbidding: Forbidding,
        now_ms: Callable[[], int],
        boot_id: str,
        announce: Announce,
    ) -> None:
        self._config = config
        self._now_ms = now_ms
        site = config.site.name
        self._book = TagBook(store.engine, site)
        self.consequences = Consequences(
            guard=Guard(config),
            forbidding=forbidding,
            book=self._book,
            ledger=Ledger(store.engine, site, announce),
            decisions=decisions,
            now_ms=now_ms,
        )
        self.tagging = Tagging(config, self.consequences, None if decisions is None else decisions.judge)
        self._answers = PhoneAnswers(rest)
        self.tagging.on_answer = self._answers.say

        def put(frame: bytes) -> bool:
            # While events are left out a frame would be, too.
            if frames.full or frames.overflowed.is_set():
                return False
            frames.put(frame)
            return True

        self.commands = Commands(
            config,
            consequences=self.consequences,
            tagging=self.tagging,
            done=CommandsDone(store.engine, site),
            put=put,
            now_ms=now_ms,
        )
        self._mqtt: Door | None = None
        if config.commands.mqtt and config.mqtt.enabled:
            from callsteward.commands.mqtt import MqttDoor

            self._mqtt = MqttDoor(config, self.commands, boot_id=boot_id)

    async def tags_of(self, call_id: str) -> frozenset[str]:
        """The names of a call's tags at this moment. Raises StoreError."""
        return frozenset(kept.tag for kept in await self._book.of(call_id))

    def keep_complaints(self, complaints: Complaints, escalate: Escalate) -> None:
        """Complaints are kept: a tag that comes after the call makes one, and a command acknowledges one."""

        async def late(fact: CallTagged) -> None:
            # While the call is on its record will bring the tag.
            record = await self._book.record(fact.call_id) if fact.ended else None
            if record is not None:
                await escalate(record, TAGGED)

        self.commands.complaints = ByCommand(complaints)
        self.tagging.on_complaint = late

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """By name; none of them ends by itself."""
        running = {"tag answers": self._answers.run(), "forgetting": self._forget()}
        if self._mqtt is not None:
            running["commands"] = self._mqtt.run()
        return running

    async def _forget(self) -> None:
        """Numbers and answers that are past their time."""
        while True:
            now_ms = self._now_ms()
            try:
                await self._book.forget(now_ms - int(self._config.tags.late_s * 1000))
                await self.commands.forget_old(now_ms)
            except StoreError as error:
                log.warning("old tags are not forgotten", action="tags_forget", error=str(error))
            await asyncio.sleep(FORGET_EVERY_S)


def wanted(config: Config) -> bool:
    """Whether tags or commands are switched on. Without them no number of a client is kept beside a call."""
    commands = config.commands
    return config.tags.enabled or (commands.mqtt and config.mqtt.enabled) or over_http(config)


def over_http(config: Config) -> bool:
    """Whether commands are taken over HTTP."""
    return config.commands.http and config.web.enabled
