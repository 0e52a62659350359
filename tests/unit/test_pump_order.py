"""The order in which the pump publishes: unjudged facts at once, the others as judged, all in order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from callsteward.ari.census import Census
from callsteward.ari.frames import FrameQueue
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.health import Counters
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, CallHappened, CallTagged, Fact, Happening
from callsteward.record.tag import Source, Tag
from callsteward.stream.pump import Pump
from tests.unit.store.samples import RECORD

ENDED = CallEnded(RECORD)
HAPPENED = CallHappened(call_id="2", line="support", event=Happening.RINGING, at_ms=1)


class Told:
    """A pump whose store and judge say when they were asked."""

    def __init__(self, *, known: bool = False) -> None:
        self.said: list[str | Fact] = []
        self._known = known
        counters = Counters()
        self.pump = Pump(
            frames=FrameQueue(counters),
            tracker=Tracker(Config()),
            keeping=Keeping(Journal(None), None, counters),
            save=self._save,
            outlet=self,
            census=Census(),
            clock=EventClock(),
            counters=counters,
            judge=self._judge,
        )

    def publish(self, fact: Fact) -> None:
        self.said.append(fact)

    async def _judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        self.said.append("judged")
        judged: list[Fact] = []
        for fact in facts:
            if not isinstance(fact, CallTagged):
                judged.append(fact)
            elif fact.value != "known already":
                judged.append(msgspec.structs.replace(fact, result="noted"))
        return judged

    async def _save(self, records: Sequence[CallRecord]) -> list[CallRecord]:
        self.said.append("saved")
        return [] if self._known else list(records)


def tagged(value: str, result: str = "") -> CallTagged:
    return CallTagged(
        call_id="3",
        line="support",
        tag=Tag.COMMENT,
        at_ms=2,
        by="101",
        source=Source.PHONE,
        value=value,
        result=result,
    )


async def test_facts_without_a_judge_wait_for_no_disk() -> None:
    told = Told()
    await told.pump._telling.deliver([ENDED, HAPPENED])
    assert told.said == [HAPPENED, "judged", "saved", ENDED]


async def test_a_record_that_is_already_stored_is_not_published() -> None:
    told = Told(known=True)
    await told.pump._telling.deliver([HAPPENED, ENDED])
    assert told.said == [HAPPENED, "judged", "saved"]


async def test_a_tag_is_published_once_after_its_judgement_and_in_order() -> None:
    told = Told()
    await told.pump._telling.deliver([tagged("new"), HAPPENED, tagged("known already"), ENDED])
    assert told.said == ["judged", "saved", tagged("new", "noted"), HAPPENED, ENDED]


async def test_without_facts_nobody_is_asked() -> None:
    told = Told()
    await told.pump._telling.deliver([])
    assert told.said == []
