"""Every message arrives, whatever is killed: a real Mosquitto with TLS and passwords, the real daemon.

2,000 recorded calls; broker and daemon are each killed ten times in the midst of them. The same as
`make delivery`, which tells how it is done.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.delivery import measure

pytestmark = pytest.mark.live

CALLS = 2_000
KILLS = 10


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_every_record_arrives_though_broker_and_daemon_are_killed_ten_times(
    root_22: Path, version: str
) -> None:
    figures = asyncio.run(measure(version, CALLS, KILLS))
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
