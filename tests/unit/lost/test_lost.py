"""Lost calls: listed until their client has been spoken to, counted for the gauges."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.lost.calls import LostCalls
from callsteward.lost.feature import LostFeature
from callsteward.lost.part import LostPart
from callsteward.network.waiting import cancelled
from callsteward.record.call import CallRecord, Direction, Outcome
from callsteward.record.facts import CallEnded, LineNow
from callsteward.store.direct import flush
from callsteward.store.records import Store
from callsteward.store.tables import lost_calls, lost_calls_settled
from callsteward.testing import StandIn
from tests.unit.cycles import left_in_cycles
from tests.unit.store.samples import RECORD

MARIA, IVAN = "+7 903 123-45-67", "89000000001"


def call(call_id: str, minute: int, outcome: Outcome, **more: Any) -> CallRecord:
    values: dict[str, Any] = {
        "call_id": call_id,
        "client_ref": None,
        "outcome": outcome,
        "started_at": f"2026-11-22T08:{minute:02d}:00.000Z",
        "ended_at": f"2026-11-22T08:{minute:02d}:30.000Z",
    }
    return msgspec.structs.replace(RECORD, **(values | more))


class Hotline:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.site = StandIn(store, Config(), [LostFeature()])
        part = self.site.part(LostPart)
        self.lost, self.counts = part.lost, part.counts

    @property
    def changes(self) -> int:
        return self.site.changes

    async def ends(self, record: CallRecord, number: str = MARIA) -> None:
        await self.counts.judge([CallEnded(record, number)])
        await self.store.save([record])

    async def listed(self) -> list[str]:
        return [record.call_id for record in await self.lost.listed()]

    async def shown(self, *lines: LineNow) -> dict[str, int]:
        await self.counts.count()
        return {line.line: line.lost for line in self.counts.on(lines)}


@pytest.fixture
def hotline(store: Store) -> Hotline:
    return Hotline(store)


@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.OUTBOUND, Direction.CALLBACK])
async def test_a_talk_settles_the_lost_calls_of_the_same_number_without_any_key(hotline, direction):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    await hotline.ends(call("2", 1, Outcome.BUSY), IVAN)
    await hotline.ends(call("3", 2, Outcome.COMPLETED, direction=direction), "79031234567")
    assert await hotline.listed() == ["2"]


@pytest.mark.parametrize(
    ("outcome", "direction"),
    [
        (Outcome.EARLY_DROP, Direction.INBOUND),
        (Outcome.NO_ANSWER, Direction.OUTBOUND),
        (Outcome.COMPLETED, Direction.INTERNAL),
        (Outcome.COMPLETED, Direction.RATING),
    ],
)
async def test_a_client_who_was_not_spoken_to_stays_listed(hotline, outcome, direction):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    await hotline.ends(call("2", 1, outcome, direction=direction))
    assert await hotline.listed() == ["1"]


async def test_an_earlier_talk_settles_nothing(hotline):
    await hotline.ends(call("1", 5, Outcome.ABANDONED))
    await hotline.ends(call("2", 1, Outcome.COMPLETED))
    assert await hotline.listed() == ["1"]


async def test_clients_without_a_number_are_not_one_client(hotline):
    await hotline.ends(call("1", 0, Outcome.ABANDONED), "anonymous")
    await hotline.ends(call("2", 1, Outcome.COMPLETED), "anonymous")
    assert await hotline.listed() == ["1"]


async def test_the_number_is_gone_with_the_row(hotline):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    await hotline.ends(call("2", 1, Outcome.COMPLETED))
    async with hotline.store.engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT count(*) FROM lost_calls")).scalar_one()
        (settled,) = (await connection.exec_driver_sql("SELECT * FROM lost_calls_settled")).mappings()
    assert rows == 0
    assert (settled["call_id"], settled["settled_by"], settled["comment"]) == ("1", "talk", "call 2")


async def test_a_journal_that_is_run_again_lists_nothing_twice_and_nothing_settled(hotline):
    for _ in range(2):
        await hotline.ends(call("1", 0, Outcome.ABANDONED))
        await hotline.ends(call("2", 1, Outcome.COMPLETED))
        await hotline.ends(call("3", 2, Outcome.NO_ANSWER))
    assert await hotline.listed() == ["3"]
    assert await hotline.lost.settle("3", by="admin", comment="wrote")
    await hotline.ends(call("3", 2, Outcome.NO_ANSWER))
    assert await hotline.listed() == []
    assert not await hotline.lost.settle("3", by="admin", comment="again")


async def test_the_gauge_counts_by_line_and_lasts_over_a_restart(hotline, store):
    await hotline.ends(call("1", 0, Outcome.ABANDONED, line="support"))
    await hotline.ends(call("2", 1, Outcome.ABANDONED, line="support"), IVAN)
    await hotline.ends(call("3", 2, Outcome.BUSY, line="sales"), IVAN)
    again = Hotline(store)
    busy = LineNow(line="support", waiting=1)
    assert await again.shown(busy, LineNow(line="quiet")) == {"support": 2, "quiet": 0, "sales": 1}
    (first, *_) = again.counts.on([busy])
    assert (first.waiting, busy.lost) == (1, 0)
    assert again.changes == 1
    # Somebody settles one in another process.
    assert await LostCalls(store.engine, "main").settle("1", by="admin", comment="e-mail")
    assert await again.shown() == {"support": 1, "sales": 1}
    assert again.changes == 2


async def test_another_site_in_the_same_database_has_a_list_of_its_own(hotline, store):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    other = LostCalls(store.engine, "other")
    assert (await other.counts(), await other.settle("1", by="x", comment="x")) == ({}, False)


async def test_numbers_past_the_retention_are_forgotten_and_the_call_stays_listed(hotline):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    await hotline.lost.forget_numbers(2_000_000_000_000)
    await hotline.ends(call("2", 1, Outcome.COMPLETED))
    assert await hotline.listed() == ["1"]


async def test_the_watch_counts_at_once_and_outlives_a_store_that_fails(hotline, monkeypatch):
    count = hotline.lost.counts
    failures = 0

    async def failing() -> dict[str, int]:
        nonlocal failures
        failures += 1
        message = "cannot read the database"
        raise StoreError(message)

    monkeypatch.setattr(hotline.lost, "counts", failing)
    task = asyncio.create_task(hotline.counts.run())
    async with asyncio.timeout(60):
        while not failures:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert failures == 1
    monkeypatch.setattr(hotline.lost, "counts", count)
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    async with asyncio.timeout(60):
        while not hotline.changes:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert [line.lost for line in hotline.counts.on([])] == [1]
    await cancelled(task)


async def _left(store: Store, site: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The calls on a site's list, and the settled calls, each with the call that settled it."""
    async with store.engine.connect() as connection:
        listed = select(lost_calls.c.call_id).where(lost_calls.c.site == site).order_by(lost_calls.c.id)
        settled = select(lost_calls_settled.c.call_id, lost_calls_settled.c.comment)
        settled = settled.where(lost_calls_settled.c.site == site).order_by(lost_calls_settled.c.call_id)
        return list((await connection.execute(listed)).scalars()), [
            (row.call_id, row.comment) for row in await connection.execute(settled)
        ]


