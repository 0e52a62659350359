import ast
import asyncio
import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

import callsteward
from callsteward.exceptions import StoreError
from callsteward.store.engine import alembic_config, async_url, connect, failing, migrate, writing
from callsteward.store.records import Store
from callsteward.store.tables import metadata

PACKAGE = Path(callsteward.__file__).parent


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrations_build_the_tables_the_code_uses(tmp_path: Path) -> None:
    engine = await connect(f"sqlite:///{tmp_path}/calls.db")
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


async def test_migrated_and_created_schemas_are_the_same_sql(tmp_path: Path) -> None:
    engine = await connect(f"sqlite:///{tmp_path}/migrated.db")
    await engine.dispose()
    created = create_engine(f"sqlite:///{tmp_path}/created.db")
    metadata.create_all(created)
    created.dispose()

    def schema(file: str) -> dict[str, str]:
        connection = sqlite3.connect(tmp_path / file)
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        connection.close()
        return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}

    assert schema("migrated.db") == schema("created.db")
    assert "calls" in schema("migrated.db")


async def test_a_downgrade_leaves_no_table_and_an_upgrade_brings_them_back(tmp_path: Path) -> None:
    engine = await connect(f"sqlite:///{tmp_path}/calls.db")

    def down(connection: Connection) -> list[str]:
        command.downgrade(alembic_config(connection), "base")
        return inspect(connection).get_table_names()

    async with writing(engine) as connection:
        assert await connection.run_sync(down) == ["alembic_version"]
    async with writing(engine) as connection:
        await connection.run_sync(migrate)
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


async def test_a_failed_migration_leaves_the_old_schema_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    stranger = sqlite3.connect(tmp_path / "calls.db")
    # The table is made before its index; the index's name is taken, so the migration fails half way.
    stranger.execute("CREATE TABLE other (at_ms)")
    stranger.execute("CREATE INDEX ix_calls_at_ms ON other (at_ms)")
    stranger.commit()
    with pytest.raises(StoreError, match="ix_calls_at_ms already exists"):
        await connect(url)
    assert [name for (name,) in stranger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")] == [
        "other"
    ]
    stranger.close()


async def test_a_database_of_a_newer_callsteward_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    engine = await connect(url)
    async with writing(engine) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(StoreError, match=r"newer callsteward \(schema 9999; this one knows up to \d{4}\)"):
        await connect(url)


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    await (await connect(url)).dispose()
    before = (tmp_path / "calls.db").read_bytes()
    await (await connect(url)).dispose()
    assert (tmp_path / "calls.db").read_bytes() == before


async def test_many_that_open_a_new_database_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    for engine in await asyncio.gather(*(connect(url) for _ in range(4))):
        await engine.dispose()


async def test_sqlite_keeps_what_it_committed(tmp_path: Path) -> None:
    engine = await connect(f"sqlite:///{tmp_path}/calls.db")
    async with engine.connect() as connection:
        pragmas = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    await engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize(
    ("given", "mapped"),
    [
        ("sqlite:///calls.db", "sqlite+aiosqlite:///calls.db"),
        ("sqlite:////var/lib/calls.db", "sqlite+aiosqlite:////var/lib/calls.db"),
        ("sqlite+pysqlite:///calls.db", "sqlite+aiosqlite:///calls.db"),
        ("postgresql://wfm:s%40crt@db:5433/calls", "postgresql+asyncpg://wfm:s%40crt@db:5433/calls"),
        ("postgresql+psycopg://db/calls", "postgresql+asyncpg://db/calls"),
        ("postgresql://db/calls?sslmode=require", "postgresql+asyncpg://db/calls?ssl=require"),
    ],
)
def test_urls_get_the_async_driver(given: str, mapped: str) -> None:
    assert async_url(given).render_as_string(hide_password=False) == mapped


@pytest.mark.parametrize("url", ["mysql://db/calls", "calls.db", ""])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"store\.url"):
        async_url(url)


async def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/") as caught:
        await connect("postgresql://wfm:s3cret@127.0.0.1:1/calls")
    assert "s3cret" not in str(caught.value)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"folder {tmp_path}/nowhere does not exist"):
        await Store.open(f"sqlite:///{tmp_path}/nowhere/calls.db")
    assert not (tmp_path / "nowhere").exists()


