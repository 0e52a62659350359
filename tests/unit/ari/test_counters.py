"""Counters by names from outside are bounded."""

from __future__ import annotations

from callsteward.health import LONGEST_TYPE, MOST_TYPES, Counters


def test_no_end_of_types_is_no_end_of_memory() -> None:
    counters = Counters()
    counters.count_unknown("ChannelVarset")
    for number in range(3 * MOST_TYPES):
        counters.count_unknown(f"{number:04}" * 1_000)
    counters.count_unknown("ChannelVarset")
    assert counters.unknown.total() == 3 * MOST_TYPES + 2
    assert counters.unknown["ChannelVarset"] == 2
    assert counters.unknown["other"] == 2 * MOST_TYPES + 1
    assert len(counters.unknown) == MOST_TYPES + 1
    assert max(map(len, counters.unknown)) == LONGEST_TYPE


def test_of_many_malformed_frames_a_few_are_logged() -> None:
    counters = Counters()
    assert sum(counters.count_malformed() for _ in range(5_000)) == 10 + 5
    assert counters.malformed == 5_000
