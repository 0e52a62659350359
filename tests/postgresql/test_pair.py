"""Two daemons of one site: one acts at a time, by the server's word, and nobody writes who does not act."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callsteward.exceptions import FencedError, StoreError
from callsteward.network.waiting import cancelled
from callsteward.standby.both import ask_to_switch
from callsteward.store import pair as pairs
from callsteward.store import pair_beginning, pair_sql
from callsteward.store.claim import SiteClaim
from callsteward.store.engine import writing
from callsteward.store.pair import Pair, PairReadiness
from callsteward.store.pair_beginning import Seat
from callsteward.store.records import CallQuery, Store
from tests.lab.postgresql import PostgreSql
from tests.unit.store.samples import RECORD

READY = PairReadiness(ready=True, detail="")
# A takeover is to be over within 3 s; of these the store's part.
SOON_S = 2.2
STANDS_BY = "this daemon stands by for the site 'main': it writes nothing"
TAKEN_OVER = (
    "another daemon of the site 'main' has taken over: this one acts no more, and may come back to stand by"
)


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    """A database without tables."""
    await postgresql.administer("CREATE DATABASE pairs")
    yield postgresql.url(database="pairs")
    await postgresql.administer("DROP DATABASE pairs WITH (FORCE)")


def seat(instance: str, **changes: str) -> Seat:
    made = Seat(site="main", instance=instance, boot_id=f"boot-{instance}", app=f"app-{instance}", host="one")
    return msgspec.structs.replace(made, **changes)


@dataclass
class Here:
    """A daemon's claim at work."""

    pair: Pair
    store: Store
    keeping: asyncio.Task[None]

    @property
    def fence(self) -> int | None:
        return self.pair.lease.fence

    async def acts(self, within_s: float = SOON_S) -> float:
        """Wait until it acts; how long that took."""
        began_s = time.monotonic()
        async with asyncio.timeout(within_s):
            await self.pair.taken.wait()
        return time.monotonic() - began_s

    async def vanish(self) -> None:
        """As a daemon that is killed: its connections are gone."""
        await cancelled(self.keeping)
        self.pair._drop()
        await self.store.close()


@asynccontextmanager
async def here(url: str, who: Seat, *, pbx: str = "pbx 1") -> AsyncIterator[Here]:
    pair = Pair(who, lambda: READY)
    pair.pbx = pbx
    store = await Store.open(url, claim=pair)
    keeping: asyncio.Task[None] | None = None
    try:
        await pair.join()
        keeping = asyncio.create_task(pair.keep())
        yield Here(pair, store, keeping)
    finally:
        if keeping is not None:
            keeping.cancel()
            with suppress(asyncio.CancelledError, StoreError):
                await keeping
        await store.close()
        await pair.close()


async def rows(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[Here, Here]]:
    """Two daemons; the first one acts."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(here(url, seat("a")))
        await first.acts()
        second = await stack.enter_async_context(here(url, seat("b")))
        await asyncio.sleep(4 * pairs.LOOK_S)
        yield first, second


async def saved(daemon: Here) -> int:
    return len(await daemon.store.save([RECORD]))


async def test_one_acts_and_the_other_writes_nothing(two: tuple[Here, Here]) -> None:
    first, second = two
    assert (first.fence, second.fence) == (1, None)
    assert first.pair.lease.holds
    assert not second.pair.lease.holds
    with pytest.raises(FencedError, match=STANDS_BY):
        await saved(second)
    assert [record async for record in second.store.calls(CallQuery())] == []
    assert await saved(first) == 1


async def test_each_knows_of_the_other_whether_it_acts_and_is_ready(two: tuple[Here, Here]) -> None:
    first, second = two
    of_second, of_first = first.pair.peer, second.pair.peer
    assert of_second is not None
    assert of_first is not None
    assert (of_second.instance, of_second.acting, of_second.ready) == ("b", False, True)
    assert (of_first.instance, of_first.acting, of_first.ready) == ("a", True, True)


async def test_the_other_one_acts_at_once_after_a_daemon_gave_the_site_up(two: tuple[Here, Here]) -> None:
    first, second = two
    await first.pair.release()
    assert await second.acts() < 1.0
    assert second.fence == 2
    with pytest.raises(FencedError, match=STANDS_BY):
        await saved(first)


async def test_the_other_one_acts_soon_after_a_daemon_was_killed(two: tuple[Here, Here]) -> None:
    first, second = two
    await first.vanish()
    await second.acts()
    assert second.fence == 2
    assert await saved(second) == 1


async def test_a_daemon_that_hung_writes_nothing_more_and_ends(two: tuple[Here, Here]) -> None:
    first, second = two
    await cancelled(first.keeping)  # it says nothing any more, and its connections stay
    await second.acts()
    assert not first.pair.lease.holds
    with pytest.raises(StoreError):
        await saved(first)
    with pytest.raises(StoreError, match=TAKEN_OVER):
        async with asyncio.timeout(5):
            await first.pair.keep()
    with pytest.raises(FencedError, match=TAKEN_OVER):
        await saved(first)


async def test_the_lease_of_a_silent_daemon_is_over_before_another_one_acts(two: tuple[Here, Here]) -> None:
    first, second = two
    await cancelled(first.keeping)
    while first.pair.lease.holds:
        assert second.fence is None
        await asyncio.sleep(0.01)
    await second.acts()


async def test_a_transaction_begun_before_the_takeover_is_not_committed(
    url: str, two: tuple[Here, Here]
) -> None:
    first, second = two
    await cancelled(first.keeping)

    async def writes() -> None:
        async with writing(first.store.engine) as connection:
            await connection.execute(text("INSERT INTO site_claims VALUES ('kept', 1, 'a', 1, NULL)"))
            await second.acts()
            await connection.execute(text("SELECT 1"))

    with pytest.raises(SQLAlchemyError):
        await writes()
    assert await rows(url, "SELECT site, fence, instance FROM site_claims") == [("main", 2, "b")]


async def test_the_fence_alone_stops_a_write_whose_connection_lives(
    two: tuple[Here, Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the server's user may not end connections, or a pooler stands between."""
    first, second = two
    monkeypatch.setattr(pair_sql, "HANG_UP", "SELECT $1::text")
    await cancelled(first.keeping)
    first.pair._drop()  # the lock is free
    await second.acts()
    with pytest.raises(FencedError, match=TAKEN_OVER):
        await saved(first)


