"""A clock that was set shows in the stamps; an event that is late, or out of order, does not look like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.ari.clock_jumps import ALONE_MS, PENDING_S, SETTLED_S, ClockJumps

NOON = 1_795_348_800_000
HOUR = 3_600_000


class Link:
    """Events that arrive when they are stamped, or late; time.monotonic() shows 0 at noon."""

    def __init__(self, settled: bool = True) -> None:
        self.jumps = ClockJumps()
        self.jumps.linked(-SETTLED_S)
        self.ahead_ms = 0
        self.found: list[int] = []
        if settled:
            self.event(-SETTLED_S)

    def event(self, second: float, late_s: float = 0.0) -> int:
        found = self.jumps.take(NOON + self.ahead_ms + round(second * 1000), second + late_s)
        if found:
            self.found.append(found)
        return found

    def machine(self, by_ms: int, *, asterisk: bool = True) -> None:
        self.jumps.machine_set(by_ms)
        if asterisk:
            self.ahead_ms += by_ms


@pytest.mark.parametrize("by_ms", [HOUR, -HOUR, 2_000, -2_000])
@pytest.mark.parametrize("idle_s", [0.1, 30, 7_200])
def test_a_machine_that_is_set_says_by_how_much(by_ms: int, idle_s: float) -> None:
    link = Link(settled=False)
    link.event(0)
    link.event(1)
    link.machine(by_ms)
    assert link.event(1 + idle_s) == by_ms
    assert [link.event(2 + idle_s), link.event(100 + idle_s)] == [0, 0]
    assert not link.jumps.pending


def test_late_events_from_before_the_step_are_recognised() -> None:
    link = Link()
    link.event(0)
    link.jumps.machine_set(HOUR)
    assert link.event(1, late_s=0.2) == 0
    link.ahead_ms = HOUR
    assert link.event(1.1) == HOUR
    link.jumps.machine_set(-HOUR)
    assert link.event(1.2, late_s=0.2) == 0
    link.ahead_ms = 0
    assert link.event(1.3) == -HOUR


def test_an_asterisk_on_another_machine_is_not_set_with_ours() -> None:
    link = Link()
    link.event(0)
    link.machine(HOUR, asterisk=False)
    link.event(1)
    assert link.jumps.pending
    link.event(2 + PENDING_S)
    assert not link.jumps.pending
    assert link.found == []


@pytest.mark.parametrize("by_ms", [HOUR, -HOUR, 2 * ALONE_MS])
def test_another_machine_that_is_set_shows_in_the_stamps_alone(by_ms: int) -> None:
    link = Link()
    link.event(0)
    link.event(1)
    link.ahead_ms = by_ms
    assert link.event(2) == by_ms
    assert link.event(3) == 0


def test_late_events_on_a_new_link_are_no_jump() -> None:
    """Kept for a daemon that was away, and delivered faster than time goes."""
    link = Link(settled=False)
    link.jumps.linked(599)
    for second in range(0, 600, 20):
        link.event(second, late_s=600 - second + second / 600)
    link.event(601)
    assert link.found == []


def test_nothing_to_compare_with_is_no_jump() -> None:
    link = Link(settled=False)
    link.jumps.machine_set(HOUR)
    assert link.event(0) == 0
    assert not link.jumps.pending
    link.jumps.machine_set(HOUR)
    link.jumps.forget()
    link.ahead_ms = -HOUR
    assert link.event(1) == 0


def test_a_look_changes_nothing() -> None:
    link = Link()
    link.event(0)
    assert link.jumps.look(NOON + 1000 + HOUR, 1.0) == HOUR
    assert link.jumps.look(NOON + 1000 + HOUR, 1.0) == HOUR
    assert link.event(1) == 0


@given(
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 120), st.floats(-0.5, 0)), min_size=1, max_size=60),
    st.booleans(),
)
def test_late_and_inverted_events_are_never_taken_for_a_clock_that_was_set(
    steps: list[tuple[float, float, float]], settled: bool
) -> None:
    """Each a while after the one before, at most so late, stamped up to half a second before its turn."""
    link = Link(settled=settled)
    link.event(0)
    second, arrived = 0.0, 0.0
    for after_s, late_s, inverted_s in steps:
        second += after_s
        arrived = max(arrived, second + late_s)
        link.event(second + inverted_s, late_s=arrived - second - inverted_s)
    assert link.found == []
