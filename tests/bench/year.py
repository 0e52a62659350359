"""`make year`: a store with a year of calls, and how long its questions take, beside the goals.

What a command takes is its processor time and its time on the clock, less those of a command that reads
nothing: the start of Python is the same for every one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from callsteward.client.found import find
from callsteward.compression.compressor import Compressor
from callsteward.config import Config
from callsteward.config.hotline import SiteSettings
from callsteward.config.links import Asterisk, Mqtt, StoreSettings
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.intervals.keeping import SumsKeeper
from callsteward.record.call import encode
from callsteward.store.engine import writing
from callsteward.store.records import Store
from callsteward.store.stored import RECORD, decode, record_in
from callsteward.store.tables import calls, records_compressed
from callsteward.tags.book import TagBook
from tests.bench.year_calls import LINES, OPERATORS, records
from tests.bench.year_store import END_MS, SITE, disk_bytes, fill
from tests.lab.postgresql import PostgreSql
from tests.unit.running import running

_ROUNDS = 3
_FIRST, _LAST = "2025-11-01", "2025-11-30"
_DAY = "2025-11-12"
_MONTH = ("--from", _FIRST, "--to", _LAST, "--output", "csv")
QUESTIONS = {
    "report intervals, a month by half hours": (1.0, ("report", "intervals", *_MONTH)),
    "report intervals, a month by days": (1.0, ("report", "intervals", "--every", "day", *_MONTH)),
    "report operators, a month as one": (1.0, ("report", "operators", "--every", "month", *_MONTH)),
    "report operators, a month by days": (1.0, ("report", "operators", "--every", "day", *_MONTH)),
    "report operators, a month by half hours": (1.0, ("report", "operators", *_MONTH)),
    "report ratings, a month by operators": (1.0, ("report", "ratings", *_MONTH)),
    "report ratings, a month by lines": (1.0, ("report", "ratings", "--by", "line", *_MONTH)),
    "calls of a day": (2.0, ("calls", "--from", _DAY, "--to", _DAY, "--output", "csv")),
}
_SECRET = "of the bench"
# Plain records that are stored and then compressed, to see what an upgrade takes.
_OLD = 10_000


class Report:
    """The table of what was measured."""

    def __init__(self, title: str) -> None:
        self._table = Table("what", "measured", "goal", title=title)

    def add(self, what: str, measured: str, goal: str = "") -> None:
        self._table.add_row(what, measured, goal)

    def show(self) -> None:
        Console(width=120).print(self._table)


def _took(arguments: Sequence[object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor that a command takes, the best of some rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        began_s, before = time.monotonic(), os.times()
        subprocess.run(
            [Path(sys.executable).with_name("callsteward"), *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = os.times()
        used_s = after.children_user + after.children_system - before.children_user - before.children_system
        rounds.append((time.monotonic() - began_s, used_s))
    return min(one[0] for one in rounds), min(one[1] for one in rounds)


def ask(report: Report, config: Path) -> None:
    """Ask every question of a day and a month."""
    nothing_s, nothing_cpu_s = _took(("zones", "list", "-c", config))
    report.add("a command that reads nothing", f"{nothing_s:.2f} s ({nothing_cpu_s:.2f} s CPU)")
    for what, (goal_s, asked) in QUESTIONS.items():
        took_s, cpu_s = _took((*asked, "-c", config))
        report.add(
            what,
            f"{max(0, took_s - nothing_s):.2f} s ({max(0, cpu_s - nothing_cpu_s):.2f} s CPU) more",
            f"{goal_s:.0f} s",
        )


async def look_up(report: Report, store: Store) -> None:
    """A call by its id, and a client's calls by their reference."""
    query = select(calls.c.call_id, calls.c.client_ref).where(calls.c.client_ref.is_not(None)).limit(50)
    async with store.engine.connect() as connection:
        some = (await connection.execute(query.offset(500))).all()
    book = TagBook(store.engine, SITE)

    async def of_client(row: Any) -> None:
        async with store.engine.connect() as connection:
            rows = await connection.execute(select(*RECORD).where(calls.c.client_ref == row.client_ref))
            assert all(decode(record_in(one)).client_ref == row.client_ref for one in rows)

    for what, ask_one in (
        ("a call by its id", lambda row: book.record(row.call_id)),
        ("a client's calls by their reference", of_client),
        ("all of a client, as for client export", lambda row: find(store.engine, SITE, [], [row.client_ref])),
    ):
        took = []
        for row in some:
            began_s = time.monotonic()
            await ask_one(row)
            took.append(time.monotonic() - began_s)
        took.sort()
        middle, most = took[len(took) // 2] * 1000, took[-1] * 1000
        report.add(what, f"{middle:.1f} ms, at most {most:.0f} ms", "" if "export" in what else "50 ms")


async def compress(report: Report, store: Store) -> None:
    """Old records are stored among the others, and compressed as the daemon and the command do it."""
    for rest, who in ((1.0, "callsteward compress"), (4.0, "the daemon")):
        old = Store(store.engine, compress=False)
        some = [
            record
            for number, record in enumerate(records(_OLD, site=f"old-{rest}", seed=int(rest) + 2))
            if number < _OLD
        ]
        await old.save(some)
        done = await Compressor(store.engine, f"old-{rest}", rest=rest).work()
        assert done.records == len(some)
        minutes = done.took_s * 1_000_000 / len(some) / 60
        report.add(f"a million old records, compressed by {who}", f"{minutes:.0f} min")
        async with writing(store.engine) as connection:
            await connection.execute(calls.delete().where(calls.c.site == f"old-{rest}"))
            await connection.execute(
                records_compressed.delete().where(records_compressed.c.site == f"old-{rest}")
            )


async def start(report: Report, url: str, folder: Path) -> None:
    """A daemon's start until it has the connection to Asterisk, beside one with an empty store."""
    took = {}
    for what, store_url in (("this store", url), ("an empty store", f"sqlite:///{folder}/empty.db")):
        config = Config(
            site=SiteSettings(name=SITE),
            asterisk=Asterisk(password=SecretStr(_SECRET)),
            mqtt=Mqtt(enabled=False),
            # The journal of a daemon on a server is in the folder of its configuration.
            store=StoreSettings(url=store_url, compress_records=True).placed(folder, daemon=False),
        )
        rounds = []
        for _ in range(_ROUNDS):
            async with FakeAri(password=_SECRET) as ari:
                ari.now_ms = END_MS
                there = config.asterisk.model_copy(update={"url": ari.url})
                daemon = Daemon(config.model_copy(update={"asterisk": there}))
                began_s = time.monotonic()
                async with running(daemon):
                    await ari.connected()
                    rounds.append(time.monotonic() - began_s)
        took[what] = min(rounds)
    report.add(
        "a daemon's start", f"{took['this store']:.2f} s, {took['an empty store']:.2f} s with an empty store"
    )


async def measure(report: Report, url: str, count: int, *, filled: bool) -> None:
    """Fill the store and look at it from inside."""
    store = await Store.open(url, compress=True)
    said = Console(stderr=True)
    if not filled:
        began_s = time.monotonic()
        await fill(store, count, lambda done: said.print(f"{done:,} calls", end="\r", highlight=False))
        took_s = time.monotonic() - began_s
        report.add(f"{count:,} calls stored", f"{took_s:.0f} s, {count / took_s:,.0f} a second")
        began_s = time.monotonic()
        await SumsKeeper(store.engine, SITE).complete(END_MS)
        report.add("sums of a year made", f"{time.monotonic() - began_s:.0f} s")
    sizes = await disk_bytes(store)
    for name, size in sizes.items():
        report.add(f"disk: {name}", f"{size / count:,.0f} bytes a call", "1,024" if name == "all" else "")
    plain = [len(encode(record)) for _, record in zip(range(1_000), records(1_000), strict=False)]
    report.add("a record as it is published", f"{sum(plain) / len(plain):,.0f} bytes")
    await look_up(report, store)
    await compress(report, store)
    await store.close()


def _config(folder: Path, url: str) -> Path:
    config = folder / "callsteward.toml"
    lines = "".join(f'[[lines]]\nname = "{name}"\n' for name in LINES)
    people = "".join(f"[operators.{name}]\n" for name in OPERATORS)
    config.write_text(
        f'[site]\nname = "{SITE}"\ntimezone = "Europe/Moscow"\n'
        f'[store]\nurl = "{url}"\ncompress_records = true\n{lines}{people}'
    )
    config.chmod(0o600)
    return config


@contextlib.contextmanager
def database(engine: str, folder: Path) -> Iterator[str]:
    """The address of an empty database."""
    if engine == "sqlite":
        yield f"sqlite:///{folder}/calls.db"
        return
    with PostgreSql() as server:
        yield server.new_database("year")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=int(os.environ.get("CALLS", "100000")))
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--filled", help="the address of a database that has these calls")
    arguments = parser.parse_args()
    engines = ["sqlite", "postgresql"] if arguments.engine == "both" else [arguments.engine]
    if arguments.filled:
        engines = engines[:1]
    for engine in engines:
        report = Report(f"{arguments.calls:,} calls of a year, {engine}")
        with tempfile.TemporaryDirectory(prefix="callsteward-year-") as name, contextlib.ExitStack() as stack:
            folder = Path(name)
            url = arguments.filled or stack.enter_context(database(engine, folder))
            asyncio.run(measure(report, url, arguments.calls, filled=bool(arguments.filled)))
            asyncio.run(start(report, url, folder))
            ask(report, _config(folder, url))
        report.show()


if __name__ == "__main__":
    main()