async def test_a_server_that_restarts_leaves_the_site_to_the_daemon_that_had_it(
    postgresql: PostgreSql, two: tuple[Here, Here]
) -> None:
    first, second = two
    postgresql.stop()
    await asyncio.sleep(0.5)
    postgresql.start()
    await asyncio.sleep(4 * pairs.LOOK_S)
    assert (first.fence, second.fence) == (1, None)
    assert first.pair.lease.holds


async def test_without_the_database_nobody_may_act(postgresql: PostgreSql, two: tuple[Here, Here]) -> None:
    first, second = two
    with postgresql.frozen():
        await asyncio.sleep(pairs.LEASE_S + pairs.ANSWER_S)
        assert not first.pair.lease.holds
        assert second.fence is None
    async with asyncio.timeout(5):
        while not (first.pair.lease.holds or second.pair.lease.holds):  # noqa: ASYNC110 - by a clock
            await asyncio.sleep(0.05)
    assert first.pair.lease.holds != second.pair.lease.holds


async def test_a_daemon_asked_to_switch_hears_it(url: str, two: tuple[Here, Here]) -> None:
    first, second = two
    admin = await Store.open(url)
    await ask_to_switch(admin.engine, "main")
    await admin.close()
    async with asyncio.timeout(2):
        await first.pair.asked.wait()
    assert not second.pair.asked.is_set()


async def test_two_that_start_at_once_are_one_that_acts_and_one_that_stands_by(url: str) -> None:
    async with here(url, seat("a")) as first, here(url, seat("b")) as second:
        await asyncio.sleep(1.0)
        assert sorted([first.fence is None, second.fence is None]) == [False, True]


REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "the same name": (
        {"instance": "a", "boot_id": "boot-c"},
        "pbx 1",
        "another daemon runs as 'a' of the site 'main' (on one): give each of the two a name of its own in",
    ),
    "the same application": (
        {"app": "app-a"},
        "pbx 1",
        "the daemon 'a' of the site 'main' (on one) has the same ARI application, 'app-a': Asterisk",
    ),
    "another PBX": (
        {},
        "pbx 2",
        "asterisk.url leads to another Asterisk than that of the daemon 'a' of the site 'main' (on one): the",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
async def test_a_daemon_with_no_place_in_the_pair_is_refused_and_writes_nothing(
    url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_beginning, "ELSEWHERE_S", 1.0)
    changes, pbx, why = REFUSED[how]
    async with here(url, seat("a")) as first:
        await first.acts()
        before = await rows(url, "SELECT site, instance, boot_id FROM site_daemons")
        with pytest.raises(StoreError, match=re.escape(why)):
            async with here(url, seat(**{"instance": "b", **changes}), pbx=pbx):
                pass
        assert await rows(url, "SELECT site, instance, boot_id FROM site_daemons") == before
        assert first.fence == 1


async def test_a_standby_whose_pbx_shows_to_be_another_one_later_is_refused_then(
    url: str, two: tuple[Here, Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_beginning, "ELSEWHERE_S", 0.5)
    first, second = two
    second.pair.pbx = "pbx 2"
    with pytest.raises(StoreError, match=re.escape(REFUSED["another PBX"][2])):
        async with asyncio.timeout(5):
            await second.keeping
    assert first.fence == 1


async def test_a_daemon_that_was_killed_may_come_back_under_its_name(url: str) -> None:
    async with here(url, seat("a")) as first:
        await first.acts()
        await first.vanish()
        async with here(url, seat("a", boot_id="boot-2")) as again:
            await again.acts()
            assert again.fence == 2


async def test_a_daemon_without_standby_is_refused_beside_a_pair(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsteward.store.claim.PATIENCE_S", 0.2)
    monkeypatch.setattr("callsteward.store.claim.AGAIN_S", 0.05)
    async with here(url, seat("a")) as first:
        await first.acts()
        with pytest.raises(StoreError, match="a site has one daemon"):
            await Store.open(url, claim=SiteClaim("main"))


async def test_a_pair_is_refused_beside_a_daemon_without_standby(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_beginning, "PATIENCE_S", 0.2)
    alone = SiteClaim("main")
    store = await Store.open(url, claim=alone)
    with pytest.raises(StoreError, match=r"a site has one daemon.*It has no \[standby\]"):
        async with here(url, seat("a")):
            pass
    assert await rows(url, "SELECT * FROM site_daemons") == []
    await store.close()
    await alone.close()
