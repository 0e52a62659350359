"""The soak's judge: it lets a clean soak pass, and refuses each thing that a soak is there to find."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.soak.result import Soaked, memory_slope, warm
from tests.soak.slope import Slope, slope
from tests.soak.vitals import Held, Sample

CALLS = frozenset(f"1795334363.{number}" for number in range(0, 2000, 2))
SOME_CALL = "1795334363.100"


def samples(
    seconds: int, mib: Callable[[float], float], *, descriptors: int = 18, threads: int = 9
) -> tuple[Sample, ...]:
    return tuple(Sample(1000.0 + at, mib(at), descriptors, threads, 0.2 * at) for at in range(seconds))


def noisy(mib_a_minute: float, noise_mib: float = 0.2) -> Callable[[float], float]:
    dice = random.Random(6)
    return lambda at: 100 + mib_a_minute * at / 60 + dice.uniform(-noise_mib, noise_mib)


CLEAN = Soaked(
    rate=20,
    seconds=90,
    placed=len(CALLS),
    failed=0,
    calls=CALLS,
    records=Counter(CALLS),
    messages=Counter(CALLS),
    incomplete=0,
    open_calls=0,
    journal_bytes=0,
    warm_s=1030,
    samples=samples(90, noisy(0.3)),
    held=(Held(tasks=14, descriptors=10), Held(tasks=14, descriptors=10)),
    outcomes=Counter(completed=len(CALLS)),
)


def but(**changes: Any) -> list[str]:
    """The mistakes in a soak that is clean but for these changes."""
    return dataclasses.replace(CLEAN, **changes).faults()


def test_a_clean_soak_passes() -> None:
    assert CLEAN.faults() == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"samples": samples(90, noisy(3))}, "memory grows by 3."),
        ({"samples": samples(90, noisy(1.5, noise_mib=0.05))}, "memory grows by 1."),
        ({"samples": samples(90, lambda _at: float("nan"))}, "memory grows by nan"),
        ({"held": (Held(14, 10), Held(15, 10))}, "tasks: 14 before the calls, 15 after"),
        ({"held": (Held(14, 10), Held(14, 11))}, "descriptors: 10 before the calls, 11 after"),
        (
            {"samples": (*samples(89, noisy(0)), Sample(1089.0, 100, 22, 9, 1))},
            "descriptors: 18 after the warm-up, 22 at the end",
        ),
        (
            {"samples": (*samples(89, noisy(0)), Sample(1089.0, 100, 18, 13, 1))},
            "threads: 9 after the warm-up, 13 at the end",
        ),
        ({"records": Counter(CALLS - {SOME_CALL})}, "records: 1 of 1000 calls are lost"),
        ({"records": Counter(CALLS) + Counter([SOME_CALL])}, "records: 1 calls stand twice"),
        ({"records": Counter(CALLS | {"1.1"})}, "records: 1 of no call in the CDR"),
        ({"messages": Counter(CALLS - {SOME_CALL})}, "messages: 1 of 1000 calls are lost"),
        ({"messages": Counter(CALLS) + Counter([SOME_CALL])}, "messages: 1 calls stand twice"),
        ({"placed": len(CALLS) + 1}, "1001 calls were placed, 1000 stand in the CDR"),
        ({"failed": 2}, "2 of 1000 calls failed"),
        ({"incomplete": 1}, "1 records are incomplete"),
        ({"open_calls": 1}, "1 calls are still open"),
        ({"journal_bytes": 80}, "the journal still has 80 bytes"),
    ],
)
def test_each_thing_a_soak_is_there_to_find_is_refused(changes: dict[str, Any], fault: str) -> None:
    (said,) = but(**changes)
    assert said.startswith(fault)


def test_a_soak_without_a_call_shows_nothing() -> None:
    assert "no call was placed" in but(placed=0, calls=frozenset(), records=Counter(), messages=Counter())


def test_what_fills_up_in_the_warm_up_is_not_a_slope() -> None:
    filling = samples(90, lambda at: 80 + min(at, 30))
    assert memory_slope(filling).per_minute > 5
    assert memory_slope(warm(filling, 1030)).per_minute == 0
    assert but(samples=filling) == []


def test_the_slope_is_least_squares() -> None:
    line = slope([(at, 5 + at / 30) for at in range(0, 90, 7)])
    assert line.per_minute == pytest.approx(2)
    assert line.margin == pytest.approx(0, abs=1e-9)


def test_the_margin_holds_what_it_promises() -> None:
    dice = random.Random(1)
    outside = 0
    for _ in range(400):
        # What one second says is much what the second before said.
        level, series = 0.0, []
        for at in range(120):
            level = 0.6 * level + dice.gauss(0, 0.1)
            series.append((float(at), 100 + 2 * at / 60 + level))
        found = slope(series)
        outside += abs(found.per_minute - 2) > found.margin
    assert 4 <= outside <= 40


@pytest.mark.parametrize(
    ("mib", "under"),
    [
        (noisy(0), True),
        (noisy(4), False),
        # One step in the middle, which is under the limit a minute and may be the first of many.
        (lambda at: 100.0 + (at > 30) * 0.6, False),
    ],
)
def test_a_minute_says_when_it_cannot_tell(mib: Callable[[float], float], under: bool) -> None:
    assert memory_slope(samples(60, mib)).surely_under(1.0) is under


def test_too_few_samples_are_sure_of_nothing() -> None:
    assert not slope([(0.0, 1.0), (1.0, 1.0), (11.0, 1.0)]).surely_under(1.0)
    assert not Slope(float("nan"), 0.1).surely_under(1.0)
