"""The rules for every ledger of calls to clients, whatever the calls are for, on each database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update

from callsteward import faults
from callsteward.callback.states import CallbackMoved
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.store.engine import writing
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from tests.lab.pbx_config import REPOSITORY
from tests.unit.outgoing.sides import NOW, NUMBER, SIDES, Side

OTHER = "+79000000001"
ROWS = 20

# Moves each of the rows once, as one of two processes that both try to; prints those that it moved.
_MOVER = """
import asyncio, sys
from callsteward.store.records import Store
from tests.unit.outgoing.sides import SIDES

async def main(url, name, rows):
    side = next(side for side in SIDES if side.name == name)
    store = await Store.open(url)
    ledger = side.ledger(store.engine)
    found = [await ledger.find(f"1.{number}") for number in range(rows)]
    print("ready", flush=True)
    sys.stdin.readline()
    moved = [await side.move(ledger, row, side.rings) for row in found]
    print(" ".join(row.id for row in moved if row is not None))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture(params=SIDES, ids=str)
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.param
    return found


class TestLedgerContract:
    @pytest.fixture
    async def elsewhere(self, store_url: str) -> AsyncIterator[Store]:
        """The same database, as another process opens it."""
        store = await Store.open(store_url)
        yield store
        await store.close()

    # --- one row per call ---------------------------------------------------------------------------------

    async def test_a_call_has_one_row_however_many_open_it(
        self, side: Side, store: Store, elsewhere: Store
    ) -> None:
        ledgers = [side.ledger(store.engine), side.ledger(elsewhere.engine)]
        tries = (side.open_(ledger, "1.1") for ledger in ledgers * 2)
        (row,) = [row for row in await asyncio.gather(*tries) if row is not None]
        assert row.state is side.first
        assert [found.id for found in await ledgers[1].opened()] == [row.id]

    async def test_a_row_is_found_by_its_name_and_by_its_call(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "a call; with a name of its own")
        assert row.id.startswith("x")
        assert await ledger.find(row.id) == row
        assert await ledger.find("a call; with a name of its own") == row
        assert await ledger.find("1.1") is None

    async def test_sites_that_share_a_database_do_not_share_rows(self, side: Side, store: Store) -> None:
        ledger, other = side.ledger(store.engine), side.ledger(store.engine, site="other")
        mine = await side.open_(ledger, "1.1")
        assert await side.open_(other, "1.1") is not None
        await side.move(ledger, mine, side.rings)
        assert [row.state for row in await ledger.opened()] == [side.rings]
        assert [row.state for row in await other.opened()] == [side.first]

    # --- steps --------------------------------------------------------------------------------------------

    async def test_a_step_is_made_from_the_states_it_may_follow_and_from_no_other(
        self, side: Side, store: Store
    ) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "1.1")
        for start in side.states:
            for to in side.states:
                await self._put(store, side, row, start)
                moved = await side.move(ledger, row, to)
                assert (moved is not None) == (to in side.allowed[start]), f"{start} to {to}"
                assert (await ledger.find("1.1")).state is (start if moved is None else to)

    async def test_the_states_a_step_may_follow_can_be_narrowed(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "1.1")
        cancelled = side.states("cancelled")
        assert await ledger.move(row, cancelled, at_ms=NOW, among={side.rings}) is None
        assert await ledger.move(row, cancelled, at_ms=NOW, among={side.first}) is not None

    async def test_a_step_counts_the_attempt_and_names_its_channel(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "1.1")
        assert (row.attempts, row.channel_id) == (0, None)
        row = await side.move(ledger, row, side.rings, NOW + 7)
        assert (row.attempts, row.channel_id, row.changed_at_ms) == (1, "c", NOW + 7)

    async def test_a_step_is_stored_when_it_returns(self, side: Side, store: Store, elsewhere: Store) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "1.1")
        moved = await side.move(ledger, row, side.rings)
        assert await side.ledger(elsewhere.engine).find("1.1") == moved

    async def test_of_two_processes_one_makes_a_step(self, side: Side, store: Store, store_url: str) -> None:
        ledger = side.ledger(store.engine)
        names = [(await side.open_(ledger, f"1.{number}")).id for number in range(ROWS)]
        movers = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", _MOVER, store_url, side.name, str(ROWS),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY,
            )
            for _ in range(2)
        ]  # fmt: skip
        for mover in movers:
            assert mover.stdout is not None
            assert await mover.stdout.readline() == b"ready\n"
        ends = await asyncio.gather(*(mover.communicate(b"go\n") for mover in movers))
        assert [mover.returncode for mover in movers] == [0, 0]
        assert sorted(name for out, _ in ends for name in out.decode().split()) == sorted(names)
        assert {(row.state, row.attempts) for row in await ledger.opened()} == {(side.rings, 1)}

    async def test_a_step_that_waited_for_another_process_finds_what_that_one_made(
        self, side: Side, store: Store, elsewhere: Store
    ) -> None:
        ledger = side.ledger(elsewhere.engine)
        row = await side.open_(ledger, "1.1")
        async with writing(store.engine) as connection:
            # The transaction of another process, not committed yet.
            await connection.execute(update(side.table).values(state="cancelled"))
            late = asyncio.create_task(side.move(ledger, row, side.rings))
            await asyncio.sleep(0.3)
            assert not late.done()
        assert await late is None
        assert (await ledger.find("1.1")).state == "cancelled"

    async def test_what_may_be_over_ends_and_stays_over(self, side: Side) -> None:
        for state in side.open:
            seen = {state}
            left = [state]
            while left:
                following = side.allowed[left.pop()] - seen
                seen |= following
                left += following
            assert seen - side.open, f"{state} never ends"
        for state in set(side.states) - side.open:
            assert side.first not in side.allowed[state]
            assert side.rings not in side.allowed[state]

    # --- told ---------------------------------------------------------------------------------------------

    async def test_each_step_is_told_in_its_transaction(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine, self._message)
        row = await side.open_(ledger, "1.1")
        assert await side.open_(ledger, "1.1") is None
        for state in side.way:
            row = await side.move(ledger, row, state)
        assert await side.move(ledger, row, side.rings) is None
        waiting = await Outbox(store.engine, "main").after(0, 100)
        assert [message.payload.decode() for message in waiting] == [
            f'{{"state":"{state}"}}' for state in (side.first, *side.way)
        ]

    async def test_what_cannot_be_told_is_not_done(self, side: Side, store: Store) -> None:
        def fails(_fact: object, _stored_ms: int | None = None, /) -> list[Outgoing]:
            message = "no message of it"
            raise ValueError(message)

        row = await side.open_(side.ledger(store.engine), "1.1")
        silent = side.ledger(store.engine, fails)
        with pytest.raises(ValueError, match="no message of it"):
            await side.move(silent, row, side.rings)
        with pytest.raises(ValueError, match="no message of it"):
            await side.open_(silent, "1.2")
        assert await side.ledger(store.engine).opened() == [row]

    # --- faults -------------------------------------------------------------------------------------------

    async def test_there_is_a_fault_point_before_and_after_each_step(
        self, side: Side, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[str, str | None]] = []
        ledger = side.ledger(store.engine)
        now: str | None = None
        monkeypatch.setattr(faults, "reached", lambda point: seen.append((point, now)))
        row = await side.open_(ledger, "1.1")
        for state in side.way:
            now = state
            row = await side.move(ledger, row, state)
        assert seen == [
            (f"{when}:{side.prefix}{state}", None if state is side.first else state)
            for state in (side.first, *side.way)
            for when in ("before", "after")
        ]

    # --- the do-not-call list -----------------------------------------------------------------------------

    async def test_no_phone_rings_for_a_client_on_the_do_not_call_list(
        self, side: Side, store: Store, elsewhere: Store
    ) -> None:
        ledger = side.ledger(store.engine)
        row = await side.open_(ledger, "1.1")
        other = await side.open_(ledger, "1.2", OTHER)
        await DoNotCall(elsewhere.engine).add([NUMBER], by="cli")
        assert await side.move(ledger, row, side.rings) is None
        assert await side.move(ledger, other, side.rings) is not None
        assert [found.id for found in await ledger.forbidden()] == [row.id]

    async def test_open_rows_of_listed_clients_are_found_and_no_others(
        self, side: Side, store: Store
    ) -> None:
        ledger = side.ledger(store.engine)
        await DoNotCall(store.engine).add([NUMBER], by="cli")
        for state in side.states:
            await self._put(store, side, await side.open_(ledger, f"{state}.1"), state)
            await self._put(store, side, await side.open_(ledger, f"{state}.2", OTHER), state)
            await self._put(store, side, await side.open_(ledger, f"{state}.3", None), state)
        found = [side.call_id(row) for row in await ledger.forbidden()]
        assert sorted(found) == sorted(f"{state}.1" for state in side.open)

    # --- open rows, and final ones ------------------------------------------------------------------------

    async def test_open_rows_are_found(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine)
        for state in side.states:
            await self._put(store, side, await side.open_(ledger, f"{state}.1"), state)
        assert sorted(row.state for row in await ledger.opened()) == sorted(side.open)

    async def test_numbers_go_when_their_time_is_over(self, side: Side, store: Store) -> None:
        ledger = side.ledger(store.engine)
        for call_id, at_ms in (("1.1", NOW), ("1.2", NOW + 1)):
            row = await side.open_(ledger, call_id)
            for state in side.way:
                row = await side.move(ledger, row, state, at_ms)
        await side.open_(ledger, "1.3")
        await ledger.forget_numbers(NOW + 1)
        numbers = [(await ledger.find(call_id)).number for call_id in ("1.1", "1.2", "1.3")]
        assert numbers == [None, NUMBER, NUMBER]

    async def test_a_fence_is_asked_for_until_asterisk_confirms_that_it_is_gone(
        self, side: Side, store: Store
    ) -> None:
        ledger = side.ledger(store.engine)
        rows = []
        for call_id in ("1.1", "1.2", "1.3"):
            row = await side.open_(ledger, call_id)
            for state in side.way:
                row = await side.move(ledger, row, state)
            rows.append(row)
        # No client was rung: this row never had a fence. And open rows need theirs.
        await self._put(store, side, await side.open_(ledger, "1.4"), side.states("cancelled"))
        await side.move(ledger, await side.open_(ledger, "1.5"), side.rings)
        assert [row.id for row in await ledger.kept_until(NOW + 1, limit=20)] == ["1.1", "1.2", "1.3"]
        assert [row.id for row in await ledger.kept_until(NOW + 1, limit=2)] == ["1.1", "1.2"]
        left = await ledger.kept_until(NOW + 1, after="1.1", limit=2)
        assert [row.id for row in left] == ["1.2", "1.3"]
        assert await ledger.kept_until(NOW, limit=20) == []
        await ledger.forget_numbers(NOW + 1)
        await ledger.fence_gone(rows[1], NOW + 5)
        assert [row.id for row in await ledger.kept_until(NOW + 1, limit=20)] == ["1.1", "1.3"]

    # --- helpers ------------------------------------------------------------------------------------------

    @staticmethod
    async def _put(store: Store, side: Side, row: Any, state: Any) -> None:
        """The row as if it had come to this state."""
        table = side.table
        async with writing(store.engine) as connection:
            name = select(table.c.id).where(table.c[f"{side.name}_id"] == row.id).scalar_subquery()
            await connection.execute(update(table).where(table.c.id == name).values(state=state.value))

    @staticmethod
    def _message(fact: Any, _stored_ms: int | None = None, /) -> list[Outgoing]:
        row = fact.callback if isinstance(fact, CallbackMoved) else fact.rating
        return [
            Outgoing(
                site="main",
                message_id=f"{row.id}-{row.state}",
                kind="callback",
                line="support",
                topic="t",
                payload=f'{{"state":"{row.state}"}}'.encode(),
                made_at_ms=NOW,
            )
        ]
