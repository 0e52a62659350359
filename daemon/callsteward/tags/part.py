"""Tags in the daemon: judged as they come in the stream, answered on the phone, forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.part import CallbackPart
from callsteward.exceptions import StoreError
from callsteward.network.waiting import together
from callsteward.part import Part, Site
from callsteward.record.call import CallRecord
from callsteward.record.facts import Fact
from callsteward.tags.answers import PhoneAnswers
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences
from callsteward.tags.tagging import Tagging

log = structlog.get_logger(__name__)

FORGET_EVERY_S = 3600.0


class TagsPart(Part):
    def __init__(self, site: Site) -> None:
        engine = site.store.engine
        callbacks = site.part(CallbackPart)
        self._now_ms = site.now_ms
        self._late_ms = int(site.config.tags.late_s * 1000)
        self._book = TagBook(engine, site.name)
        self.answers = PhoneAnswers(site.rest)
        self.consequences = Consequences(
            guard=site.guard,
            forbidding=site.forbidding,
            book=self._book,
            ledger=CallbackLedger(engine, site.name, site.announce),
            decisions=None if callbacks is None else callbacks.decisions,
            now_ms=site.now_ms,
            publish=site.publish,
            lock=site.parts.deciding,
        )
        self.tagging = Tagging(site.config, self.consequences, answer=self.answers.say)

    async def of(self, call_id: str) -> frozenset[str]:
        """The names of a call's tags at this moment. Raises StoreError."""
        return frozenset(kept.tag for kept in await self._book.of(call_id))

    async def record(self, call_id: str) -> CallRecord | None:
        """The record of a call that has ended. Raises StoreError."""
        return await self.tagging.record(call_id)

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return await self.tagging.judge(facts)

    async def run(self) -> None:
        await together(self.answers.run(), self._forget())

    async def _forget(self) -> None:
        """Numbers that are past their time."""
        while True:
            try:
                await self._book.forget(self._now_ms() - self._late_ms)
            except StoreError as error:
                log.warning("old tags are not forgotten", action="tags_forget", error=str(error))
            await asyncio.sleep(FORGET_EVERY_S)
