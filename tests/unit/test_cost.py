"""`make cost`: what is counted for whom, and what is said of a machine that does not keep up."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.cost.cpu import Spent, spent, spent_by
from tests.cost.profile import part_of, shares
from tests.cost.result import Cost

TICK = os.sysconf("SC_CLK_TCK")
PACKAGE = "/venv/lib/python3.11/site-packages"
OURS = "/src/daemon/callsteward"

GOOD = Cost(
    rate=25,
    seconds=40,
    calls=1000,
    failed=0,
    records=1000,
    late=0,
    daemon=Spent(3.0, 1.0),
    asterisk_s=8.0,
    broker_s=0.5,
    shares={"store": 0.5, "MQTT": 0.25, "compaction": 0.25},
)


def stat(pid: int, parent: int, own: int, reaped: int, name: str = "a name) with (all") -> str:
    fields = ["S", str(parent), *"0" * 9, str(own), "0", str(reaped), "0", "20"]
    return f"{pid} ({name}) {' '.join(fields)}"


def test_a_process_costs_what_it_and_all_it_has_started_took() -> None:
    stats = [
        stat(1, 0, 900 * TICK, 900 * TICK),
        stat(10, 1, 5 * TICK, 2 * TICK),
        stat(11, 10, 3 * TICK, 1 * TICK),
        stat(12, 11, 4 * TICK, 0),
        stat(20, 1, 7 * TICK, 0),
    ]
    assert spent_by(10, stats) == Spent(5.0, 10.0)
    assert spent_by(20, stats) == Spent(7.0, 0.0)


def test_what_was_spent_between_two_looks() -> None:
    assert Spent(5.0, 4.0).since(Spent(3.0, 1.0)) == Spent(2.0, 3.0)
    assert Spent(5.0, 4.0).all_s == 9.0


def test_this_process_is_seen_and_one_that_is_gone_is_not() -> None:
    assert spent(os.getpid()).own_s > 0
    with pytest.raises(ProcessLookupError):
        spent(2**22 + 1)


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        # The innermost frame of ours decides, and not the library that it calls.
        ([f"run ({OURS}/stream/pump.py:1)", f"_handled ({OURS}/calls/tracker.py:2)"], "tracker"),
        ([f"run ({OURS}/stream/pump.py:1)", f"decode ({OURS}/ari/events.py:2)"], "tracker"),
        ([f"_take ({OURS}/ari/reader.py:1)", f"put ({OURS}/ari/frames.py:2)"], "socket"),
        ([f"deliver ({OURS}/feed/broker_client.py:1)", f"publish ({PACKAGE}/paho/mqtt/client.py:2)"], "MQTT"),
        # The engine serves whoever called it.
        ([f"note ({OURS}/lost/calls.py:1)", f"writing ({OURS}/store/engine.py:2)"], "judges"),
        ([f"remove ({OURS}/store/outbox.py:1)", f"writing ({OURS}/store/engine.py:2)"], "outbox"),
        ([f"save ({OURS}/store/records.py:1)", f"writing ({OURS}/store/engine.py:2)"], "store"),
        ([f"run ({OURS}/journal/disk.py:1)", f"write ({OURS}/journal/compactor.py:2)"], "journal"),
        ([f"run ({OURS}/cli/run.py:1)", f"run ({OURS}/daemon/app.py:2)"], "other parts"),
        # A greenlet does not show who asked.
        ([f"execute ({PACKAGE}/sqlalchemy/engine/base.py:1)"], "store, for whom is not seen"),
        ([f"work ({OURS}/store/sqlite.py:1)"], "store, for whom is not seen"),
        (
            [f"run ({OURS}/cli/run.py:1)", "_run_once (/usr/lib/python3.11/asyncio/base_events.py:2)"],
            "event loop",
        ),
        (["wait (/usr/lib/python3.11/threading.py:1)"], "other parts"),
    ],
)
def test_a_stack_is_counted_for_one_part(frames: list[str], part: str) -> None:
    assert part_of(frames) == part


def test_shares_are_of_all_samples() -> None:
    tracker, mqtt = f"a ({OURS}/calls/talk.py:1)", f"b ({OURS}/feed/mqtt.py:1)"
    assert shares([f"x (y.py:1);{tracker} 2", f"{mqtt} 5", f"{tracker} 1", ""]) == {
        "MQTT": 0.625,
        "tracker": 0.375,
    }
    assert shares([]) == {}


def test_the_parts_are_the_daemons_cost_with_the_processes_it_starts() -> None:
    assert GOOD.parts == {"store": 1.5, "MQTT": 0.75, "compaction": 1.75}
    assert sum(GOOD.parts.values()) == GOOD.of_1000(GOOD.daemon.all_s) == 4.0


def test_the_goal_is_a_quarter_of_asterisk() -> None:
    assert (GOOD.ratio, GOOD.met) == (0.5, False)
    assert replace(GOOD, daemon=Spent(1.5, 0.5)).met


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"calls": 949}, "only 23.7 calls a second were made"),
        ({"failed": 2}, "2 calls failed at the phones"),
        ({"late": 3}, "3 records came later than a second"),
    ],
)
def test_a_rate_that_the_machine_does_not_carry_is_said(changes: dict[str, int], why: str) -> None:
    cost = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert cost.not_carried == why
    assert cost.told()["carried"] is not bool(why)


def test_for_machines_each_figure_has_its_name() -> None:
    told = GOOD.told()
    assert told["daemon_s_per_1000_calls"] == 4.0
    assert told["asterisk_s_per_1000_calls"] == 8.0
    assert told["ratio"] == 0.5
    assert told["daemon"] == {"own_s": 3.0, "children_s": 1.0}
    assert replace(GOOD, records=990).lost == 10
