"""Intervals are published when they are over, revised when something changes, final when nothing can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.ari import events as ari
from callsteward.ari.rest import AsteriskInfo, Rest
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.exceptions import AriError, StoreError
from callsteward.intervals import publisher as publishing
from callsteward.intervals import store as storing
from callsteward.intervals.observed import Observed
from callsteward.intervals.publisher import LINK_SETTLES_MS, Open, Publisher
from callsteward.intervals.row import IntervalExpired, IntervalKind, IntervalRow
from callsteward.intervals.slot import Scheme
from callsteward.intervals.store import IntervalStore
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, CallRecord, Decision, Outcome
from callsteward.store.records import Store
from callsteward.store.tables import calls
from tests.unit.intervals.days import DAY_MS, HOUR_MS, at, call

START = DAY_MS + 8 * HOUR_MS
HALF_MS = 1_800_000
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


class Phones(Rest):
    """Asterisk's answers about phones; an error where it has none."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {"PJSIP/101": "NOT_INUSE"}
        self.booted: str | None = ari.timestamp(DAY_MS)

    async def info(self) -> AsteriskInfo:
        if self.booted is None:
            message = "no answer"
            raise AriError(message)
        return AsteriskInfo("22.10.1", "02:00:00:00:00:01", self.booted)

    async def device_state(self, device: str) -> str:
        if device not in self.states:
            raise AriError(device)
        return self.states[device]


class Site:
    """A store, a daemon's clock, and what was published."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = START + 60_000
        self.open = Open(None, True)
        self.published: list[IntervalRow | IntervalExpired] = []
        self.phones = Phones()
        self.keeps_events = False
        self.minutes = 30
        self.begin()

    def begin(self) -> None:
        """A process starts."""
        self.intervals = IntervalStore(self.store.engine, "main")
        self.observed = Observed(
            self.intervals, self.phones, {"PJSIP/101": "101"}, keeps_events=self.keeps_events
        )
        self.publisher = Publisher(
            Scheme(
                site="main",
                minutes=self.minutes,
                thresholds_s=(20,),
                lines=("support",),
                operators=("101",),
            ),
            self.intervals,
            self.observed,
            now_ms=lambda: self.now_ms,
            still_open=lambda: self.open,
            publish=self.published.append,
            enqueue=self._enqueue,
            every_s=0.01,
        )

    async def _enqueue(self, *_: object) -> None:
        """The feed is none of this test's."""

    async def load(self) -> None:
        await self.publisher.load()
        self.observed.link(True, self.now_ms)
        await self.publisher.step()

    async def until(self, now_ms: int) -> list[IntervalRow]:
        """Let time go on to a moment; what was published of the line then."""
        self.now_ms = now_ms
        before = len(self.published)
        await self.publisher.step()
        return [
            item
            for item in self.published[before:]
            if isinstance(item, IntervalRow) and item.kind is IntervalKind.LINE
        ]


@pytest.fixture
async def site(store: Store) -> Site:
    site = Site(store)
    await site.load()
    return site


