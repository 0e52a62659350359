"""Two daemons of one site: the second one is refused, with what is known of the first, and writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from callsteward.config import Config
from callsteward.daemon.app import Daemon
from callsteward.exceptions import StoreError
from callsteward.store import claim as claims
from callsteward.store.claim import SiteClaim
from callsteward.store.engine import connect
from callsteward.store.records import Store
from tests.lab.postgresql import PostgreSql
from tests.postgresql.test_postgresql import asterisk_for, running

REFUSED = (
    r"another daemon of the site 'main' uses this database \(it connected from 127\.0\.0\.1 at"
    r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d\): a site has one daemon\. Stop that one; or, if this is"
    r" another PBX, give it a name of its own in site\.name"
)
BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1668510569"
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PATIENCE_S", 0.3), ("AGAIN_S", 0.05), ("LOOK_EVERY_S", 0.05), ("LOST_S", 0.3)):
        monkeypatch.setattr(claims, name, seconds)


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    """A database without tables."""
    await postgresql.administer("CREATE DATABASE claimed")
    yield postgresql.url(database="claimed")
    await postgresql.administer("DROP DATABASE claimed WITH (FORCE)")


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return [row["tablename"] for row in rows]


async def test_a_second_daemon_of_a_site_is_refused_and_writes_nothing(url: str) -> None:
    first = await asyncpg.connect(url)
    await first.execute("SELECT pg_advisory_lock(1668510569, hashtext('main'))")
    second = SiteClaim("main")
    with pytest.raises(StoreError, match=REFUSED):
        await Store.open(url, claim=second)
    await second.close()
    assert await tables(url) == []
    await first.close()


async def test_sites_of_other_names_share_the_database(url: str) -> None:
    both = [SiteClaim("main"), SiteClaim("south")]
    stores = await asyncio.gather(*(Store.open(url, claim=claim) for claim in both))
    for claim, store in zip(both, stores, strict=True):
        await store.close()
        await claim.close()


async def test_whoever_comes_while_the_first_one_ends_waits_for_it(url: str) -> None:
    first, second = SiteClaim("main"), SiteClaim("main")
    store = await Store.open(url, claim=first)
    coming = asyncio.create_task(Store.open(url, claim=second))
    await asyncio.sleep(0.1)
    assert not coming.done()
    await store.close()
    await first.close()
    await (await coming).close()
    await second.close()


async def test_a_lost_connection_is_made_again_and_claims_the_site_again(
    postgresql: PostgreSql, url: str
) -> None:
    claim = SiteClaim("main")
    store = await Store.open(url, claim=claim)
    keeping = asyncio.create_task(claim.keep())
    await postgresql.administer(BACKENDS)
    await asyncio.sleep(0.6)
    assert not keeping.done()
    with pytest.raises(StoreError, match=REFUSED):
        await Store.open(url, claim=SiteClaim("main"))
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    await store.close()
    await claim.close()


async def test_a_daemon_whose_site_another_one_took_meanwhile_ends(postgresql: PostgreSql, url: str) -> None:
    claim = SiteClaim("main")
    store = await Store.open(url, claim=claim)
    other = await asyncpg.connect(url)
    await postgresql.administer(BACKENDS)
    await other.execute("SELECT pg_advisory_lock(1668510569, hashtext('main'))")
    async with asyncio.timeout(10):
        with pytest.raises(StoreError, match=REFUSED):
            await claim.keep()
    await other.close()
    await store.close()
    await claim.close()


async def test_two_daemons_of_one_name_on_two_machines(url: str, tmp_path: Path) -> None:
    """Each has a folder, and so a journal, of its own."""
    async with asterisk_for(url, tmp_path) as (ari, config):
        (tmp_path / "other").mkdir()
        moved = config.store.placed(tmp_path / "other", daemon=True)
        other = Config(**{**dict(config), "store": moved})
        async with running(Daemon(config)):
            await ari.connected()
            with pytest.raises(StoreError, match=REFUSED):
                await Daemon(other).run(asyncio.Event())


async def test_a_file_is_claimed_by_its_journal_alone(tmp_path: Path) -> None:
    claim = SiteClaim("main")
    engine = await connect(f"sqlite:///{tmp_path}/calls.db", first=claim.take)
    await engine.dispose()
    await claim.close()
