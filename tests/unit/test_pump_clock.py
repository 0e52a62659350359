"""A clock that is set while calls are on: a mark before the first event by it, and spans that stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsteward.ari.events import timestamp
from callsteward.ari.marks import clock_set
from tests.unit.calls.stream import NOON, Stream
from tests.unit.pump_site import Site

HOUR = 3_600_000


@pytest.mark.parametrize("by_ms", [HOUR, -HOUR])
@pytest.mark.parametrize("at_once", [1, 100])
async def test_a_clock_set_during_a_talk_changes_no_span_of_its_record(
    tmp_path: Path, by_ms: int, at_once: int
) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    client, phone = s.talk()
    s.at(10)
    s.hold(phone)
    await site.arrive(s)
    site.wall_s += by_ms / 1000
    s.at(15)
    s.unhold(phone)
    await site.arrive(s, by_ms, at_once=at_once)
    assert site.clock.now_ms(1015.0) == NOON + 15_000 + by_ms
    s.at(20)
    s.bye(client)
    await site.arrive(s, by_ms, at_once=at_once)
    (record,) = site.records
    assert (record.duration_s, record.talk_s, record.hold_s) == (20.0, 13.0, 5.0)
    assert record.complete
    assert site.counters.clock_steps == 0


async def test_a_step_within_a_batch_is_found_without_the_machines_clock(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    s.incoming()
    s.at(100)
    client, _ = s.talk(number="79000000001")
    await site.arrive(s)
    s.at(140)
    s.speak(client, 1)
    old = s._frames
    s.unseen()
    s.at(150)
    s.bye(client)
    new = [(ms, frame | {"timestamp": timestamp(ms + HOUR)}) for ms, frame in s._frames]
    s._frames = [*old, *new]
    batch = [(frame, 1000 + (ms - NOON) / 1000) for (ms, _), frame in zip(s._frames, s.frames(), strict=True)]
    await site.pump._work(batch)
    (record,) = site.records
    assert (record.duration_s, record.talk_s) == (50.0, 48.0)
    assert site.counters.clock_steps == 1
    assert clock_set(HOUR) in (tmp_path / "j").read_bytes().splitlines()


async def test_a_daemon_that_was_killed_after_it_goes_on_in_the_new_time(tmp_path: Path) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    client, _ = s.talk()
    await site.arrive(s)
    site.wall_s = 3600.0
    s.at(10)
    s.speak(client, 1)
    await site.arrive(s, HOUR)
    site.journal.close()
    again = Site(tmp_path / "j")
    await again.pump.rerun()
    assert again.tracker.last_event_ms == site.tracker.last_event_ms
    assert again.tracker.open_since_ms == NOON + HOUR
    s.at(20)
    s.bye(client)
    await again.arrive(s, HOUR)
    (record,) = again.records
    assert record.duration_s == 20.0


async def test_the_last_event_before_a_kill_is_dated_in_the_new_time(tmp_path: Path) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    s.talk()
    await site.arrive(s)
    site.journal.append(clock_set(HOUR))
    site.journal.close()
    again = Site(tmp_path / "j")
    assert (await again.pump.rerun()).last == timestamp(NOON + 2_000 + HOUR)


async def test_without_open_calls_the_next_event_gives_the_time(tmp_path: Path) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    client, _ = s.talk()
    await site.arrive(s)
    site.pump.machine_clock_set()
    assert site.clock.now_ms(1002.0) is not None
    s.at(5)
    s.bye(client)
    await site.arrive(s)
    site.pump.machine_clock_set()
    assert site.clock.now_ms(1006.0) is None
    site.wall_s = 3600.0
    s.at(7)
    s.incoming()
    await site.arrive(s, HOUR)
    assert site.clock.now_ms(1007.0) == NOON + 7_000 + HOUR


async def test_a_gap_in_which_it_was_set_begins_where_it_began(tmp_path: Path) -> None:
    """Told in the old time it would begin an hour before, or after its end."""
    for by_ms in (HOUR, -HOUR):
        site = Site(tmp_path / f"j{by_ms}")
        s = Stream()
        client, _ = s.talk()
        await site.arrive(s)
        site.wall_s += by_ms / 1000
        s.at(30)
        s.snapshot(gap_from=2)
        await site.arrive(s, by_ms)
        s.at(40)
        s.bye(client)
        await site.arrive(s, by_ms)
        (record,) = site.records
        assert record.duration_s == 40.0
        (span,) = record.unobserved
        assert (span.from_, span.to) == tuple(
            timestamp(NOON + second * 1000 + by_ms).replace("+0000", "Z") for second in (2, 30)
        )
