"""The ledger: one row per call, one winner per step, and on disk before the act."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from callsteward import faults
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import ALLOWED, FINAL, OPEN, CallbackRow, CallbackState
from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, Decision
from tests.unit.cycles import left_in_cycles
from tests.unit.store.samples import RECORD

NOW = 1_795_348_800_000
NUMBER = "+79031234567"
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


async def opened(
    ledger: CallbackLedger, call_id: str = "1.1", at_ms: int = NOW, line: str = "support"
) -> CallbackRow:
    record = msgspec.structs.replace(RECORD, call_id=call_id, line=line)
    callback = await ledger.open(record, DUE, number=NUMBER, dropped_ms=at_ms - 1000, at_ms=at_ms)
    assert callback is not None
    return callback


async def moved(ledger: CallbackLedger, callback: CallbackRow, *states: CallbackState) -> CallbackRow:
    for state in states:
        after = await ledger.move(callback, state, actor=Actor.DAEMON, at_ms=NOW, asked="101", channel_id="c")
        assert after is not None
        callback = after
    return callback


async def test_a_call_has_one_row_however_often_it_ends(ledger):
    await opened(ledger)
    assert await ledger.open(RECORD_1, DUE, number=NUMBER, dropped_ms=NOW, at_ms=NOW + 5) is None
    assert len(await ledger.listed()) == 1
    assert await ledger.decided("1.1") == DUE
    assert await ledger.decided("1.2") is None


RECORD_1 = msgspec.structs.replace(RECORD, call_id="1.1")


async def test_a_hundred_at_once_make_one_row(ledger):
    tries = (ledger.open(RECORD_1, DUE, number=NUMBER, dropped_ms=NOW, at_ms=NOW) for _ in range(100))
    won = [row for row in await asyncio.gather(*tries) if row is not None]
    assert len(won) == 1


async def test_the_whole_way_is_told_with_time_actor_and_evidence(ledger):
    callback = await opened(ledger)
    callback = await moved(ledger, callback, CallbackState.OFFERED)
    assert (callback.attempts, callback.asked, callback.channel_id) == (1, "101", "c")
    callback = await moved(ledger, callback, CallbackState.OPERATOR_ANSWERED, CallbackState.DIALLING)
    done = await ledger.move(
        callback,
        CallbackState.REACHED,
        actor=Actor.ASTERISK,
        at_ms=NOW + 9,
        reason="answered",
        evidence="Dial ANSWER",
    )
    assert done is not None
    assert done.state is CallbackState.REACHED
    story = await ledger.story(done)
    assert [step.state for step in story] == [
        CallbackState.DUE,
        CallbackState.OFFERED,
        CallbackState.OPERATOR_ANSWERED,
        CallbackState.DIALLING,
        CallbackState.REACHED,
    ]
    assert [step.from_state for step in story[1:]] == [step.state for step in story[:-1]]
    assert story[0].evidence == "hangup client; bye"
    assert (story[-1].at_ms, story[-1].actor, story[-1].operator) == (NOW + 9, Actor.ASTERISK, "101")
    assert await ledger.opened() == []


@pytest.mark.parametrize(
    "final", [CallbackState.REACHED, CallbackState.NOT_REACHED, CallbackState.SUPPRESSED]
)
async def test_a_final_state_stays(ledger, final):
    callback = await opened(ledger)
    if final is CallbackState.SUPPRESSED:
        callback = await moved(ledger, callback, final)
    else:
        callback = await moved(ledger, callback, CallbackState.OFFERED, CallbackState.DIALLING, final)
    for state in CallbackState:
        assert await ledger.move(callback, state, actor=Actor.ADMIN, at_ms=NOW) is None
    assert (await ledger.find("1.1")) == callback


async def test_two_who_race_get_one_winner(ledger):
    callback = await opened(ledger)
    steps = (
        ledger.move(callback, state, actor=Actor.DAEMON, at_ms=NOW, among={CallbackState.DUE})
        for state in (CallbackState.OFFERED, CallbackState.CANCELLED) * 20
    )
    assert sum(after is not None for after in await asyncio.gather(*steps)) == 1


async def test_dialling_is_never_followed_by_another_offer(ledger):
    callback = await moved(ledger, await opened(ledger), CallbackState.OFFERED, CallbackState.DIALLING)
    for state in (
        CallbackState.DUE,
        CallbackState.OFFERED,
        CallbackState.CANCELLED,
        CallbackState.EXPIRED,
        CallbackState.SUPPRESSED,
    ):
        assert await ledger.move(callback, state, actor=Actor.DAEMON, at_ms=NOW) is None


def test_every_open_state_can_end_and_no_final_one_opens_again():
    def reachable(state: CallbackState) -> set[CallbackState]:
        seen: set[CallbackState] = set()
        left = [state]
        while left:
            for following in ALLOWED[left.pop()] - seen:
                seen.add(following)
                left.append(following)
        return seen

    for state in OPEN:
        assert reachable(state) & FINAL
    for state in FINAL:
        assert not reachable(state) & {
            CallbackState.DUE,
            CallbackState.OFFERED,
            CallbackState.OPERATOR_ANSWERED,
        }
    assert set(CallbackState) == OPEN | FINAL


async def test_limits_count_callbacks_that_were_dialled_or_may_be(ledger):
    await opened(ledger, "1.1", NOW - DAY_MS - 1)
    await opened(ledger, "1.2", NOW - DAY_MS + 1)
    await opened(ledger, "1.3", NOW - HOUR_MS + 1)
    await moved(ledger, await opened(ledger, "1.4"), CallbackState.CANCELLED)
    await moved(ledger, await opened(ledger, "1.5"), CallbackState.SUPPRESSED)
    await opened(ledger, "1.6", line="sales")
    assert await ledger.counts(NUMBER, "support", NOW) == (3, 1)
    assert await ledger.counts("+79000000001", "sales", NOW) == (0, 1)


async def test_the_newest_comes_first(ledger):
    for index in range(3):
        await opened(ledger, f"1.{index}", NOW + index)
    assert [callback.origin_call_id for callback in await ledger.opened()] == ["1.2", "1.1", "1.0"]


async def test_sites_that_share_a_database_do_not_share_callbacks(ledger, store):
    other = CallbackLedger(store.engine, "other")
    await opened(ledger)
    await opened(other)
    assert len(await ledger.listed()) == len(await other.listed()) == 1
    mine = await ledger.find("1.1")
    assert mine is not None
    await moved(ledger, mine, CallbackState.CANCELLED)
    assert len(await other.opened()) == 1


async def test_numbers_are_forgotten_when_their_time_is_over(ledger):
    await moved(ledger, await opened(ledger), CallbackState.CANCELLED)
    await opened(ledger, "1.2")
    await ledger.forget_numbers(NOW + 1)
    assert [callback.number for callback in await ledger.listed()] == [NUMBER, None]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_step_is_on_disk_when_it_returns(ledger, tmp_path):
    await opened(ledger)
    with sqlite3.connect(tmp_path / "calls.db") as other:
        assert other.execute("SELECT state FROM callbacks").fetchall() == [("due",)]
    other.close()


async def test_do_not_call_knows_a_number_by_its_digits(store):
    dnc = DoNotCall(store.engine)
    assert await dnc.add([NUMBER, NUMBER, "+79000000001"], by="admin", comment="asked") == 2
    assert await dnc.add([NUMBER], by="somebody") == 0
    assert await dnc.has(NUMBER)
    assert {item.number: item.added_by for item in await dnc.listed()}[NUMBER] == "admin"
    assert await dnc.remove(NUMBER)
    assert not await dnc.remove(NUMBER)
    assert not await dnc.has(NUMBER)
    assert await dnc.add([], by="x") == 0


def test_a_fault_point_does_nothing_unless_the_environment_names_it(tmp_path):
    code = "from callsteward import faults; faults.reached('after:offered'); print('alive')"

    def run(armed: str | None, file: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        env = {key: value for key, value in os.environ.items() if key != faults.VARIABLE}
        if armed is not None:
            env[faults.VARIABLE] = armed
        if file is not None:
            env[faults.FILE_VARIABLE] = str(file)
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)

    assert run(None).stdout == b"alive\n"
    assert run("after:due").stdout == b"alive\n"
    assert run("after:offered").returncode == -9
    assert run("after:offered", tmp_path / "armed").stdout == b"alive\n"
    (tmp_path / "armed").touch()
    assert run("after:offered", tmp_path / "armed").returncode == -9
    assert len(set(faults.points(CallbackState))) == 34
    assert all(left != right for left, right in pairwise(faults.points(CallbackState)))


async def test_a_callback_leaves_nothing_for_the_garbage_collector(ledger):
    async def call_back(number: int) -> None:
        await moved(ledger, await opened(ledger, f"1.{number}"), CallbackState.OFFERED, CallbackState.DUE)
        await ledger.counts(NUMBER, "support", NOW)
        await ledger.opened()

    assert await left_in_cycles(call_back) < 1