def said(rows: list[IntervalRow], key: str = "offered") -> list[tuple[int, int, bool, Any]]:
    """Which interval (0 is the first), revision, final, one value."""
    return [((row.start_ms - START) // HALF_MS, row.revision, row.final, row.values[key]) for row in rows]


async def test_an_interval_is_published_when_it_is_over_with_zeros_where_nothing_happened(site: Site) -> None:
    assert await site.until(START + HALF_MS) == []
    assert said(await site.until(START + HALF_MS + 2000)) == [(0, 1, True, 0)]
    assert said(await site.until(START + HALF_MS + 9000)) == []
    assert said(await site.until(START + 3 * HALF_MS + 9000)) == [(1, 1, True, 0), (2, 1, True, 0)]
    operators = [
        item
        for item in site.published
        if isinstance(item, IntervalRow) and item.kind is IntervalKind.OPERATOR
    ]
    assert [(row.name, row.values["staffed_s"], row.values["observed_s"]) for row in operators] == [
        ("101", 1740.0, 1740.0),
        ("101", 1800.0, 1800.0),
        ("101", 1800.0, 1800.0),
    ]


async def test_a_late_call_revises_the_interval_of_its_arrival_and_no_other(site: Site) -> None:
    site.open = Open(START + 900_000, True)
    assert said(await site.until(START + HALF_MS + 5000)) == [(0, 1, False, 0)]
    assert said(await site.until(START + 2 * HALF_MS + 5000)) == [(1, 1, False, 0)]
    await site.store.save([call(hour=8.25, ended_at=at(8.26))])
    site.open = Open(None, True)
    revised = await site.until(START + 2 * HALF_MS + 9000)
    assert said(revised) == [(0, 2, True, 1), (1, 2, True, 0)]


async def test_a_call_that_was_on_in_two_intervals_arrived_in_one_and_was_concurrent_in_both(
    site: Site,
) -> None:
    await site.until(START + 2 * HALF_MS + 5000)
    await site.store.save([call(hour=8.25, ended_at=at(8.75))])
    revised = await site.until(START + 2 * HALF_MS + 9000)
    assert said(revised) == [(0, 2, True, 1), (1, 2, True, 0)]
    assert said(revised, "concurrent_max") == [(0, 2, True, 1), (1, 2, True, 1)]


async def test_an_interval_is_not_final_while_a_callback_of_one_of_its_calls_is_open(site: Site) -> None:
    record = call(hour=8.25, ended_at=at(8.26), outcome=Outcome.MID_DIALOGUE_DROP, callback=DUE)
    ledger = CallbackLedger(site.store.engine, "main")
    opened = await ledger.open(record, DUE, number="+79031234567", dropped_ms=START, at_ms=START)
    assert opened is not None
    await site.store.save([record])
    first = await site.until(START + HALF_MS + 5000)
    assert said(first, "callbacks_open") == [(0, 1, False, 1)]
    assert said(await site.until(START + HALF_MS + 9000)) == []
    offered = await ledger.move(opened, CallbackState.OFFERED, actor=Actor.DAEMON, at_ms=START, asked="101")
    assert offered is not None
    assert said(await site.until(START + HALF_MS + 12_000)) == []
    await ledger.move(offered, CallbackState.REACHED, actor=Actor.ASTERISK, at_ms=START)
    last = await site.until(START + HALF_MS + 15_000)
    assert said(last, "callbacks_reached") == [(0, 2, True, 1)]


async def test_nothing_is_final_while_events_wait_or_the_link_is_down_or_just_made(site: Site) -> None:
    site.open = Open(None, False)
    assert said(await site.until(START + HALF_MS + 5000)) == [(0, 1, False, 0)]
    site.open = Open(None, True)
    site.observed.link(False, site.now_ms)
    assert said(await site.until(START + HALF_MS + 6000)) == []
    site.observed.link(True, site.now_ms)
    assert said(await site.until(site.now_ms + LINK_SETTLES_MS - 1)) == []
    assert said(await site.until(site.now_ms + 1)) == [(0, 2, True, 0)]


async def test_a_record_that_comes_after_all_is_not_lost_to_a_final_interval(site: Site) -> None:
    assert said(await site.until(START + HALF_MS + 5000)) == [(0, 1, True, 0)]
    await site.store.save([call(hour=8.25, ended_at=at(8.26))])
    assert said(await site.until(START + HALF_MS + 9000)) == [(0, 2, True, 1)]


async def test_a_restart_repeats_nothing_and_never_goes_back_to_a_lower_revision(site: Site) -> None:
    await site.until(START + HALF_MS + 5000)
    await site.store.save([call(hour=8.25, ended_at=at(8.26))])
    assert said(await site.until(START + HALF_MS + 9000)) == [(0, 2, True, 1)]
    # Killed: what is stored meanwhile was in the journal.
    await site.store.save([call(2, hour=8.3, ended_at=at(8.31))])
    site.begin()
    site.published.clear()
    site.now_ms += 10_000
    await site.load()
    rows = [
        item for item in site.published if isinstance(item, IntervalRow) and item.kind is IntervalKind.LINE
    ]
    assert said(rows) == [(0, 3, False, 2)]
    assert said(await site.until(site.now_ms + LINK_SETTLES_MS)) == [(0, 4, True, 2)]
    site.begin()
    site.published.clear()
    site.now_ms += 10_000
    await site.load()
    assert said(await site.until(site.now_ms + LINK_SETTLES_MS)) == []
    assert site.published == []


async def test_the_time_the_daemon_was_down_is_published_and_says_that_nobody_watched(site: Site) -> None:
    await site.until(START + HALF_MS + 5000)
    site.begin()
    site.now_ms = START + 4 * HALF_MS + 60_000
    site.published.clear()
    await site.load()
    rows = [
        item for item in site.published if isinstance(item, IntervalRow) and item.kind is IntervalKind.LINE
    ]
    assert [(row.values["observed_s"], row.values["offered"]) for row in rows] == [
        (5.0, 0),
        (0.0, None),
        (0.0, None),
    ]


async def test_an_asterisk_that_kept_the_events_was_watched_all_the_time(site: Site) -> None:
    site.keeps_events = True
    await site.until(START + HALF_MS + 5000)
    site.begin()
    site.now_ms = START + 2 * HALF_MS + 60_000
    site.published.clear()
    await site.load()
    rows = await site.until(site.now_ms + LINK_SETTLES_MS)
    assert [(row.values["observed_s"], row.values["offered"]) for row in rows] == [(1800.0, 0)]


@pytest.mark.parametrize("booted", [None, ari.timestamp(START + HALF_MS + 60_000)])
async def test_events_kept_by_asterisk_are_lost_with_its_restart(site: Site, booted: str | None) -> None:
    site.keeps_events = True
    await site.until(START + HALF_MS + 5000)
    site.begin()
    site.phones.booted = booted
    site.now_ms = START + 2 * HALF_MS + 60_000
    site.published.clear()
    await site.load()
    rows = [
        item for item in site.published if isinstance(item, IntervalRow) and item.kind is IntervalKind.LINE
    ]
    assert [(row.values["observed_s"], row.values["offered"]) for row in rows] == [(5.0, 0)]


async def test_a_phone_is_followed_by_its_events_and_asked_for_on_a_connect(site: Site) -> None:
    def tells(at_ms: int, state: str, name: str = "PJSIP/101") -> None:
        event = ari.decode(
            msgspec.json.encode(
                {
                    "type": "DeviceStateChanged",
                    "application": "callsteward",
                    "timestamp": ari.timestamp(at_ms),
                    "device_state": {"name": name, "state": state},
                }
            )
        )
        assert event is not None
        site.observed.hear(event)

    tells(START + 100_000, "INUSE")
    tells(START + 100_000, "INUSE", "PJSIP/999")
    tells(START + 160_000, "NOT_INUSE")
    site.now_ms = START + 200_000
    await site.publisher.step()
    site.observed.link(False, START + 300_000)
    del site.phones.states["PJSIP/101"]
    site.phones.states["PJSIP/101"] = "UNAVAILABLE"
    site.observed.link(True, START + 400_000)
    await site.until(START + HALF_MS + 5000)
    row = next(
        item
        for item in site.published
        if isinstance(item, IntervalRow) and item.kind is IntervalKind.OPERATOR
    )
    # 60 s to 300 s, a minute of it in a call; from 400 s on it could not be reached
    assert row.values["observed_s"] == 240.0 + 1400.0
    assert (row.values["staffed_s"], row.values["available_s"]) == (240.0, 180.0)


async def test_a_phone_that_cannot_be_asked_for_is_not_known(site: Site) -> None:
    site.phones.states.clear()
    site.observed.link(False, START + 300_000)
    site.observed.link(True, START + 400_000)
    await site.until(START + HALF_MS + 5000)
    row = next(
        item
        for item in site.published
        if isinstance(item, IntervalRow) and item.kind is IntervalKind.OPERATOR
    )
    assert (row.values["staffed_s"], row.values["available_s"]) == (None, None)
    assert row.values["offered"] == 0


async def test_an_expired_interval_is_cleared_once_for_brokers_that_cannot_expire(site: Site) -> None:
    await site.until(START + HALF_MS + 5000)
    site.published.clear()
    await site.until(START + 96 * HALF_MS + 5000)
    assert not [item for item in site.published if isinstance(item, IntervalExpired)]
    await site.until(START + 97 * HALF_MS + 5000)
    gone = [item for item in site.published if isinstance(item, IntervalExpired)]
    assert sorted(gone, key=lambda item: item.kind) == [
        IntervalExpired(IntervalKind.LINE, "support", START),
        IntervalExpired(IntervalKind.OPERATOR, "101", START),
    ]
    await site.until(START + 97 * HALF_MS + 9000)
    assert len([item for item in site.published if isinstance(item, IntervalExpired)]) == 2


async def test_revisions_are_forgotten_after_their_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "KEPT_MS", HALF_MS)
    await site.until(START + HALF_MS + 5000)
    await site.until(START + 5 * HALF_MS)
    async with site.intervals.writing() as connection:
        assert await site.intervals.revisions(connection, START, 30) == {}


async def test_a_call_without_an_end_counts_where_it_came(site: Site) -> None:
    await site.until(START + HALF_MS + 5000)
    record: CallRecord = call(hour=8.25, ended_at=None)
    await site.store.save([record])
    assert said(await site.until(START + HALF_MS + 9000)) == [(0, 2, True, 1)]


async def test_run_tries_a_store_that_fails_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = asyncio.Event()
    tries = 0

    async def step(self: Publisher) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            message = "the disk is full"
            raise StoreError(message)
        mended.set()

    monkeypatch.setattr(Publisher, "step", step)
    site.begin()
    task = asyncio.create_task(site.publisher.run())
    async with asyncio.timeout(60):
        await mended.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_one_sites_calls_are_not_in_anothers_rows(site: Site) -> None:
    await site.store.save([call(hour=8.25, ended_at=at(8.26))])
    async with site.store.engine.begin() as connection:
        await connection.execute(update(calls).values(site="other"))
    assert said(await site.until(START + HALF_MS + 9000)) == [(0, 1, True, 0)]


async def test_an_interval_that_takes_long_to_sum_is_left_alone_for_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "QUICK_S", 0.0)
    # A sum of nothing takes microseconds, the steps below take what the machine leaves them.
    monkeypatch.setattr(publishing, "REST", 1_000_000)
    site.open = Open(START, True)
    assert said(await site.until(START + HALF_MS + 5000)) == [(0, 1, False, 0)]
    await site.store.save([call(hour=8.25, ended_at=at(8.26))])
    assert said(await site.until(START + HALF_MS + 9000)) == []
    site.publisher._resting = dict.fromkeys(site.publisher._resting, 0.0)
    assert said(await site.until(START + HALF_MS + 9001)) == [(0, 2, False, 1)]


async def test_an_outbox_takes_the_revisions_in_their_transaction(site: Site) -> None:
    taken: list[IntervalRow] = []
    fails = True

    async def enqueue(connection: AsyncConnection, rows: Sequence[IntervalRow], _at_ms: int) -> None:
        assert connection.in_transaction()
        if fails:
            message = "the disk is full"
            raise StoreError(message)
        taken.extend(rows)

    site.publisher._enqueue = enqueue
    with pytest.raises(StoreError):
        await site.until(START + HALF_MS + 5000)
    fails = False
    told = await site.until(START + HALF_MS + 5000)
    assert told == [row for row in taken if row.kind is IntervalKind.LINE]
    # The transaction that failed wrote down no revision.
    assert [(row.kind, row.revision) for row in taken] == [(IntervalKind.LINE, 1), (IntervalKind.OPERATOR, 1)]


async def test_an_interval_with_more_calls_than_a_page_counts_them_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "_PAGE", 3)
    # several that arrived in the same millisecond, across the end of a page
    await site.store.save([call(number, 8.25 + number // 4 / 1000) for number in range(10)])
    rows = await site.until(START + HALF_MS + 5000)
    assert said(rows) == [(0, 1, True, 10)]
