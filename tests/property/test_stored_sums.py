"""Reports from stored sums against the sums over the records, whatever changes between, on both databases."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.cli.ratings import tallied
from callsteward.client.erasing import Eraser
from callsteward.client.found import find
from callsteward.config import Config
from callsteward.intervals import grid, slot
from callsteward.intervals import report as reporting
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.presence import Change
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scheme import scheme
from callsteward.intervals.scope import Contact
from callsteward.intervals.store import IntervalStore
from callsteward.outgoing.words import Actor
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.report import Grouping, RatingTally
from callsteward.rating.states import Mode, RatingState
from callsteward.record.call import CallbackDecision, Decision, Rating
from callsteward.retention.expiry import Expiry
from callsteward.store.changed_slots import SLOT_MS
from callsteward.store.records import CallQuery, Store
from callsteward.store.tables import calls
from tests.lab.postgresql import PostgreSql
from tests.unit.intervals.days import DAY_MS, HOUR_MS, days

REF = "0123456789abcdef0123456789abcdef"
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
# The day of the calls, and the one after it, in which the last of them end.
END_MS = DAY_MS + 2 * 24 * HOUR_MS
_names = itertools.count()
RATINGS = (
    *(Rating("answered", "stay", score) for score in (1, 4, 5)),
    Rating("unanswered", "silence"),
    Rating("scheduled", "call"),
    *(Rating("not_asked", reason) for reason in ("client_hung_up", "atypical", "not_in_sample")),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        opened = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        yield opened
        await opened.close()
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    async with server.emptied() as url:
        opened = await Store.open(url)
        yield opened
        await opened.close()


def _config() -> Config:
    return Config.model_validate(
        {
            "site": {"name": f"site{next(_names)}", "timezone": "Europe/Moscow"},
            "lines": [{"name": "support"}],
            "operators": {"101": {}},
            "intervals": {"answer_within_s": [5, 20, 60]},
        }
    )


async def _from_records(
    config: Config, store: Store, from_ms: int, to_ms: int, starts: Sequence[int]
) -> list[IntervalRow]:
    """The rows of intervals, from the records of [from_ms, to_ms) alone."""
    source = IntervalStore(store.engine, config.site.name)
    lines, operators = await source.names(from_ms, to_ms)
    wanted = scheme(config, (to_ms - from_ms) // len(starts) // grid.MINUTE_MS)
    wanted = msgspec.structs.replace(
        wanted,
        lines=tuple(dict.fromkeys((*wanted.lines, *lines))),
        operators=tuple(dict.fromkeys((*wanted.operators, *operators))),
    )
    known = await source.known(from_ms, to_ms, ("101", "102", "103"))
    length = wanted.minutes * grid.MINUTE_MS
    return [row for start in starts for row in slot.rows(wanted, start, known.within(start, start + length))]


async def _agree(config: Config, store: Store) -> None:
    spans = [(DAY_MS - 3 * HOUR_MS, DAY_MS + 21 * HOUR_MS), (DAY_MS - 24 * HOUR_MS, END_MS)]
    of_spans = [row for span in spans for row in await _from_records(config, store, *span, span[:1])]
    by_minutes = {}
    for minutes in (15, 60):
        starts = range(DAY_MS, END_MS, minutes * grid.MINUTE_MS)
        by_minutes[minutes] = await _from_records(config, store, DAY_MS, END_MS, starts)
    for kind in IntervalKind:
        for minutes, right in by_minutes.items():
            told = [
                row
                async for rows in reporting.intervals(config, store, kind, DAY_MS, END_MS, minutes)
                for row in rows
            ]
            assert told == [row for row in right if row.kind is kind]
        told = [
            row
            for span in spans
            async for rows in reporting.of_periods(config, store, kind, [span])
            for row in rows
        ]
        assert told == [row for row in of_spans if row.kind is kind]


async def _ratings_agree(config: Config, store: Store) -> None:
    """The report on ratings from sums, of spans that begin and end anywhere, is that over the records."""
    site = config.site.name
    ledger = RatingLedger(store.engine, site)
    spans = [(None, None), (DAY_MS + 1, END_MS - 1), (DAY_MS + 5 * HOUR_MS, DAY_MS + 5 * HOUR_MS + 7)]
    spans += [(DAY_MS + 100 * grid.MINUTE_MS + 1, DAY_MS + 30 * HOUR_MS + 123)]
    groupings: tuple[Grouping, ...] = ("operator", "line")
    for (from_ms, to_ms), line, by in itertools.product(spans, (None, "support"), groupings):
        query = CallQuery(site=site, from_ms=from_ms, to_ms=to_ms, line=line)
        records = [record async for record in store.calls(query)]
        tally = RatingTally(by, await ledger.of_calls([record.call_id for record in records]))
        for record in records:
            tally.add(record)
        told = await tallied(store, site, by, from_ms=from_ms, to_ms=to_ms, line=line)
        assert told.rows() == tally.rows()


_steps = st.lists(
    st.sampled_from(["calls", "keep", "callbacks", "watch", "phone", "erase", "doubt", "damage", "ratings"]),
    max_size=10,
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(contacts=days(most=16), steps=_steps, choice=st.randoms(use_true_random=False))
async def test_reports_from_stored_sums_are_those_over_the_records_whatever_comes_in_between(
    store: Store, contacts: list[Contact], steps: list[str], choice: Any
) -> None:
    config = _config()
    site = config.site.name
    intervals, keeper = IntervalStore(store.engine, site), SumsKeeper(store.engine, site)
    ledger, ratings = CallbackLedger(store.engine, site), RatingLedger(store.engine, site)
    waiting = [
        msgspec.structs.replace(
            contact.record,
            site=site,
            call_id=f"{site}.{contact.record.call_id}",
            client_ref=choice.choice([None, REF]),
            rating=choice.choice(RATINGS),
        )
        for contact in contacts
    ]
    stored = []
    span = await intervals.watch_from(DAY_MS + HOUR_MS, kept_since_ms=None)
    for step in steps:
        if step == "calls":
            choice.shuffle(waiting)
            some, waiting = waiting[:5], waiting[5:]
            stored += await store.save(some)
        elif step == "keep":
            day_ms = choice.choice([DAY_MS, DAY_MS + 24 * HOUR_MS])
            if choice.random() < 0.5:
                await keeper.keep_day(day_ms)
            else:
                await keeper.keep(day_ms, day_ms + choice.randrange(1, 96) * SLOT_MS)
        elif step == "callbacks" and stored:
            record = choice.choice(stored)
            row = await ledger.open(record, DUE, number=None, dropped_ms=DAY_MS, at_ms=DAY_MS)
            row = row or await ledger.of_call(record.call_id)
            assert row is not None
            to = choice.choice([CallbackState.CANCELLED, CallbackState.REACHED, CallbackState.EXPIRED])
            await ledger.move(row, to, at_ms=DAY_MS + 1, actor=Actor.ADMIN)
        elif step == "ratings" and stored:
            call = choice.choice(stored)
            rating = await ratings.open(
                call_id=call.call_id, mode=Mode.CALL, line=call.line, operator=call.operator, number=None,
                client_masked=None, client_ref=None, at_ms=DAY_MS, due_ms=DAY_MS,
            )  # fmt: skip
            if rating is not None:
                to_state = choice.choice([RatingState.EXPIRED, RatingState.DIALLING])
                await ratings.move(rating, to_state, at_ms=DAY_MS, channel_id="x")
        elif step == "watch":
            await intervals.watch_until(span, DAY_MS + choice.randrange(48) * HOUR_MS)
        elif step == "phone":
            change = Change(
                DAY_MS + choice.randrange(48 * 3600) * 1000,
                choice.choice([None, "NOT_INUSE", "INUSE", "UNAVAILABLE"]),
            )
            await intervals.phone_changes([(choice.choice(["101", "102"]), change)])
        elif step == "erase":
            eraser = Eraser(
                store.engine, site, plans=(), announce=lambda *_: (), deleted=_deleted, now_ms=lambda: END_MS,
                by="test",
            )  # fmt: skip
            await eraser.erase(await find(store.engine, site, (), (REF,)))
        elif step == "doubt":
            await keeper.stored.doubt()
        elif step == "damage" and stored:
            # Sums with a record that cannot be read are never taken for good.
            lost = choice.choice(stored)
            async with store.engine.begin() as connection:
                await connection.execute(
                    update(calls)
                    .where(calls.c.site == site, calls.c.call_id == lost.call_id)
                    .values(record="?", packed=None)
                )
            await keeper.stored.doubt()
    await _agree(config, store)
    await _ratings_agree(config, store)
    await keeper.complete(END_MS + 24 * HOUR_MS)
    await _agree(config, store)
    await _ratings_agree(config, store)


async def _deleted(_file: str) -> str:
    return ""


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(contacts=days(most=16))
async def test_reports_of_a_time_go_on_when_its_records_are_deleted(
    store: Store, contacts: list[Contact]
) -> None:
    config = _config()
    site = config.site.name
    await store.save(
        [
            msgspec.structs.replace(contact.record, site=site, call_id=f"{site}.{contact.record.call_id}")
            for contact in contacts
        ]
    )
    intervals = IntervalStore(store.engine, site)
    await intervals.watch_until(await intervals.watch_from(DAY_MS, kept_since_ms=None), END_MS)

    async def reports() -> list[IntervalRow]:
        told = [
            row
            for kind in IntervalKind
            async for rows in reporting.intervals(config, store, kind, DAY_MS, END_MS, 30)
            for row in rows
        ]
        return told + [
            row
            for kind in IntervalKind
            async for rows in reporting.of_periods(
                config, store, kind, [(DAY_MS + 21 * HOUR_MS, END_MS), (DAY_MS, END_MS)]
            )
            for row in rows
        ]

    before = await reports()
    expiry = Expiry(
        store.engine,
        site,
        1,
        (),
        zone=config.site.zone,
        now_ms=lambda: END_MS + 24 * HOUR_MS,
        machine_ms=lambda: END_MS + 24 * HOUR_MS,
        before=SumsKeeper(store.engine, site).complete,
    )
    # The day of Moscow ends three hours before that of UTC.
    gone = await expiry.work()
    assert gone == sum(contact.record.started_at is not None for contact in contacts)
    assert await reports() == before
    await SumsKeeper(store.engine, site).stored.doubt()
    await SumsKeeper(store.engine, site).complete(END_MS)
    assert await reports() == before
