"""Ratings in the daemon: decided as calls end, asked in the menu, and by calls of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from callsteward.ari.events import Event
from callsteward.callback.ledger import CallbackLedger
from callsteward.network.waiting import together
from callsteward.part import Part, Site
from callsteward.rating.complaints import TAGGED, Complaints
from callsteward.rating.decisions import RatingDecisions
from callsteward.rating.ivr import Ivr
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.standing import LookUp, no_tags
from callsteward.rating.states import RatingMoved, RatingState
from callsteward.rating.surveys import Surveys
from callsteward.record.facts import CallTagged, Fact
from callsteward.record.tag import Tag
from callsteward.tags.part import TagsPart


class RatingPart(Part):
    # Clients in the menu are sent on to be thanked.
    talks_with_clients: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        engine = site.store.engine
        self.ledger = RatingLedger(engine, site.name, site.announce)
        self._tags = site.part(TagsPart)
        self.complaints = Complaints(engine, site.name, site.announce)
        self.decisions = RatingDecisions(
            site.config,
            ledger=self.ledger,
            complaints=self.complaints,
            may=site.may,
            now_ms=site.now_ms,
            publish=site.publish,
            look_up=LookUp(
                engine, site.name, self.ledger, no_tags if self._tags is None else self._tags.names_in
            ),
        )
        self._ivr = Ivr(
            site.config,
            session=site.session,
            rest=site.rest,
            decisions=self.decisions,
            may_act=site.may_act,
        )
        self.surveys = Surveys(
            site.config,
            ledger=self.ledger,
            rest=site.rest,
            may=site.may,
            client_numbers=site.tracker.client_numbers,
            callback_open=CallbackLedger(engine, site.name).open_to,
            now_ms=site.now_ms,
            publish=site.publish,
            steady_ms=site.steady_ms,
        )

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        for fact in facts:
            if isinstance(fact, CallTagged) and fact.tag is Tag.COMPLAINT:
                await self._complained(fact)
        # After the callback's decision: a client who is called back is not asked for a rating.
        return await self.decisions.judge(facts)

    async def _complained(self, fact: CallTagged) -> None:
        """A call was tagged a complaint after its end. The tag of a call that is on comes with its record."""
        if self._tags is None or not fact.ended or fact.refused:
            return
        record = await self._tags.record(fact.call_id)
        if record is not None:
            await self.decisions.escalation.of_call(record, TAGGED)

    def hear(self, event: Event) -> None:
        self.surveys.hear(event)

    def told(self, fact: object) -> None:
        if isinstance(fact, RatingMoved) and fact.rating.state is RatingState.SCHEDULED:
            self.surveys.wake()

    def link(self, connected: bool, why: str) -> None:
        del why
        self.surveys.link(connected)

    async def run(self) -> None:
        await together(self._ivr.run(), self.surveys.run())
