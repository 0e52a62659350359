"""Open work, counted by kind, for as long as the database answers."""

from __future__ import annotations

import asyncio

import msgspec

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, Decision, Outcome
from callsteward.record.facts import CallEnded
from callsteward.status.work import open_work
from callsteward.store.direct import flush
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD

AT_MS = 1_795_314_131_654
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


async def test_each_kind_is_counted(store: Store) -> None:
    ledger = CallbackLedger(store.engine, "main")
    for call_id in ("1.1", "1.2", "1.3"):
        record = msgspec.structs.replace(RECORD, call_id=call_id)
        callback = await ledger.open(
            record, DUE, number=f"+7903123456{call_id[-1]}", dropped_ms=AT_MS, at_ms=AT_MS
        )
        assert callback is not None
        if call_id == "1.1":
            await ledger.move(callback, CallbackState.OFFERED, actor=Actor.DAEMON, at_ms=AT_MS, asked="101")
        if call_id == "1.2":
            await ledger.move(callback, CallbackState.CANCELLED, actor=Actor.ADMIN, at_ms=AT_MS)
    lost = msgspec.structs.replace(
        RECORD, call_id="2.1", outcome=Outcome.ABANDONED, answered_at=None, operator=None, line="support"
    )
    LostCalls(store.engine, "main").note([CallEnded(lost, "+79031234567")], lambda number: number)
    await flush(store.engine)
    assert await open_work(store.engine, "main") == {
        "callbacks": {"offered": 1, "due": 1},
        "ratings": {},
        "lost": {"support": 1},
        "complaints": {},
    }
    assert await open_work(store.engine, "elsewhere") == {
        "callbacks": {},
        "ratings": {},
        "lost": {},
        "complaints": {},
    }


async def test_a_database_that_cannot_be_read_is_no_work_known(store: Store) -> None:
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE callbacks RENAME TO gone")
    assert await open_work(store.engine, "main") is None


async def test_a_database_that_hangs_is_not_waited_for(store: Store) -> None:
    assert await asyncio.wait_for(open_work(store.engine, "main", within_s=0), 60) is None
