"""Every message arrives, whatever is killed: a real Mosquitto with TLS and passwords, the real daemon.

2,000 recorded calls; broker and daemon are each killed ten times in the midst of them. The same as
`make delivery`, which tells how it is done.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.delivery import measure
from tests.lab.postgresql import PostgreSql

pytestmark = [pytest.mark.live, pytest.mark.takes(300)]

CALLS = 2_000
KILLS = 10


@pytest.mark.parametrize(("version", "engine"), [("3.1.1", "sqlite"), ("5", "postgresql")])
def test_every_record_arrives_though_broker_and_daemon_are_killed_ten_times(
    root_22: Path, postgresql: PostgreSql, version: str, engine: str
) -> None:
    store = "" if engine == "sqlite" else postgresql.new_database("delivery")
    figures = asyncio.run(measure(version, CALLS, KILLS, store=store))
    print(figures)
    assert (figures.broker_kills, figures.daemon_kills) == (KILLS, KILLS)
    assert figures.boots == KILLS + 1
    assert figures.stored == figures.arrived == CALLS
    assert figures.callbacks == figures.callbacks_arrived > 0
    assert figures.missing == []
    assert figures.unknown == []
    assert figures.order_errors == []
    assert figures.sequence_errors == []
    assert figures.left == 0
    assert figures.announced == set()


@pytest.mark.parametrize(("version", "mode"), [("3.1.1", "structured"), ("5", "structured"), ("5", "binary")])
def test_as_cloud_events_and_announced_to_home_assistant_it_is_the_same(
    root_22: Path, version: str, mode: str
) -> None:
    figures = asyncio.run(measure(version, 300, 3, cloudevents=mode, discovery_prefix="homeassistant"))
    print(figures)
    assert (figures.broker_kills, figures.daemon_kills) == (3, 3)
    assert figures.stored == figures.arrived == 300
    assert figures.callbacks == figures.callbacks_arrived > 0
    assert figures.missing == figures.unknown == []
    assert figures.order_errors == figures.sequence_errors == []
    assert figures.left == 0
    # Three lines with eleven entities, the daemon with four.
    assert len(figures.announced) == 3 * 11 + 4
    assert {topic.split("/")[2] for topic in figures.announced} == {"callsteward_main"}
