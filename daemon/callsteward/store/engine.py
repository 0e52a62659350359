"""Database engines: SQLite in one file by default, PostgreSQL where several sites share one store.

`connect(url)` returns an engine whose schema is the one this callsteward knows, or raises StoreError.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from callsteward.config.secret_words import masked
from callsteward.exceptions import StoreError
from callsteward.store.database_file import BUSY_TIMEOUT_MS, file_of, prepare
from callsteward.store.foreign import refuse_foreign, refuse_incomplete
from callsteward.store.sqlite import opened, settle_in
from callsteward.store.trouble import DAMAGED, NOT_UNDERSTOOD, of_database, of_driver, reason
from callsteward.store.url import StoreUrlError, store_url

MIGRATIONS = Path(__file__).with_name("migrations")
# Any constant will do: it tells the advisory lock of our migrations from other programs'.
_MIGRATION_LOCK = 0x63737477
_NO_OPTION = "store.url: the database's driver does not accept what follows the question mark: {}"
# Of sqlite3.connect and sqlite.org/uri.html. SQLAlchemy 2.1 leaves others out with a warning.
_SQLITE_OPTIONS = frozenset(
    {"uri", "mode", "cache", "immutable", "vfs", "nolock", "timeout", "cached_statements"}
)
# How long a server may take to accept a connection; asyncpg's own 60 s only help a silent firewall.
CONNECT_S = 5.0
# When a connection without any answer counts as lost (tcp(7)); the kernel's default is a quarter of an hour.
_SILENT_S = 10
_WRITES = "callsteward_writes"
First = Callable[[AsyncEngine], Awaitable[None]]
_turns: WeakKeyDictionary[AsyncEngine, asyncio.Lock] = WeakKeyDictionary()


class Proof(Protocol):
    """Shown first in each transaction that writes."""

    async def show(self, connection: AsyncConnection) -> None:
        """Raises StoreError in a transaction that may not write."""
        ...


_proofs: WeakKeyDictionary[AsyncEngine, Proof] = WeakKeyDictionary()


class _Written:
    """A transaction that writes, from the inside. `over`: it has ended, also for the tasks begun in it."""

    def __init__(self, engine: AsyncEngine, around: _Written | None) -> None:
        self.engine = engine
        self.around = around
        self.over = False


# The transaction in which this task, or the task that began it, is writing.
_within: ContextVar[_Written | None] = ContextVar("callsteward_writing", default=None)


def async_url(url: str) -> URL:
    """The URL with the async driver in it; libpq's `sslmode` becomes asyncpg's `ssl`.

    Raises StoreError for a URL that is neither SQLite's nor PostgreSQL's.
    """
    parsed = store_url(url)
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    if backend in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+asyncpg")
        if "sslmode" in parsed.query:
            mode = parsed.query["sslmode"]
            parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        return parsed
    message = (
        f"store.url: callsteward does not know the database {backend}; use sqlite:///… or postgresql://…"
    )
    raise StoreUrlError(message)


def shown(url: str) -> str:
    """The place of a database, for people: an SQLite file's full path, else the URL without its secrets."""
    file = file_of(async_url(url))
    return masked(url, whole=True) if file is None else str(file)


async def _nothing(_engine: AsyncEngine) -> None:
    """For whoever needs nothing before the schema is looked at."""


