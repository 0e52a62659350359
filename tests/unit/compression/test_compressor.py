"""Records that are not compressed yet are compressed in small steps, on each database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select, text, update
from typer.testing import CliRunner

from callsteward.cli.app import app
from callsteward.compression import compressor
from callsteward.compression.compressor import AT_ONCE, Compressed, Compressor
from callsteward.compression.feature import CompressionFeature
from callsteward.config import Config
from callsteward.record.call import CallRecord, encode
from callsteward.store.engine import writing
from callsteward.store.packed import pack
from callsteward.store.records import CallQuery, Store
from callsteward.store.stored import RECORD as COLUMNS
from callsteward.store.stored import record_in
from callsteward.store.tables import calls, records_compressed
from tests.unit.store.samples import RECORD


class Gone(Exception):  # noqa: N818
    """The process ended here."""


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A store as an earlier version left it."""
    opened = await Store.open(store_url, compress=False)
    yield opened
    await opened.close()


def several(count: int, site: str = "main") -> list[CallRecord]:
    return [msgspec.structs.replace(RECORD, site=site, call_id=f"{number}") for number in range(count)]


async def forms(store: Store, site: str = "main") -> list[bool]:
    """Of each record, in order, whether it is compressed."""
    async with store.engine.connect() as connection:
        rows = await connection.execute(select(*COLUMNS).where(calls.c.site == site).order_by(calls.c.id))
        return [isinstance(record_in(row), bytes) for row in rows]


async def until(store: Store) -> int | None:
    async with store.engine.connect() as connection:
        last = await connection.scalar(select(func.max(calls.c.id)))
        found = await connection.scalar(select(records_compressed.c.until_id))
        return None if found is None else last - found


async def test_plain_records_are_compressed_and_are_the_same_lines(store: Store) -> None:
    found = several(2 * AT_ONCE + 7)
    await store.save(found)
    said: list[Compressed] = []
    done = await Compressor(store.engine, "main", rest=0).work(said.append)
    assert done.records == len(found)
    assert await forms(store) == [True] * len(found)
    assert [record async for record in store.calls(CallQuery())] == found
    async with store.engine.connect() as connection:
        rows = (await connection.execute(select(*COLUMNS).order_by(calls.c.id))).all()
    assert [(row.record, row.packed) for row in rows] == [("", pack(encode(record))) for record in found]
    assert [now.records for now in said] == [50, 100, 107]
    assert [now.share for now in said] == pytest.approx([50 / 107, 100 / 107, 1.0])
    assert said[-1].left_s == 0
    # It is known from then on.
    assert await until(store) == 0
    assert (await Compressor(store.engine, "main", rest=0).work()).records == 0


async def test_records_that_are_compressed_are_looked_through_and_stay(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressor, "_LOOKED_AT", 10)
    newer = await Store.open(store_url, compress=True)
    found = several(40)
    for some, place in ((newer, 0), (store, 15), (newer, 17)):
        await some.save(found[place : place + {0: 15, 15: 2, 17: 23}[place]])
    await newer.close()
    assert (await Compressor(store.engine, "main", rest=0).work()).records == 2
    assert await forms(store) == [True] * 40
    assert [record async for record in store.calls(CallQuery())] == found


async def test_another_sites_records_stay(store: Store) -> None:
    await store.save(
        [record for pair in zip(several(5), several(5, "south"), strict=True) for record in pair]
    )
    assert (await Compressor(store.engine, "main", rest=0).work()).records == 5
    assert await forms(store) == [True] * 5
    assert await forms(store, "south") == [False] * 5


async def test_work_that_was_broken_off_goes_on_where_it_was(store: Store) -> None:
    found = several(3 * AT_ONCE)
    await store.save(found)

    def broken(now: Compressed) -> None:
        if now.records == 2 * AT_ONCE:
            raise Gone

    with pytest.raises(Gone):
        await Compressor(store.engine, "main", rest=0).work(broken)
    assert await forms(store) == [True] * (2 * AT_ONCE) + [False] * AT_ONCE
    assert await until(store) == AT_ONCE
    assert [record async for record in store.calls(CallQuery())] == found
    said: list[Compressed] = []
    assert (await Compressor(store.engine, "main", rest=0).work(said.append)).records == AT_ONCE
    assert [now.share for now in said] == [1.0]
    assert await forms(store) == [True] * len(found)


