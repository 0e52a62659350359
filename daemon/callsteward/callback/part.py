"""Callbacks in the daemon: decided as calls end, and carried out beside the stream."""

from __future__ import annotations

from collections.abc import Sequence

from callsteward.ari.events import Event
from callsteward.callback.decisions import CallbackDecisions
from callsteward.callback.execution import Execution
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.policy import Policy
from callsteward.callback.states import CallbackMoved
from callsteward.outgoing.contacts import Contacts
from callsteward.part import Part, Site
from callsteward.record.facts import Fact
from callsteward.statuses.part import StatusesPart


def _nobody(_operator: str, _line: str) -> bool:
    """Without statuses nothing is known against anybody."""
    return False


class CallbackPart(Part):
    def __init__(self, site: Site) -> None:
        engine = site.store.engine
        self.ledger = CallbackLedger(engine, site.name, site.announce)
        contacts = Contacts(engine, site.name)
        self.decisions = CallbackDecisions(
            may=site.may,
            policy=Policy(site.config),
            ledger=self.ledger,
            now_ms=site.now_ms,
            publish=site.publish,
            elsewhere=contacts.elsewhere,
        )
        statuses = site.part(StatusesPart)
        self.execution = Execution(
            site.config,
            may=site.may,
            decisions=self.decisions,
            ledger=self.ledger,
            contacts=contacts,
            rest=site.rest,
            operators_now=site.tracker.operators_now,
            cannot_take=_nobody if statuses is None else statuses.cannot_take,
            now_ms=site.now_ms,
            publish=site.publish,
            steady_ms=site.steady_ms,
        )

    async def load(self) -> None:
        await self.decisions.load()

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return await self.decisions.judge(facts)

    def hear(self, event: Event) -> None:
        self.execution.hear(event)

    def told(self, fact: object) -> None:
        # A command or the do-not-call list may have moved a callback, too.
        if isinstance(fact, CallbackMoved):
            self.execution.told(fact)

    def link(self, connected: bool, why: str) -> None:
        del why
        self.execution.link(connected)

    async def run(self) -> None:
        await self.execution.run()