async def connect(url: str, *, create: bool = True, first: First = _nothing, called: str = "") -> AsyncEngine:
    """An engine on the database at `url`, migrated to this version.

    A missing one is created, or refused if `create` is false: a command that only reads must not leave an
    empty database behind, and answer from that. `first` is done before anything is written. `called`: the
    name of its connections, by which a server can end them.

    Raises StoreError, whose message says what to mend.
    """
    parsed = async_url(url)
    name = shown(url)
    file = file_of(parsed)
    if file is None and parsed.get_backend_name() == "sqlite":
        message = (
            "store.url: a database in memory keeps nothing; name a file, such as sqlite:///callsteward.db"
        )
        raise StoreError(message)
    if parsed.get_backend_name() == "sqlite" and (wrong := set(parsed.query) - _SQLITE_OPTIONS):
        raise StoreError(_NO_OPTION.format(", ".join(sorted(wrong))))
    try:
        if file is not None:
            await asyncio.to_thread(prepare, file, create=create)
        engine = _engine(parsed, called)
    except ModuleNotFoundError as error:
        message = f"store.url needs {error.name}: pip install 'callsteward[postgresql]'"
        raise StoreError(message) from error
    except (SQLAlchemyError, sqlite3.Error, UnicodeError) as error:
        message = f"cannot open the database {name}: {reason(error)}"
        raise StoreError(message) from error
    try:
        await first(engine)
        async with writing(engine) as connection:
            await connection.run_sync(refuse_foreign, name, empty=create)
            await connection.run_sync(migrate)
            await connection.run_sync(refuse_incomplete, name)
    except StoreError:
        await engine.dispose()
        raise
    except Exception as error:
        await engine.dispose()
        if isinstance(error, TypeError | ValueError) and parsed.query and not of_driver(type(error)):
            message = _NO_OPTION.format(", ".join(parsed.query))
        elif of_database(error) or isinstance(error, CommandError):
            message = f"cannot open the database {name}: {reason(error)}"
        elif isinstance(error, TypeError | ValueError | LookupError):
            # The tables of versions hold something that no callsteward wrote there.
            answer = DAMAGED if file is not None else NOT_UNDERSTOOD
            message = f"cannot open the database {name}: {answer} ({type(error).__name__})"
        else:
            raise
        raise StoreError(message) from error
    except BaseException:
        await engine.dispose()
        raise
    return engine


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that writes: committed at the end, rolled back by an exception.

    In SQLite it takes the write lock at once, since a transaction that reads first and writes later can be
    refused without waiting for the busy timeout (SQLITE_BUSY_SNAPSHOT, sqlite.org/rescode.html). Writers of
    this process take turns before they ask for the lock: SQLite's own waiting sleeps up to 100 ms.

    Raises RuntimeError inside another transaction on the same engine, which would wait for its own end for
    ever.
    """
    around = alone(engine)
    async with turn(engine), engine.connect() as connection:
        await connection.execution_options(**{_WRITES: True})
        async with connection.begin():
            if (proof := _proofs.get(engine)) is not None:
                await proof.show(connection)
            own = _Written(engine, around)
            _within.set(own)
            try:
                yield connection
            finally:
                own.over = True
                _within.set(around)


def alone(engine: AsyncEngine) -> _Written | None:
    """The transaction in which a new one begins: another engine's. Raises RuntimeError for this one's."""
    inmost = _within.get()
    while inmost is not None and inmost.over:
        inmost = inmost.around
    around = inmost
    while around is not None:
        if around.engine is engine and not around.over:
            message = (
                "a transaction that writes was begun inside another one of the same store, and would wait for"
                " it for ever: pass the outer transaction's connection on instead"
            )
            raise RuntimeError(message)
        around = around.around
    return inmost


def prove(engine: AsyncEngine, proof: Proof) -> None:
    """From now on no transaction of this engine writes without this proof."""
    _proofs[engine] = proof


def turn(engine: AsyncEngine) -> AbstractAsyncContextManager[object]:
    """Around a transaction that writes."""
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _turns.setdefault(engine, asyncio.Lock())


def insert_into(engine: AsyncEngine, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert of the engine's dialect: both have `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if engine.dialect.name == "postgresql" else sqlite.insert(table)


@contextmanager
def failing(act: str) -> Iterator[None]:
    """Turns the database's exceptions into StoreError."""
    try:
        yield
    except Exception as error:
        if not of_database(error):
            raise
        message = f"cannot {act} the database: {reason(error)}"
        raise StoreError(message) from error


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision`, in the connection's transaction.

    Raises StoreError for a database written by a newer callsteward.
    """
    if connection.dialect.name == "postgresql":
        # Of two daemons that start together the second waits here, then finds the work done.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    alembic = alembic_config(connection)
    scripts = ScriptDirectory.from_config(alembic)
    current = set(MigrationContext.configure(connection).get_current_heads())
    if newer := written_by_newer("the database", current, scripts):
        message = f"{newer}: upgrade callsteward, or restore the copy made before the upgrade"
        raise StoreError(message)
    if current != {scripts.get_current_head()} or revision != "head":
        command.upgrade(alembic, revision)


def written_by_newer(name: str, current: Collection[str], scripts: ScriptDirectory) -> str:
    """The sentence about a database whose schema this callsteward does not know; empty if it does."""
    newer = set(current) - {script.revision for script in scripts.walk_revisions()}
    if not newer:
        return ""
    return (
        f"{name} was written by a newer callsteward (schema {', '.join(sorted(newer))}; this one knows up to"
        f" {scripts.get_current_head()})"
    )


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for this package's migrations on a connection."""
    alembic = Config()
    # `%` starts an interpolation in Alembic's configuration, and a path may hold one.
    alembic.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    alembic.attributes["connection"] = connection
    return alembic


def _on_server(url: URL, called: str) -> AsyncEngine:
    arguments: dict[str, object] = {"timeout": CONNECT_S}
    if called:
        arguments["server_settings"] = {"application_name": called}
    engine = create_async_engine(url, pool_pre_ping=True, connect_args=arguments)

    @event.listens_for(engine.sync_engine, "connect")
    def _notice_silence(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        driver = getattr(connection, "driver_connection", None)
        # asyncpg has no public access to its socket.
        transport = getattr(driver, "_transport", None)
        opened: socket.socket | None = None if transport is None else transport.get_extra_info("socket")
        if opened is not None and opened.family in {socket.AF_INET, socket.AF_INET6}:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_S // 2)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENT_S // 2)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_S * 1000)

    return engine


def _engine(url: URL, called: str) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return _on_server(url, called)
    connect_args = {"timeout": BUSY_TIMEOUT_MS / 1000, "async_creator_fn": opened}
    # The connection used last is used first: one or two do the work, with warm caches, and the others, for a
    # rare crowd, stay small.
    engine = create_async_engine(url, connect_args=connect_args, pool_use_lifo=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        settle_in(connection)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
