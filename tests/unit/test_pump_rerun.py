"""How a journal shows the next process the end of the process before it."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

from callsteward.ari.events import event_type, timestamp
from callsteward.ari.marks import advanced, interrupted, seen
from callsteward.journal import compactor
from callsteward.journal import journal as journal_module
from tests.unit.calls.stream import NOON, Stream
from tests.unit.pump_site import Site


async def leave(path: Path, stream: Stream, *, closed_gracefully: bool) -> None:
    """Leave the journal of a process that took the stream in and stopped."""
    site = Site(path)
    await site.arrive(stream)
    site.pump.finish(closed_gracefully=closed_gracefully)
    await site.pump.run()
    site.journal.close()


async def test_a_graceful_close_is_known_until_another_frame_follows(tmp_path: Path) -> None:
    path = tmp_path / "j"
    s = Stream()
    client, _ = s.talk()
    await leave(path, s, closed_gracefully=True)
    again = Site(path)
    assert (await again.pump.rerun()).closed_gracefully is True
    s.at(10)
    s.speak(client, 1)
    await again.arrive(s)
    again.journal.close()
    killed = Site(path)
    left = await killed.pump.rerun()
    assert left.closed_gracefully is False
    assert killed.counters.unknown.total() == 0


async def test_a_link_without_a_graceful_close_is_not_known_as_one(tmp_path: Path) -> None:
    path = tmp_path / "j"
    s = Stream()
    s.talk()
    await leave(path, s, closed_gracefully=False)
    assert (await Site(path).pump.rerun()).closed_gracefully is False


async def test_without_a_call_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "j"
    await leave(path, Stream(), closed_gracefully=True)
    assert path.read_bytes() == b""


async def test_the_kept_position_is_reported_once_frames_are_on_disk(tmp_path: Path) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    s.talk()
    told: list[tuple[int, int]] = []
    site.pump._kept = lambda position: told.append((position, site.journal.size))
    for place, raw in enumerate(s.frames(), start=1):
        site.frames.put(raw, 100 * place)
    # Not from Asterisk: it has no place in the connection.
    site.frames.put(interrupted("", timestamp(NOON)))
    site.pump.finish()
    # What still waited is worked off, and nothing waited for after it.
    async with asyncio.timeout(60):
        await site.pump.run()
    assert told == [(100 * len(s.frames()), site.journal.size)]
    site.journal.close()


async def test_frames_the_disk_refused_are_still_needed(tmp_path: Path, monkeypatch) -> None:
    site = Site(tmp_path / "j")
    s = Stream()
    s.talk()
    told: list[int] = []
    site.pump._kept = told.append
    first, *rest = s.frames()

    def full(_file: int, _chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(compactor, "write", full)
        await site.pump._work([(first, 1000.0)], 100)
        assert told == []
    await site.pump._work([(raw, 1000.0) for raw in rest], 200)
    assert told == [200]
    site.journal.close()
    again = Site(tmp_path / "j")
    # A journal begins with what is known of the endpoints, nothing here.
    heard, *events = again.journal.frames()
    assert event_type(heard) == "CallstewardHeard"
    assert events == s.frames()
    again.journal.close()


async def test_frames_refused_for_too_long_become_an_unobserved_span(tmp_path: Path, monkeypatch) -> None:
    """This process has heard all; one that takes up its journal after a kill has not, and says so."""
    monkeypatch.setattr(journal_module, "UNWRITTEN_LIMIT", 100)
    path = tmp_path / "j"
    site = Site(path)
    s = Stream()
    client, phone = s.talk()
    await site.arrive(s)

    def full(_file: int, _chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(compactor, "write", full)
        s.at(20)
        s.hold(phone)
        await site.arrive(s)
        s.at(25)
        s.unhold(phone)
        await site.arrive(s)
    s.at(30)
    s.speak(client, 1)
    await site.arrive(s)
    site.journal.close()
    # It is killed here.
    again = Site(path)
    await again.pump.rerun()
    s.at(40)
    s.bye(client)
    await again.arrive(s)
    (record,) = again.records
    assert record.complete is False
    assert [(span.from_, span.to) for span in record.unobserved] == [
        (timestamp(NOON + 20_000)[:-5] + "Z", timestamp(NOON + 25_000)[:-5] + "Z")
    ]


async def test_a_call_in_doubt_is_in_doubt_after_the_next_kill_as_well(tmp_path: Path) -> None:
    path = tmp_path / "j"
    s = Stream()
    client, phone = s.talk()
    await leave(path, s, closed_gracefully=False)
    second = Site(path)
    await second.pump.rerun()
    # Asterisk reported nothing about the operator's hold.
    await second.pump._work([(interrupted("", timestamp(NOON + 5_000)), 1005.0)])
    second.journal.append(advanced(NOON + 6_000))
    second.journal.append(seen(NOON + 7_000))
    second.journal.close()
    third = Site(path)
    await third.pump.rerun()
    s.at(9)
    s.unhold(phone)
    s.at(12)
    s.bye(client)
    await third.arrive(s)
    (record,) = third.records
    assert record.complete is False
