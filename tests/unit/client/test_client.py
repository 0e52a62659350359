"""The data held of one client is found whole and erased whole, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, select, update

from callsteward import features
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.cli.client import _plain
from callsteward.client.erasing import Eraser, Erasing
from callsteward.client.found import Found, find, find_at
from callsteward.intervals import report
from callsteward.intervals.row import IntervalKind
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.words import Actor
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import RatingState
from callsteward.record.call import Outcome
from callsteward.record.facts import CallEnded
from callsteward.store.direct import flush
from callsteward.store.engine import writing
from callsteward.store.holdings import HOLDINGS
from callsteward.store.packed import pack
from callsteward.store.records import CallQuery, Store
from callsteward.store.stored import RECORD, decode, line_of, record_in
from callsteward.store.tables import calls, metadata, outbox, ratings
from callsteward.tags.book import TagBook
from tests.unit.client.samples import AT_MS, CONFIG, DUE, NUMBER, NUMBERS, OTHER, SAID, fill, of, rated
from tests.unit.sites import neighbour


class Gone(Exception):  # noqa: N818
    """The process ended here."""


async def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    found = {}
    async with store.engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name] = [dict(row) for row in rows.mappings()]
    return found


def about(dump: dict[str, list[dict[str, Any]]], name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that hold a text."""
    return {table: [row for row in rows if name in str(row)] for table, rows in dump.items()}


async def looked(store: Store, number: str = NUMBER) -> Found:
    ref = NUMBERS.ref(number)
    assert ref is not None
    return await find(store.engine, "main", [number], [ref])


class Asterisk:
    """Deletes recordings, or does not."""

    def __init__(self) -> None:
        self.there = True
        self.asked: list[str] = []

    async def deleted(self, name: str) -> str:
        self.asked.append(name)
        return "" if self.there else "it does not answer"


async def erased(
    store: Store, number: str = NUMBER, asterisk: Asterisk | None = None, *, also_do_not_call: bool = False
) -> Erasing:
    eraser = Eraser(
        store.engine,
        "main",
        plans=features.plans(),
        announce=features.announce(CONFIG),
        deleted=(asterisk or Asterisk()).deleted,
        now_ms=lambda: AT_MS,
        by="an admin",
        also_do_not_call=also_do_not_call,
    )
    return await eraser.erase(await looked(store, number))


def traces(dump: dict[str, list[dict[str, Any]]], number: str, *, texts: bool = True) -> dict[str, list[str]]:
    """The words of a client that are in each table; `texts`: also what was said of any client."""
    words = [number[1:], number[2:], str(NUMBERS.ref(number)), *(SAID if texts else ())]
    found = {table: [word for word in words if word in str(rows)] for table, rows in dump.items()}
    return {table: words for table, words in found.items() if words}


def as_bytes(line: str | bytes) -> bytes:
    return line.encode() if isinstance(line, str) else line


def said(found: Found) -> list[Any]:
    """The records as `client export` prints them."""
    return [_plain(row)["record"] for row in found.rows["calls"]]