async def test_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may write everywhere, so the answer of the system is given here
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)
    with pytest.raises(StoreError, match=f"{tmp_path} is not writable"):
        await Store.open(f"sqlite:///{tmp_path}/calls.db")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"no database at all, but long enough to look like one" * 50)
    with pytest.raises(StoreError, match="not a database"):
        await Store.open(f"sqlite:///{tmp_path}/calls.db")


async def test_lost_calls_of_before_stay_listed(tmp_path: Path) -> None:
    """From 0003 on: those that nobody had settled or spoken to."""
    engine = await connect(f"sqlite:///{tmp_path}/calls.db")

    def down(connection: Connection) -> None:
        command.downgrade(alembic_config(connection), "0003")

    async with writing(engine) as connection:
        await connection.run_sync(down)
        for call_id, outcome, ref, at_ms, answered in (
            ("1", "abandoned", "aa", 1, None),
            ("2", "completed", "aa", 2, 2),
            ("3", "busy", "aa", 3, None),
            ("4", "no_answer", None, 4, None),
            ("5", "failed", "bb", 5, None),
        ):
            await connection.execute(
                text(
                    "INSERT INTO calls (site, call_id, line, direction, outcome, client_ref, at_ms,"
                    " answered_at_ms, complete, stored_at_ms, record)"
                    " VALUES ('main', :call_id, 'support', 'inbound', :outcome, :ref, :at_ms, :answered,"
                    " true, 0, '{}')"
                ),
                {"call_id": call_id, "outcome": outcome, "ref": ref, "at_ms": at_ms, "answered": answered},
            )
        await connection.execute(
            text(
                "INSERT INTO lost_calls_settled (site, call_id, at_ms, settled_by, comment)"
                " VALUES ('main', '5', 9, 'admin', 'wrote')"
            )
        )
    async with writing(engine) as connection:
        await connection.run_sync(migrate)
        rows = (await connection.execute(text("SELECT call_id, line FROM lost_calls ORDER BY id"))).all()
    await engine.dispose()
    assert [tuple(row) for row in rows] == [("3", "support"), ("4", "support")]


class _OfDriverError(Exception):
    """As asyncpg's own are: of no class that callsteward could name, since asyncpg need not be installed."""

    __module__ = "asyncpg.exceptions._base"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            _OfDriverError("cannot switch to state 12; another operation (2) is in progress"),
            (
                "the server ended the connection in the middle: wait a moment, and see its log where that"
                " goes on (cannot switch to state 12; another operation (2) is in progress)"
            ),
        ),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
        (
            ConnectionResetError(errno.ECONNRESET, "reset"),
            "it closed the connection at once: is that the right port?",
        ),
    ],
)
def test_an_error_of_the_driver_itself_is_a_store_error(error: Exception, said: str) -> None:
    with pytest.raises(StoreError) as caught, failing("read"):
        raise error
    assert str(caught.value) == f"cannot read the database: {said}"


@pytest.mark.parametrize(
    "error", [KeyError("line"), ValueError("no such state"), AttributeError("x"), RuntimeError("x")]
)
def test_a_mistake_of_callstewards_own_is_not_the_databases(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failing("read"):
        raise error
    assert caught.value is error


def test_nothing_asks_a_database_where_its_failure_is_not_turned_into_a_store_error() -> None:
    """Every `engine.connect()`, `writing(engine)`, `read(engine, …)`, `write(…)` and `flush(…)` is within a
    `with failing(…)` of the same function."""
    asked = [
        (file.name, node.lineno, guarded)
        for file in sorted(PACKAGE.rglob("*.py"))
        if "migrations" not in file.parts and file.name not in {"engine.py", "direct.py"}
        for node, guarded in _asked(ast.parse(file.read_text()), guarded=False)
    ]
    assert len(asked) > 60
    assert [(file, line) for file, line, guarded in asked if not guarded] == []


def _asked(node: ast.AST, *, guarded: bool) -> Iterator[tuple[ast.expr, bool]]:
    """The transactions that are begun in a piece of code, each with whether a `failing` is around it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        guarded = False
    if isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            if re.search(r"engine\.connect\(|^writing\(", ast.unparse(item.context_expr)):
                yield item.context_expr, guarded
            guarded = guarded or ast.unparse(item.context_expr).startswith("failing(")
    if isinstance(node, ast.Await) and re.match(
        r"(read|write|flush)\([\w.]*engine\b", ast.unparse(node.value)
    ):
        yield node, guarded
    for child in ast.iter_child_nodes(node):
        yield from _asked(child, guarded=guarded)
