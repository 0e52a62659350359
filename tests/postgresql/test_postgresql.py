"""A real PostgreSQL that is there, refuses, goes away in the middle and comes back.

What it does to the daemon is a StoreError, in an admin's words, whatever was being asked: nothing of the
driver's own reaches whoever asked. The lowest releases of SQLAlchemy and asyncpg run these, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from callsteward.ari.events import KNOWN_TYPES, epoch_ms, event_type
from callsteward.callback.ledger import CallbackLedger
from callsteward.commands.done import CommandsDone
from callsteward.config import Asterisk, Config, Mqtt, StoreSettings
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import StoreError
from callsteward.intervals.store import IntervalStore
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.zones import ClientZones
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.record.call import CallRecord
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from callsteward.tags.book import TagBook
from tests.lab.pbx_config import REPOSITORY
from tests.lab.postgresql import PostgreSql
from tests.unit.store.samples import RECORD

CAPTURES = REPOSITORY / "tests" / "replay" / "captures"
SECRET = "of the tests"


@pytest.fixture
async def database(postgresql: PostgreSql) -> AsyncIterator[str]:
    """The address of an empty database that belongs to a user of its own."""
    await postgresql.administer(
        "CREATE ROLE wfm LOGIN PASSWORD 's3cret-of-wfm'",
        "CREATE DATABASE calls OWNER wfm",
    )
    yield postgresql.url(user="wfm", password="s3cret-of-wfm", database="calls")
    await postgresql.administer("DROP DATABASE calls WITH (FORCE)", "DROP ROLE wfm")


@asynccontextmanager
async def refused(server: PostgreSql, how: str) -> AsyncIterator[None]:
    """The server refuses the user `wfm`, and hangs up on its connections."""
    there, back = REFUSALS[how]
    if how == "stopped":
        server.stop()
    else:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'wfm'"
        await server.administer(there, ended)
    try:
        yield
    finally:
        if how == "stopped":
            server.start()
        else:
            await server.administer(back)


REFUSALS = {
    "stopped": ("", ""),
    "no login": ("ALTER ROLE wfm NOLOGIN", "ALTER ROLE wfm LOGIN"),
    "another password": ("ALTER ROLE wfm PASSWORD 'x'", "ALTER ROLE wfm PASSWORD 's3cret-of-wfm'"),
    "no connections": ("ALTER ROLE wfm CONNECTION LIMIT 0", "ALTER ROLE wfm CONNECTION LIMIT -1"),
    "closed": ("ALTER DATABASE calls ALLOW_CONNECTIONS false", "ALTER DATABASE calls ALLOW_CONNECTIONS true"),
}


async def read(store: Store) -> list[CallRecord]:
    return [record async for record in store.calls(CallQuery())]


Question = Callable[[Store], Awaitable[object]]
QUESTIONS: dict[str, Question] = {
    "save": lambda store: store.save([RECORD]),
    "calls": read,
    "writable": lambda store: store.writable(),
    "endpoints": lambda store: HeardEndpoints(store.engine, "main").known(),
    "callbacks": lambda store: CallbackLedger(store.engine, "main").opened(),
    "callback": lambda store: CallbackLedger(store.engine, "main").find("x"),
    "limits": lambda store: CallbackLedger(store.engine, "main").counts("x", "support", 1),
    "do not call": lambda store: DoNotCall(store.engine).has("+79031234567"),
    "zones": lambda store: ClientZones(store.engine).listed(),
    "put a zone": lambda store: ClientZones(store.engine).put({"+79031234567": "Asia/Omsk"}, by="test"),
    "lost": lambda store: LostCalls(store.engine, "main").counts(),
    "ratings": lambda store: RatingLedger(store.engine, "main").opened(),
    "kept ratings": lambda store: RatingLedger(store.engine, "main").kept_until(1, limit=9),
    "complaints": lambda store: Complaints(store.engine, "main").listed(),
    "tags": lambda store: TagBook(store.engine, "main").listed(),
    "forget tags": lambda store: TagBook(store.engine, "main").forget(1),
    "commands": lambda store: CommandsDone(store.engine, "main").find("x"),
    "forget commands": lambda store: CommandsDone(store.engine, "main").forget(1),
    "outbox": lambda store: Outbox(store.engine, "main").measure(),
    "after": lambda store: Outbox(store.engine, "main").after(0, 10),
    "remove": lambda store: Outbox(store.engine, "main").remove(["x"]),
    "interval names": lambda store: IntervalStore(store.engine, "main").names(0, 1),
    "known": lambda store: IntervalStore(store.engine, "main").known(0, 1, ["101"]),
    "phone states": lambda store: IntervalStore(store.engine, "main").phone_states(),
}


async def test_a_record_is_kept_and_read_as_it_was(database: str) -> None:
    store = await Store.open(database)
    try:
        assert await store.save([RECORD]) == [RECORD]
        assert await read(store) == [RECORD]
    finally:
        await store.close()
    again = await Store.open(database, create=False)
    try:
        assert await read(again) == [RECORD]
    finally:
        await again.close()


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_refusing_server_gives_store_errors_and_works_again_later(
    postgresql: PostgreSql, database: str, how: str
) -> None:
    store = await Store.open(database)
    try:
        async with refused(postgresql, how):
            said = {}
            for name, question in QUESTIONS.items():
                with pytest.raises(StoreError) as caught:
                    await question(store)
                said[name] = str(caught.value)
        assert not [text for text in said.values() if "sqlalche" in text.lower() or "asyncpg" in text.lower()]
        assert not [text for text in said.values() if "s3cret" in text]
        for question in QUESTIONS.values():
            await question(store)
    finally:
        await store.close()


WORDS = {
    "stopped": "nothing listens there: is it running, are host and port right?",
    "no login": (
        "the server does not let this user in: compare store.url and pg_hba.conf"
        ' (role "wfm" is not permitted to log in)'
    ),
    "another password": (
        "the server refused the user or password: compare store.url with it"
        ' (password authentication failed for user "wfm")'
    ),
    "no connections": (
        'the server has no connection left: raise its max_connections (too many connections for role "wfm")'
    ),
    "closed": (
        "the server lets nobody into this database: is it being restored or removed? ALTER DATABASE …"
        ' ALLOW_CONNECTIONS true opens it (database "calls" is not currently accepting connections)'
    ),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_server_that_refuses_at_the_start_says_why(
    postgresql: PostgreSql, database: str, how: str
) -> None:
    shown = database.replace("s3cret-of-wfm", "***")
    async with refused(postgresql, how):
        with pytest.raises(StoreError) as caught:
            await Store.open(database)
    assert str(caught.value) == f"cannot open the database {shown}: {WORDS[how]}"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_name_is_refused(
    postgresql: PostgreSql, encoding: str
) -> None:
    await postgresql.administer(f"CREATE DATABASE narrow ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = postgresql.url(database="narrow")
    with pytest.raises(StoreError, match=f"has the encoding {encoding}, which cannot hold every name"):
        await Store.open(url)
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT * FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == []
    await postgresql.administer("DROP DATABASE narrow")


async def test_a_missing_database_is_reported(postgresql: PostgreSql) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(postgresql.url(database="nowhere"))
    assert str(caught.value).endswith(
        ': there is no such database on the server: make it with createdb (database "nowhere" does not exist)'
    )


@asynccontextmanager
async def dropping() -> AsyncIterator[int]:
    """A port whose packets are dropped: nobody accepts, and the kernel's queue for it is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        await asyncio.sleep(0.2)
        yield server.getsockname()[1]


