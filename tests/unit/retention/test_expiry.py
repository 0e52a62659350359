"""Old records go and what is open stays, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, func, insert, select, text, update

from callsteward import features
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.clock import DAY_MS
from callsteward.intervals import report
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.periods import Period, periods
from callsteward.intervals.presence import Change
from callsteward.intervals.row import IntervalKind
from callsteward.intervals.store import IntervalStore
from callsteward.lost.calls import LostCalls
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode, RatingState
from callsteward.record.call import Outcome
from callsteward.record.facts import CallEnded, CallTagged
from callsteward.record.tag import Given, Source, Tag
from callsteward.retention import phones
from callsteward.retention.expiry import AT_ONCE
from callsteward.store.direct import flush
from callsteward.store.expired import deleted_before_ms, said_expired
from callsteward.store.records import Store
from callsteward.store.tables import (
    call_clients,
    call_tags,
    callback_transitions,
    callbacks,
    complaints,
    lost_calls_settled,
    outbox,
    phone_states,
    ratings,
    watched,
)
from callsteward.tags.book import TagBook
from tests.unit.retention.aged import (
    CONFIG,
    DUE,
    KEPT_MS,
    NOW_MS,
    NUMBER,
    OLD_MS,
    ZONE,
    expiry,
    left,
    record,
)


class Gone(Exception):  # noqa: N818
    """The process ended here."""


async def count(store: Store, table: Any) -> int:
    async with store.engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def change(store: Store, statement: Any) -> None:
    async with store.engine.begin() as connection:
        await connection.execute(statement)


class TestExpiry:
    @pytest.fixture
    async def store(self, store_url: str) -> AsyncIterator[Store]:
        store = await Store.open(store_url, features.announce(CONFIG))
        yield store
        await store.close()

    async def test_old_records_go_with_what_belongs_to_them(self, store: Store) -> None:
        book, lost = TagBook(store.engine, "main"), LostCalls(store.engine, "main")
        for name, at_ms in (("old", OLD_MS), ("young", KEPT_MS)):
            call = record(name, at_ms, outcome=Outcome.ABANDONED)
            await store.save([call])
            fact = CallTagged(
                call_id=name, line="support", tag=Tag.COMMENT, at_ms=at_ms, by="101", source=Source.PHONE
            )
            await book.add(fact, Given(Tag.COMMENT, "said"))
            book.remember([(call, NUMBER)])
            lost.note([CallEnded(call, NUMBER)], str)
            await flush(store.engine)
            await lost.settle(name, by="admin", comment="called")
        elsewhere = msgspec.structs.replace(record("south"), site="south")
        await store.save([elsewhere])
        waiting = await count(store, outbox)
        assert await expiry(store).work() == 1
        assert await left(store) == ["south", "young"]
        for table in (call_tags, call_clients, lost_calls_settled):
            async with store.engine.connect() as connection:
                assert list(await connection.scalars(select(table.c.call_id))) == ["young"]
        # What is not delivered yet is delivered.
        assert await count(store, outbox) == waiting == 3
        assert await expiry(store).work() == 0

    async def test_what_is_open_stays_until_it_is_over(self, store: Store) -> None:
        names = ["lost", "callback", "scheduled", "asking", "complaint"]
        found = {name: record(name, OLD_MS - index) for index, name in enumerate(names)}
        await store.save(list(found.values()))
        lost = LostCalls(store.engine, "main")
        abandoned = msgspec.structs.replace(found["lost"], outcome=Outcome.ABANDONED)
        lost.note([CallEnded(abandoned, NUMBER)], str)
        await flush(store.engine)
        ledger = CallbackLedger(store.engine, "main")
        callback = await ledger.open(found["callback"], DUE, number=NUMBER, dropped_ms=OLD_MS, at_ms=OLD_MS)
        assert callback is not None
        scheduled = await self._rated(store, "scheduled", due_ms=OLD_MS)
        asking = await self._rated(store, "asking")
        list_ = Complaints(store.engine, "main")
        await list_.raise_(
            call_id="complaint",
            line="support",
            operator=None,
            client_masked=None,
            client_ref=None,
            reason="tagged",
            score=None,
            at_ms=OLD_MS,
        )
        assert await expiry(store).work() == 0
        assert sorted(await left(store)) == sorted(names)
        await lost.settle("lost", by="admin", comment="called")
        await ledger.move(callback, CallbackState.CANCELLED, at_ms=OLD_MS)
        rated = RatingLedger(store.engine, "main")
        await rated.move(scheduled, RatingState.EXPIRED, at_ms=OLD_MS)
        await rated.move(asking, RatingState.UNANSWERED, at_ms=OLD_MS)
        await list_.acknowledge("complaint", by="chief", comment="", at_ms=NOW_MS)
        assert await expiry(store).work() == 5
        assert await left(store) == []
        assert await count(store, lost_calls_settled) == 0
        assert await count(store, complaints) == 0

    async def _rated(self, store: Store, call_id: str, due_ms: int | None = None) -> Any:
        return await RatingLedger(store.engine, "main").open(
            call_id=call_id,
            mode=Mode.STAY if due_ms is None else Mode.CALL,
            line="support",
            operator="101",
            number=NUMBER,
            client_masked=None,
            client_ref=None,
            at_ms=OLD_MS,
            due_ms=due_ms,
        )

    async def test_a_ledgers_row_stays_while_asterisk_may_have_something_of_it(self, store: Store) -> None:
        ledger = CallbackLedger(store.engine, "main")
        callback = await ledger.open(record("a"), DUE, number=NUMBER, dropped_ms=OLD_MS, at_ms=OLD_MS)
        assert callback is not None
        for state in (CallbackState.OFFERED, CallbackState.DIALLING, CallbackState.REACHED):
            await ledger.move(callback, state, at_ms=OLD_MS, asked="101", channel_id="c")
        rating = await self._rated(store, "a")
        rated = RatingLedger(store.engine, "main")
        await rated.keep(rating, at_ms=OLD_MS, score=5)
        await rated.keep(rating, at_ms=OLD_MS, comment_file="comment", comment_ms=1)
        for forget in (
            # Each ledger's own retention, step by step.
            update(callbacks).values(number=None),
            update(ratings).values(number=None),
            update(callbacks).values(fence_gone_at_ms=NOW_MS),
        ):
            await expiry(store).work()
            assert (await count(store, callbacks), await count(store, ratings)) == (1, 1)
            await change(store, forget)
        await expiry(store).work()
        assert (await count(store, callbacks), await count(store, callback_transitions)) == (0, 0)
        assert await count(store, ratings) == 1
        await change(store, update(ratings).values(comment_file=None))
        await expiry(store).work()
        assert await count(store, ratings) == 0

    # --- reports -----------------------------------------------------------------------------------------

    async def test_reports_of_a_deleted_time_are_empty_and_others_are_what_they_were(
        self, store: Store
    ) -> None:
        days = [KEPT_MS - 2 * DAY_MS, KEPT_MS - DAY_MS, KEPT_MS, KEPT_MS + DAY_MS]
        await store.save([record(f"{at_ms}", at_ms + 3_600_000) for at_ms in days])
        # Open for ever: one call of a day whose others are deleted makes no figures of it.
        lost = record("lost", days[0], outcome=Outcome.ABANDONED)
        await store.save([lost])
        LostCalls(store.engine, "main").note([CallEnded(lost, NUMBER)], str)
        await flush(store.engine)
        seen = {"site": "main", "from_ms": days[0] - DAY_MS, "to_ms": NOW_MS}
        await change(store, insert(watched).values(seen))
        before = await self._rows(store, days[0], days[-1] + DAY_MS)
        assert [row.values["offered"] for row in before[IntervalKind.LINE] if row.values["offered"]] == [
            1
        ] * 5
        await expiry(store).work()
        after = await self._rows(store, days[0], days[-1] + DAY_MS)
        for kind in IntervalKind:
            known = {row.start_ms: row.digest for row in before[kind] if row.start_ms >= KEPT_MS}
            assert {row.start_ms: row.digest for row in after[kind] if row.start_ms >= KEPT_MS} == known
            gone = [row for row in after[kind] if row.start_ms < KEPT_MS]
            assert len(gone) == 96
            assert {value for row in gone for value in row.values.values()} == {None}

    async def test_a_month_in_which_records_are_deleted_says_how_much_of_it_is_known(
        self, store: Store
    ) -> None:
        await store.save([record("old", OLD_MS), record("young", KEPT_MS)])
        await change(
            store, insert(watched).values({"site": "main", "from_ms": OLD_MS - 30 * DAY_MS, "to_ms": NOW_MS})
        )
        await expiry(store).work()
        spans = periods(OLD_MS - 30 * DAY_MS, NOW_MS, Period.MONTH, ZONE)
        found = [
            row
            async for rows in report.of_periods(CONFIG, store, IntervalKind.LINE, spans)
            for row in rows
            if row.name == "support"
        ]
        known = [(row.values["offered"], row.values["observed_s"]) for row in found]
        # September, October from the 13th on, November until now.
        assert known == [(None, None), (1, 19 * 86_400.0), (0, 21 * 86_400.0 + 5 * 3_600.0)]

    async def _rows(self, store: Store, from_ms: int, to_ms: int) -> dict[IntervalKind, list[Any]]:
        return {
            kind: [
                row
                async for rows in report.intervals(CONFIG, store, kind, from_ms, to_ms, 30)
                for row in rows
            ]
            for kind in IntervalKind
        }

    async def test_it_is_said_in_words_whose_records_are_deleted(self, store: Store) -> None:
        assert await said_expired(store.engine, "main", None, ZONE) == ""
        await expiry(store).work()
        assert await deleted_before_ms(store.engine, "main") == KEPT_MS
        for from_ms in (None, OLD_MS):
            assert await said_expired(store.engine, "main", from_ms, ZONE) == (
                "the records of calls before 2026-10-13 00:00 are deleted ([store] retention_days): nothing"
                " is known of that time, and its figures are empty, not zero"
            )
        assert await said_expired(store.engine, "main", KEPT_MS, ZONE) == ""
        assert await said_expired(store.engine, "south", None, ZONE) == ""

    # --- phones ------------------------------------------------------------------------------------------

    async def test_old_changes_of_phones_go_and_sums_stay_and_the_first_state_is_known(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(phones, "AT_ONCE", 2)
        intervals, hour_ms = IntervalStore(store.engine, "main"), 3_600_000
        span = await intervals.watch_from(OLD_MS - DAY_MS, kept_since_ms=None)
        await intervals.watch_until(span, NOW_MS)
        changes = [
            *((operator, Change(OLD_MS - DAY_MS, "NOT_INUSE")) for operator in ("101", "102")),
            *(("101", Change(OLD_MS - hour * hour_ms, "INUSE")) for hour in range(6, 1, -1)),
            ("102", Change(OLD_MS - hour_ms, "UNAVAILABLE")),
            ("101", Change(KEPT_MS + 2 * hour_ms, "NOT_INUSE")),
        ]
        await intervals.phone_changes(changes)
        await IntervalStore(store.engine, "south").phone_changes(changes[:3])
        await store.save([record("young", KEPT_MS + hour_ms)])
        keeper = SumsKeeper(store.engine, "main")
        before = await self._staffed(store)
        assert await expiry(store, before=keeper.complete).work() == 0
        async with store.engine.connect() as connection:
            rows = await connection.execute(
                select(phone_states.c.operator, phone_states.c.at_ms, phone_states.c.state)
                .where(phone_states.c.site == "main")
                .order_by(phone_states.c.id)
            )
            assert [tuple(row) for row in rows] == [
                ("101", OLD_MS - 2 * hour_ms, "INUSE"),
                ("102", OLD_MS - hour_ms, "UNAVAILABLE"),
                ("101", KEPT_MS + 2 * hour_ms, "NOT_INUSE"),
            ]
        assert await count(store, phone_states) == 3 + 3
        assert await intervals.phone_states() == {"101": "NOT_INUSE", "102": "UNAVAILABLE"}
        assert await self._staffed(store) == before
        await keeper.stored.doubt()
        assert await self._staffed(store) == before

    async def _staffed(self, store: Store) -> list[Any]:
        rows = await self._rows(store, KEPT_MS - DAY_MS, KEPT_MS + DAY_MS)
        found = [
            (row.start_ms, row.name, row.values["staffed_s"], row.values["available_s"])
            for row in rows[IntervalKind.OPERATOR]
        ]
        assert any(staffed for _, _, staffed, _ in found)
        return found

    # --- clocks, steps, space ----------------------------------------------------------------------------

    @pytest.mark.parametrize(("asterisk", "machine"), [(1, 0), (0, 1), (-2, 0), (0, -2)])
    async def test_one_clock_that_is_wrong_deletes_nothing(
        self, store: Store, asterisk: int, machine: int
    ) -> None:
        await store.save([record("old"), record("young", KEPT_MS)])
        year_ms = 365 * DAY_MS
        done = await expiry(store, NOW_MS + asterisk * year_ms, NOW_MS + machine * year_ms).work()
        assert done == (1 if asterisk + machine > 0 else 0)
        assert "young" in await left(store)

    async def test_what_is_deleted_never_goes_back(self, store: Store) -> None:
        await expiry(store).work()
        await expiry(store, NOW_MS - 100 * DAY_MS).work()
        assert await deleted_before_ms(store.engine, "main") == KEPT_MS

    async def test_a_deletion_that_was_broken_off_goes_on(self, store: Store) -> None:
        await store.save([record(f"{number}", OLD_MS - number) for number in range(3 * AT_ONCE)])
        commits = 0

        def counted(*_: object) -> None:
            nonlocal commits
            commits += 1
            if commits == 3:
                raise Gone

        event.listen(store.engine.sync_engine, "commit", counted)
        with pytest.raises(Gone):
            await expiry(store).work()
        # The moment, one step, and half of the next one, which is taken back.
        assert len(await left(store)) == 2 * AT_ONCE
        assert await expiry(store).work() == 2 * AT_ONCE
        assert await left(store) == []

    async def test_who_stores_a_call_meanwhile_does_not_wait_for_all_of_it(
        self, store: Store, store_url: str
    ) -> None:
        await store.save([record(f"{number}", OLD_MS - number) for number in range(20 * AT_ONCE)])
        other = await Store.open(store_url)
        stored = 0
        deleting = asyncio.create_task(expiry(store).work())
        while not deleting.done():
            await other.save([record(f"new-{stored}", NOW_MS)])
            stored += 1
        await other.close()
        assert deleting.result() == 20 * AT_ONCE
        # At least one between any two steps.
        assert stored >= 20
        assert len(await left(store)) == stored

    async def test_the_space_of_deleted_calls_is_used_again(self, store_url: str) -> None:
        # Without a feed: nobody here empties the outbox.
        store = await Store.open(store_url)
        # Of a PostgreSQL that other tests have used.
        await self._vacuum(store, "VACUUM FULL")
        sizes = []
        for cycle in range(3):
            await store.save([record(f"{cycle}-{number}", OLD_MS - number) for number in range(800)])
            sizes.append(await self._size(store))
            assert await expiry(store).work() == 800
            # As autovacuum does by itself.
            await self._vacuum(store, "VACUUM")
        await store.close()
        # Kept for ever it would be three times as much; pages that are half full stay a while.
        assert sizes[2] < 1.3 * sizes[0], sizes

    async def _vacuum(self, store: Store, statement: str) -> None:
        if store.engine.dialect.name == "postgresql":
            async with store.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(text(statement))

    async def _size(self, store: Store) -> int:
        query = (
            "SELECT pg_total_relation_size('calls')"
            if store.engine.dialect.name == "postgresql"
            else "PRAGMA page_count"
        )
        async with store.engine.connect() as connection:
            return int((await connection.execute(text(query))).scalar_one())