async def test_a_record_that_is_changed_while_it_is_compressed_stays_as_it_was_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(several(2))
    erased = encode(msgspec.structs.replace(RECORD, call_id="0", client_ref=None)).decode()
    plain = Compressor._plain

    async def read(self: Compressor, after: int, until: int) -> list[tuple[int, str]]:
        rows = await plain(self, after, until)
        async with writing(store.engine) as connection:
            await connection.execute(update(calls).where(calls.c.call_id == "0").values(record=erased))
        return rows

    monkeypatch.setattr(Compressor, "_plain", read)
    await Compressor(store.engine, "main", rest=0).work()
    assert await forms(store) == [False, True]
    assert [record.client_ref async for record in store.calls(CallQuery())] == [None, RECORD.client_ref]


async def test_who_stores_a_call_meanwhile_does_not_wait_for_all_of_it(store: Store, store_url: str) -> None:
    await store.save(several(20 * AT_ONCE))
    other = await Store.open(store_url, compress=True)
    stored = 0
    work = asyncio.create_task(Compressor(store.engine, "main").work())
    while not work.done():
        await other.save([msgspec.structs.replace(RECORD, call_id=f"new-{stored}")])
        stored += 1
    await other.close()
    assert work.result().records == 20 * AT_ONCE
    # At least one between any two steps.
    assert stored >= 20


async def test_the_space_is_used_for_calls_to_come(store: Store) -> None:
    async def pages() -> int:
        query = (
            "SELECT pg_total_relation_size('calls')"
            if store.engine.dialect.name == "postgresql"
            else "PRAGMA page_count"
        )
        async with store.engine.connect() as connection:
            return int((await connection.execute(text(query))).scalar_one())

    async def vacuum() -> None:
        if store.engine.dialect.name == "postgresql":
            async with store.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(text("VACUUM calls"))

    await store.save(several(1_000))
    plain = await pages()
    await Compressor(store.engine, "main", rest=0).work()
    # As autovacuum does by itself.
    await vacuum()
    later = Store(store.engine, compress=True)
    await later.save([msgspec.structs.replace(RECORD, call_id=f"new-{number}") for number in range(1_000)])
    assert await pages() < 1.2 * plain


async def test_the_daemon_compresses_where_records_are_stored_compressed() -> None:
    feature = CompressionFeature()
    wanted = {
        (url, compress): feature.wanted(
            Config.model_validate({"store": {"url": url, "compress_records": compress}})
        )
        for url in ("sqlite:///calls.db", "postgresql://host/calls")
        for compress in (None, True, False)
    }
    assert [key for key, value in wanted.items() if value] == [
        ("sqlite:///calls.db", None),
        ("sqlite:///calls.db", True),
        ("postgresql://host/calls", True),
    ]


# --- the command --------------------------------------------------------------------------------------------


def told(folder: Path, *settings: str) -> tuple[int, str]:
    config = folder / "callsteward.toml"
    config.write_text(
        "\n".join(['site.name = "main"', "[store]", f'url = "sqlite:///{folder}/calls.db"', *settings])
    )
    config.chmod(0o600)
    done = CliRunner().invoke(app, ["compress", "-c", str(config)])
    return done.exit_code, str(done.exception) if done.exception and done.exit_code == 1 else done.output


def test_the_command_compresses_at_once_and_says_how_long_it_took(tmp_path: Path) -> None:
    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db", compress=False)
        await store.save(several(60))
        await store.close()

    asyncio.run(fill())
    code, said = told(tmp_path)
    assert (code, said.splitlines()[-1].rpartition(" in ")[0]) == (0, "60 records compressed")
    code, said = told(tmp_path)
    assert (code, said.splitlines()[-1].rpartition(" in ")[0]) == (0, "0 records compressed")


def test_the_command_is_refused_where_older_daemons_may_be_left(tmp_path: Path) -> None:
    with contextlib.suppress(SystemExit):
        _, said = told(tmp_path, "compress_records = false")
    assert "store.compress_records is false: set it to true when all daemons" in said