async def test_a_firewall_that_drops_packets_is_noticed_within_seconds() -> None:
    async with dropping() as port, asyncio.timeout(40):
        with pytest.raises(StoreError) as caught:
            await Store.open(f"postgresql://wfm@127.0.0.1:{port}/calls")
    assert str(caught.value) == (
        f"cannot open the database postgresql://wfm@127.0.0.1:{port}/calls: no answer in time:"
        " does a firewall stand between, is the machine up?"
    )


async def test_a_connection_on_which_nothing_comes_back_counts_as_lost(database: str) -> None:
    store = await Store.open(database)
    try:
        async with store.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            opened = raw.driver_connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    finally:
        await store.close()


@asynccontextmanager
async def away(server: PostgreSql, how: str) -> AsyncIterator[None]:
    """The database does not take a record, in one of the ways of `refused` or one of these two."""
    if how == "frozen":
        with server.frozen():
            yield
    elif how == "read-only":
        # As a server that became the replica of another one says it.
        read_only = "ALTER DATABASE calls SET default_transaction_read_only = {}"
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'wfm'"
        await server.administer(read_only.format("on"), ended)
        yield
        await server.administer(read_only.format("off"), ended)
    else:
        async with refused(server, how):
            yield


@asynccontextmanager
async def asterisk_for(database: str, folder: Path) -> AsyncIterator[tuple[FakeAri, Config]]:
    """An Asterisk, and the configuration of a daemon for both; its journal is in the folder."""
    async with FakeAri(password=SECRET) as ari:
        ari.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        yield (
            ari,
            Config(
                asterisk=Asterisk(url=ari.url, password=SecretStr(SECRET)),
                mqtt=Mqtt(enabled=False),
                store=StoreSettings(url=database).placed(folder, daemon=True),
            ),
        )


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


async def recorded(database: str) -> list[tuple[str, bool]]:
    """Outcome and completeness of the records, as soon as there are any."""
    store = await Store.open(database, create=False)
    try:
        async with asyncio.timeout(60):
            while not (found := await read(store)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        await store.close()
    return [(record.outcome, record.complete) for record in found]


CALL = (CAPTURES / "client_bye.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("how", [*REFUSALS, "read-only", "frozen"])
async def test_a_daemon_whose_database_goes_away_in_a_call_records_it_when_it_is_back(
    postgresql: PostgreSql, database: str, tmp_path: Path, how: str
) -> None:
    async with asterisk_for(database, tmp_path) as (ari, config):
        daemon = Daemon(config)
        async with running(daemon) as task:
            await ari.connected()
            async with away(postgresql, how):
                await ari.play(CALL)
                await asyncio.sleep(3)
                assert not task.done()
                # The call was followed to its end meanwhile.
                assert daemon.counters.frames == sum(event_type(frame) in KNOWN_TYPES for frame in CALL)
            assert await recorded(database) == [("completed", True)]


async def test_a_daemon_stopped_beside_a_hanging_database_records_the_call_when_it_is_back(
    postgresql: PostgreSql, database: str, tmp_path: Path
) -> None:
    async with asterisk_for(database, tmp_path) as (ari, config):
        async with contextlib.AsyncExitStack() as held, running(Daemon(config)):
            await ari.connected()
            held.enter_context(postgresql.frozen())
            await ari.play(CALL)
            await asyncio.sleep(1)
        store = await Store.open(database)
        assert await read(store) == []
        await store.close()
        async with running(Daemon(config)):
            assert await recorded(database) == [("completed", True)]
