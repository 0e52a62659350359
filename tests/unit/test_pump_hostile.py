"""Frames that no Asterisk sends, among those of a call: they are counted, and the call is what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.calls.stream import Stream
from tests.unit.pump_site import Site

HOSTILE = {
    "nothing": b"",
    "no JSON": b"\x00\xff{",
    "no Unicode": b'{"type": "ChannelHold\xff"}',
    "another shape": b'{"type": "ChannelHold", "channel": [1, 2]}',
    "lines": b'{"type":\r\n"ChannelHold",\n\n',
    "brackets within brackets": b'{"type": "ChannelHold", "channel": ' + b"[" * 5_000,
    "as many closed": b'{"type": "ChannelHold", "channel": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a set clock without a span": b'{"type": "CallstewardClockSet"}',
    "a clock beyond the calendar": b'{"type": "CallstewardClockSet", "by_ms": -1000000000000000000}',
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
async def test_a_call_is_recorded_as_it_was_also_after_a_kill(tmp_path: Path, hostile: bytes) -> None:
    s = Stream()
    client, _ = s.talk()
    s.at(10)
    talk = s.frames()
    s.unseen()
    s.bye(client)
    site = Site(tmp_path / "j")
    for raw in (hostile, *talk, hostile):
        await site.pump._work([(raw, 1000.0)])
    assert site.counters.malformed == 2
    site.journal.close()

    killed = Site(tmp_path / "j")
    await killed.pump.rerun()
    assert killed.tracker.open_calls == 1
    await killed.pump._work([(raw, 1010.0) for raw in (hostile, *s.frames(), hostile)])
    (record,) = killed.records
    assert (record.duration_s, record.talk_s, record.complete) == (10.0, 8.0, True)
    killed.journal.close()


@pytest.mark.parametrize("year", ["0001", "1969", "2200", "9999"])
async def test_a_moment_that_no_clock_shows_moves_no_other(tmp_path: Path, year: str) -> None:
    s = Stream()
    client, _ = s.talk()
    site = Site(tmp_path / "j")
    await site.arrive(s)
    now_ms = site.clock.now_ms(1010.0)
    far = f'{{"type": "ChannelVarset", "timestamp": "{year}-12-31T23:59:59.999+0000"}}'.encode()
    await site.pump._work([(far, 1010.0)])
    assert site.clock.now_ms(1010.0) == now_ms
    # The moment that a quiet journal notes is one that can be written.
    site.pump._heard_s = lambda: 1030.0
    await site.pump._heard()
    site.journal.close()
    killed = Site(tmp_path / "j")
    await killed.pump.rerun()
    s.at(40)
    s.bye(client)
    await killed.arrive(s)
    (record,) = killed.records
    assert (record.duration_s, record.talk_s, record.complete) == (40.0, 38.0, True)
    killed.journal.close()
