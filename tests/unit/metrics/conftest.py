"""The metrics of a daemon that is in the middle of things."""

import time

import pytest

from callsteward.config import Config, Line
from callsteward.health import Counters, FeedState, Health, OutboxState, Readings
from callsteward.metrics.scrape import Metrics


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def metrics(counters: Counters) -> Metrics:
    config = Config(lines=(Line(name="support"), Line(name="sales")))
    readings = Readings(
        counters=counters,
        asterisk=lambda: (True, ""),
        feed=lambda: FeedState(
            False, 3, {"record": 2, "event": 0}, OutboxState(5, 600, 1000, time.time_ns() // 1_000_000 - 7000)
        ),
        open_calls=lambda: 4,
        event_lag_s=lambda: 0.25,
        frames_waiting=lambda: 17,
        journal_bytes=lambda: 1234,
        health=Health,
        tasks=lambda: 9,
    )
    return Metrics(config, readings)