class TestClient:
    @pytest.fixture
    async def store(self, store_url: str) -> AsyncIterator[Store]:
        store = await Store.open(store_url, features.announce(CONFIG))
        yield store
        await store.close()

    # --- found ------------------------------------------------------------------------------------------

    async def test_a_client_is_found_in_every_table_that_holds_something_of_them(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        await fill(store, OTHER, "b")
        found = await looked(store)
        assert set(found.rows) == {holding.name for holding in HOLDINGS}
        assert {name: len(rows) for name, rows in found.rows.items()} == {
            "outbox": 12, "commands_done": 1, "call_tags": 3, "callback_transitions": 4,
            "lost_calls_settled": 1, "calls": 4, "complaints": 1, "client_zones": 1, "lost_calls": 1,
            "call_clients": 1, "client_contacts": 1, "ratings": 1, "callbacks": 1, "do_not_call": 1,
        }  # fmt: skip
        assert OTHER not in str(found.rows)
        assert '"b.' not in str(found.rows)
        assert found.elsewhere == []

    async def test_a_reference_leads_to_the_number_and_the_number_to_an_earlier_keys_reference(
        self, store: Store
    ) -> None:
        await fill(store, NUMBER, "a")
        earlier = of(NUMBER, "a.0", client_ref="0123456789abcdef0123456789abcdef")
        await store.save([earlier])
        await CallbackLedger(store.engine, "main").open(
            earlier, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS
        )
        ref = NUMBERS.ref(NUMBER)
        by_ref = await find(store.engine, "main", [], [str(ref)])
        assert by_ref.numbers == {NUMBER}
        assert by_ref.refs == {ref, earlier.client_ref}
        assert len(by_ref.rows["calls"]) == 5

    async def test_without_a_key_the_calls_are_found_that_a_number_was_kept_for(self, store: Store) -> None:
        named, unnamed = of(NUMBER, "a.1", client_ref=None), of(NUMBER, "a.2", client_ref=None)
        await store.save([named, unnamed])
        TagBook(store.engine, "main").remember([(named, NUMBER)])
        await flush(store.engine)
        found = await find(store.engine, "main", [NUMBER], [])
        assert [row["call_id"] for row in found.rows["calls"]] == ["a.1"]

    async def test_digits_that_can_be_two_peoples_lead_to_nobody(self, store: Store) -> None:
        record = of(NUMBER, "a.1", client_ref=None)
        await store.save([record])
        TagBook(store.engine, "main").remember([(record, "4740057948")])
        await flush(store.engine)
        for reading in ("+74740057948", "+4740057948"):
            assert (await find(store.engine, "main", [reading], [])).rows == {}

    async def test_another_sites_rows_are_left_to_it_and_the_site_is_named(self, store: Store) -> None:
        record = msgspec.structs.replace(of(NUMBER, "a.1"), site="south")
        await store.save([record])
        found = await looked(store)
        assert "calls" not in found.rows
        assert found.elsewhere == ["south"]

    async def test_several_sites_rows_are_found_together_and_lists_of_all_sites_once(
        self, store: Store
    ) -> None:
        await fill(store, NUMBER, "a")
        await neighbour.settle(store)
        found = await find_at(store.engine, ["main", "south"], [NUMBER], [])
        alone = await find(store.engine, "main", [NUMBER], [])
        theirs = await find(store.engine, "south", [NUMBER], [])
        for name, rows in found.rows.items():
            both = [*alone.rows[name], *theirs.rows.get(name, [])]
            assert rows == (alone.rows[name] if name in {"do_not_call", "client_zones"} else both), name
        assert {row["site"] for row in found.rows["callbacks"]} == {"main", "south"}
        assert len(found.rows["callback_transitions"]) > len(alone.rows["callback_transitions"])
        assert (alone.elsewhere, found.elsewhere) == (["south"], [])

    # --- erased -----------------------------------------------------------------------------------------

    async def test_nothing_of_an_erased_client_is_left_but_the_wish_not_to_be_called(
        self, store: Store
    ) -> None:
        await fill(store, NUMBER, "a")
        await fill(store, OTHER, "b")
        before = await everything(store)
        asterisk = Asterisk()
        done = await erased(store, asterisk=asterisk)
        after = await everything(store)
        assert done.left == []
        assert asterisk.asked == ["comment-a"]
        assert set(traces(after, NUMBER, texts=False)) == {"do_not_call"}
        # Nobody else's rows.
        for name in ('"b.', "'b.", OTHER, str(NUMBERS.ref(OTHER))):
            assert about(after, name) == about(before, name)

    async def test_the_figures_of_the_calls_stay(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        before = [record async for record in store.calls(CallQuery())]
        sums = [rows async for rows in self._sums(store)]
        await erased(store)
        after = [record async for record in store.calls(CallQuery())]
        assert after == [msgspec.structs.replace(record, client_ref=None) for record in before]
        assert {record.client_masked for record in after} == {"+7903***4567"}
        assert [rows async for rows in self._sums(store)] == sums
        assert any(value for rows in sums for row in rows for value in row.values.values())

    async def _sums(self, store: Store) -> AsyncIterator[Any]:
        day_ms = AT_MS // 86_400_000 * 86_400_000
        for kind in IntervalKind:
            async for rows in report.intervals(CONFIG, store, kind, day_ms, day_ms + 86_400_000, 30):
                yield rows

    @pytest.mark.parametrize("compress", [True, False])
    async def test_what_else_a_row_says_stays_byte_for_byte(self, store_url: str, compress: bool) -> None:
        """Also fields that this version does not know, and the row's form."""
        store = await Store.open(store_url, features.announce(CONFIG), compress=compress)
        await store.save([of(NUMBER, "a.1")])
        async with writing(store.engine) as connection:
            (row,) = await connection.execute(select(*RECORD))
            assert (row.packed is not None) is (row.record == "") is compress
            newer = as_bytes(line_of(record_in(row)))[:-1] + b',"later":{"x":[1.5,2]}}'
            values = {"packed": pack(newer)} if compress else {"record": newer.decode()}
            await connection.execute(update(calls).values(values))
        assert said(await looked(store)) == [msgspec.json.decode(newer)]
        await erased(store)
        async with store.engine.connect() as connection:
            (row,) = await connection.execute(select(*RECORD))
        assert (row.packed is not None) is (row.record == "") is compress
        kept, ref = as_bytes(line_of(record_in(row))), NUMBERS.ref(NUMBER)
        assert kept == newer.replace(f'"client_ref":"{ref}"'.encode(), b'"client_ref":null')
        assert decode(kept).client_ref is None
        await store.close()

    async def test_what_people_wrote_of_an_erased_client_is_gone(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        assert {word for words in traces(await everything(store), NUMBER).values() for word in words} >= set(
            SAID
        )
        await erased(store)
        assert traces(await everything(store), NUMBER) == {"do_not_call": [NUMBER[1:], NUMBER[2:], SAID[4]]}

    async def test_the_entry_on_the_do_not_call_list_goes_where_that_is_asked_for(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        done = await erased(store, also_do_not_call=True)
        assert done.changed["do_not_call"] == 1
        assert traces(await everything(store), NUMBER) == {}

    async def test_a_waiting_message_is_sent_without_the_reference(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        before = (await everything(store))["outbox"]
        await erased(store)
        after = (await everything(store))["outbox"]
        assert [row["message_id"] for row in after] == [row["message_id"] for row in before]
        for row in after:
            assert msgspec.json.decode(row["payload"])["client_ref"] is None
            assert row["size"] == len(row["payload"].encode())

    async def test_an_erasure_that_was_broken_off_anywhere_is_finished_by_the_next_one(
        self, store: Store
    ) -> None:
        commits = 0
        break_at = 0

        def counted(*_: object) -> None:
            nonlocal commits
            commits += 1
            if commits == break_at:
                raise Gone

        event.listen(store.engine.sync_engine, "commit", counted)
        number = "+79000000100"
        await fill(store, number, "c0")
        commits = 0
        await erased(store, number)
        needed = commits
        assert needed > 10
        unbroken = about(await everything(store), "c0")
        for broken in range(1, needed + 1):
            number = f"+790000001{broken:02}"
            name = f"c{broken}"
            await fill(store, number, name)
            commits, break_at = 0, broken
            with pytest.raises(Gone):
                await erased(store, number)
            break_at = 0
            assert (await erased(store, number)).left == []
            left = await everything(store)
            assert set(traces(left, number)) == {"do_not_call"}
            counts = {table: len(rows) for table, rows in about(left, f"{name}.").items()}
            assert counts == {table: len(rows) for table, rows in about(unbroken, "c0.").items()}

    async def test_a_journal_that_is_run_again_brings_nothing_back(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        await erased(store, also_do_not_call=True)
        before = await everything(store)
        told = of(NUMBER, "a.1")
        lost = of(NUMBER, "a.2", outcome=Outcome.ABANDONED, started_at="2026-11-22T03:00:00.000Z")
        await store.save([told, lost])
        TagBook(store.engine, "main").remember([(told, NUMBER)])
        await flush(store.engine)
        LostCalls(store.engine, "main").note([CallEnded(lost, NUMBER)], NUMBERS.e164)
        await flush(store.engine)
        ledger = CallbackLedger(store.engine, "main")
        assert await ledger.open(told, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS) is None
        assert await everything(store) == before

    # --- beside a running daemon ------------------------------------------------------------------------

    async def test_what_is_open_is_cancelled_by_the_ledgers_own_step(self, store: Store) -> None:
        told = of(NUMBER, "a.1")
        await store.save([told])
        ledger = CallbackLedger(store.engine, "main", features.announce(CONFIG))
        await ledger.open(told, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS)
        await rated(store, NUMBER, "a.2", due_ms=AT_MS)
        done = await erased(store)
        assert done.cancelled == {"callbacks": 1, "rating calls": 1}
        assert done.left == []
        callback = await ledger.find("a.1")
        assert callback is not None
        assert (callback.state, callback.reason) == (CallbackState.CANCELLED, "erased")
        (*_, last) = await ledger.story(callback)
        assert (last.actor, last.evidence) == (Actor.ADMIN, "")
        rating = await RatingLedger(store.engine, "main").find("a.2")
        assert rating is not None
        assert rating.state is RatingState.SUPPRESSED
        # The steps are told, without whose they are.
        messages = [msgspec.json.decode(row["payload"]) for row in (await everything(store))["outbox"]]
        assert [(said["state"], said["reason"], said["client_ref"]) for said in messages if "state" in said][
            -2:
        ] == [("cancelled", "erased", None), ("suppressed", "erased", None)]
        assert traces(await everything(store), NUMBER) == {}

    async def test_a_client_who_is_being_dialled_is_left_until_that_is_over(self, store: Store) -> None:
        told = of(NUMBER, "a.1")
        await store.save([told])
        ledger = CallbackLedger(store.engine, "main")
        callback = await ledger.open(told, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS)
        assert callback is not None
        await ledger.move(callback, CallbackState.DIALLING, at_ms=AT_MS)
        done = await erased(store)
        assert done.left == ["callbacks under way: a.1: run this again when they are over"]
        still = await ledger.find("a.1")
        assert still is not None
        assert (still.state, still.number) == (CallbackState.DIALLING, NUMBER)
        await ledger.move(callback, CallbackState.REACHED, at_ms=AT_MS)
        assert (await erased(store)).left == []
        assert traces(await everything(store), NUMBER) == {}

    async def test_a_client_in_the_menu_keeps_their_rating_until_it_is_over(self, store: Store) -> None:
        rating = await rated(store, NUMBER, "a.1")
        done = await erased(store)
        assert done.left == ["rating calls under way: a.1: run this again when they are over"]
        ledger = RatingLedger(store.engine, "main")
        await ledger.keep(rating, at_ms=AT_MS, score=5)
        assert (await erased(store)).left == []
        kept = await ledger.find("a.1")
        assert kept is not None
        assert (kept.score, kept.number, kept.client_ref) == (5, None, None)

    async def test_a_comment_that_asterisk_does_not_delete_keeps_its_rating_findable(
        self, store: Store
    ) -> None:
        await fill(store, NUMBER, "a")
        asterisk = Asterisk()
        asterisk.there = False
        done = await erased(store, asterisk=asterisk)
        assert done.left == [
            "spoken comments that Asterisk did not delete: 1 (it does not answer); run this again"
        ]
        async with store.engine.connect() as connection:
            (row,) = (await connection.execute(select(ratings))).mappings()
        assert (row["number"], row["comment_file"]) == (NUMBER, "comment-a")
        asterisk.there = True
        assert (await erased(store, asterisk=asterisk)).left == []
        assert set(traces(await everything(store), NUMBER)) == {"do_not_call"}

    async def test_a_message_that_was_delivered_meanwhile_is_no_fault(self, store: Store) -> None:
        await fill(store, NUMBER, "a")
        found = await looked(store)
        async with writing(store.engine) as connection:
            await connection.execute(outbox.delete())
        assert found.rows["outbox"]
        assert (await erased(store)).left == []
