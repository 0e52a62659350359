"""A site's own day, and a list of calls, beside another site's calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

import msgspec

from callsteward.callback.ledger import CallbackLedger
from callsteward.cli.calls import _with_later
from callsteward.config import Config, SiteSettings
from callsteward.daemon.app import _recall
from callsteward.feed.output import Output
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.store.records import Store
from tests.unit.callback.test_execution import stamp
from tests.unit.store.samples import RECORD

SUPPRESSED = CallbackDecision(Decision.SUPPRESSED, "do_not_call")


class Day:
    """Stands for the feed, whose gauges count a day."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    def recall(self, records: Sequence[CallRecord]) -> None:
        self.counted += [record.site for record in records]


def both(**changes: object) -> list[CallRecord]:
    """A call of each of two sites; their PBXs gave both the same id."""
    return [msgspec.structs.replace(RECORD, site=site, **changes) for site in ("main", "south")]


async def test_a_sites_day_has_its_own_calls_only(store: Store) -> None:
    now = stamp(time.time_ns() // 1_000_000)
    await store.save(both(started_at=now, ended_at=now))
    day = Day()
    await _recall(store, Config(site=SiteSettings(name="south", timezone="Etc/UTC")), cast("Output", day))
    assert day.counted == ["south"]


async def test_what_was_decided_later_stands_at_the_call_of_its_own_site(store: Store) -> None:
    records = both()
    await store.save(records)
    south = CallbackLedger(store.engine, "south")
    await south.open(records[1], SUPPRESSED, number=None, dropped_ms=1, at_ms=1)
    told = await _with_later(store, records)
    assert [(record.site, record.callback) for record in told] == [
        ("main", RECORD.callback),
        ("south", SUPPRESSED),
    ]
