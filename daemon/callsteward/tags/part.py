"""Tags in the daemon: judged as they come in the stream, answered on the phone, forgotten in time."""

from __future__ import annotations

from collections.abc import Sequence

from callsteward.ari.phone_answers import PhoneAnswers
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.part import CallbackPart
from callsteward.network.waiting import together
from callsteward.part import Part, Site
from callsteward.record.call import CallRecord
from callsteward.record.facts import Fact
from callsteward.store.forgetting import hourly
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences
from callsteward.tags.tagging import Tagging


class TagsPart(Part):
    def __init__(self, site: Site) -> None:
        engine = site.store.engine
        callbacks = site.part(CallbackPart)
        self._now_ms = site.now_ms
        self._late_ms = int(site.config.tags.late_s * 1000)
        self._book = TagBook(engine, site.name)
        self.names_in = self._book.names_in
        """The names of a call's tags at this moment, in a piece of work (`store.direct`)."""
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

    async def record(self, call_id: str) -> CallRecord | None:
        """The record of a call that has ended. Raises StoreError."""
        return await self.tagging.record(call_id)

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return await self.tagging.judge(facts)

    async def run(self) -> None:
        forgetting = hourly(self._forget, failing="old tags are not forgotten", action="tags_forget")
        await together(self.answers.run(), forgetting)

    async def _forget(self) -> None:
        """Numbers that are past their time."""
        await self._book.forget(self._now_ms() - self._late_ms)