@pytest.mark.parametrize("seed", range(10))
async def test_calls_that_end_together_leave_the_same_list_as_one_by_one(store, seed):
    chance = random.Random(seed)
    outcomes = [Outcome.ABANDONED, Outcome.NO_ANSWER, Outcome.COMPLETED, Outcome.MID_DIALOGUE_DROP]
    facts = []
    for _ in range(60):
        record = call(
            str(chance.randrange(40)),
            chance.randrange(60),
            chance.choice(outcomes),
            client_ref=chance.choice([None, None, "ref1", "ref2"]),
        )
        facts.append(CallEnded(record, chance.choice([MARIA, IVAN, "", "+79000000003"])))
    singly, together = LostCalls(store.engine, "singly"), LostCalls(store.engine, "together")
    rest = list(facts)
    while rest:
        count = chance.randrange(1, 9)
        batch, rest = rest[:count], rest[count:]
        for fact in batch:
            singly.note([fact], lambda number: number or None)
            await flush(store.engine)
        together.note(batch, lambda number: number or None)
        await flush(store.engine)
    left = await _left(store, "together")
    assert left == await _left(store, "singly")
    assert left[0]
    assert left[1]


async def test_ended_calls_leave_nothing_for_the_garbage_collector(store):
    lost = LostCalls(store.engine, "main")

    async def note(number: int) -> None:
        outcome = Outcome.COMPLETED if number % 5 else Outcome.ABANDONED
        record = call(str(number), number % 60, outcome, client_ref=f"ref{number % 7}")
        lost.note([CallEnded(record, MARIA)], lambda number: number)
        await flush(store.engine)

    assert await left_in_cycles(note) < 1


@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.OUTBOUND, Direction.CALLBACK])
@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.EARLY_DROP])
async def test_a_client_who_waited_in_vain_after_a_talk_is_listed_until_spoken_to(
    hotline, direction, outcome
):
    left = call("1", 0, outcome, direction=direction, left_waiting_s=7.0)
    for _ in range(2):
        await hotline.ends(left)
        assert await hotline.listed() == ["1"]
    await hotline.ends(call("2", 1, Outcome.COMPLETED))
    assert await hotline.listed() == []
    # A journal that is run again.
    await hotline.ends(left)
    assert await hotline.listed() == []


async def test_a_talk_settles_earlier_lost_calls_but_not_the_wait_after_it(hotline):
    await hotline.ends(call("1", 0, Outcome.ABANDONED))
    await hotline.ends(call("2", 1, Outcome.COMPLETED, left_waiting_s=7.0))
    assert await hotline.listed() == ["2"]


async def test_waiting_colleagues_are_no_clients(hotline):
    await hotline.ends(call("1", 0, Outcome.COMPLETED, direction=Direction.INTERNAL, left_waiting_s=7.0))
    assert await hotline.listed() == []
