"""The pump of a daemon that stands by: it follows calls, holds back what it finds, then acts on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from callsteward.network.waiting import cancelled
from callsteward.record.facts import CallEnded, CallHappened, Happening
from callsteward.stream.held import HeldBack
from tests.unit.calls.stream import CLIENT, Stream
from tests.unit.pump_site import Site


def a_call() -> Stream:
    """A whole call."""
    s = Stream()
    client, _ = s.talk()
    s.at(30)
    s.bye(client)
    return s


async def act(site: Site) -> None:
    running = asyncio.create_task(site.pump.run())
    async with asyncio.timeout(5):
        await site.pump.act()
    await cancelled(running)


async def test_nothing_is_stored_or_told_while_it_stands_by(tmp_path: Path) -> None:
    held = HeldBack()
    site = Site(tmp_path / "j", held)
    await site.arrive(a_call())
    assert (site.saved, site.facts, site.heard) == ([], [], [])
    assert len(held.records) == 1
    assert site.journal.size > 0
    await site.close()


async def test_a_record_that_the_other_daemon_did_not_store_is_stored_and_told(tmp_path: Path) -> None:
    held = HeldBack()
    site = Site(tmp_path / "j", held)
    await site.arrive(a_call())
    (call_id,) = held.records
    await act(site)
    assert site.saved == [call_id]
    # As after a restart: the record alone, since the other daemon has told the rest.
    assert [fact.record.call_id for fact in site.facts if isinstance(fact, CallEnded)] == [call_id]
    assert len(site.facts) == 1
    assert site.journal.size == 0
    await site.close()


async def test_a_record_that_the_other_daemon_has_stored_is_let_go_with_the_journal(tmp_path: Path) -> None:
    held = HeldBack()
    site = Site(tmp_path / "j", held)
    await site.arrive(a_call())
    (call_id,) = held.records
    assert [record.call_id for record in held.stored({call_id}, open_since_ms=None)] == [call_id]
    await act(site)
    assert (site.saved, site.facts) == ([], [])
    assert site.journal.size == 0
    await site.close()


async def test_a_call_that_is_on_at_the_takeover_is_told_from_then_on(tmp_path: Path) -> None:
    held = HeldBack()
    site = Site(tmp_path / "j", held)
    s = Stream()
    client, _ = s.talk()
    await site.arrive(s)
    await act(site)
    assert site.facts == []
    s.at(30)
    s.bye(client)
    await site.arrive(s)
    assert [record.complete for record in site.records] == [True]
    kinds = [fact.event for fact in site.facts if isinstance(fact, CallHappened)]
    assert kinds == [Happening.HANGUP]
    await site.close()


async def test_a_daemon_killed_while_it_stands_by_finds_what_it_held_in_its_journal(tmp_path: Path) -> None:
    site = Site(tmp_path / "j", HeldBack())
    await site.arrive(a_call())
    await site.keeping.close()
    held = HeldBack()
    again = Site(tmp_path / "j", held)
    await again.pump.rerun()
    assert len(held.records) == 1
    await act(again)
    assert len(again.saved) == 1
    await again.close()


async def test_parts_hear_the_last_minute_at_the_takeover(tmp_path: Path) -> None:
    now_s = 0.0
    held = HeldBack(lambda: now_s)
    site = Site(tmp_path / "j", held)
    await site.arrive(a_call())
    now_s = 61.0
    await site.arrive(a_call())
    await act(site)
    # The ends of the second call's two channels.
    assert [type(event).__name__ for event in site.heard] == ["ChannelDestroyed", "ChannelDestroyed"]
    await site.close()


def test_a_client_who_called_is_remembered_while_an_older_call_is_on() -> None:
    held = HeldBack()
    s = a_call()
    held.add(s.facts())
    (call_id,) = held.records
    held.stored({call_id}, open_since_ms=0)
    left = held.facts()
    assert {(type(fact), fact.event) for fact in left if isinstance(fact, CallHappened)} <= {
        (CallHappened, Happening.STARTED),
        (CallHappened, Happening.ANSWERED),
    }
    assert [fact.event for fact in left if isinstance(fact, CallHappened)][:1] == [Happening.STARTED]
    assert not any(isinstance(fact, CallEnded) for fact in left)
    assert CLIENT


def test_of_a_call_that_is_over_nothing_is_held_once_no_older_one_is_on() -> None:
    held = HeldBack()
    held.add(a_call().facts())
    held.stored(set(held.records), open_since_ms=None)
    assert held.facts() == []
