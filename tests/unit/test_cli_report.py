"""`callsteward report` and `schema`, run as an analyst runs them."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from callsteward import features
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.feed import contract
from callsteward.intervals import report as reporting
from callsteward.intervals.presence import Change
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.store import IntervalStore
from callsteward.intervals.table import interval_table
from callsteward.record.call import CallRecord, Outcome, encode
from callsteward.store.records import Store
from callsteward.terminal.files import Holds, Parquet, Target
from callsteward.terminal.tables import CSV_COLUMNS
from tests.unit import forked
from tests.unit.intervals.days import DAY_MS, HOUR_MS, at, call

CALLS = [
    call(1, 8.1, ended_at=at(8.2)),
    call(2, 8.4, ended_at=at(8.6), wait_s=25.0),
    call(3, 8.6, ended_at=at(8.61), outcome=Outcome.ABANDONED, operator=None, talk_s=0.0, attempts=()),
    call(4, 23.9, ended_at=at(24.1), line="sales"),
]


def callsteward(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return forked.run(*arguments, environment={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"})


def _filled(folder: Path, zone: str = "Europe/Moscow", records: list[CallRecord] | None = None) -> Path:
    """A configuration whose store holds the calls, watched from 06:00 to 20:00 UTC."""
    file = folder / "callsteward.toml"
    url = f"sqlite:///{folder / 'calls.db'}"
    file.write_text(
        f'[site]\nname = "main"\ntimezone = "{zone}"\n[store]\nurl = "{url}"\n'
        '[[lines]]\nname = "support"\n[operators.101]\n[intervals]\nanswer_within_s = [20]\n'
    )

    async def fill() -> None:
        store = await Store.open(url)
        await store.save(CALLS if records is None else records)
        intervals = IntervalStore(store.engine, "main")
        span = await intervals.watch_from(DAY_MS + 6 * HOUR_MS, kept_since_ms=None)
        await intervals.watch_until(span, DAY_MS + 20 * HOUR_MS)
        await intervals.phone_changes([("101", Change(DAY_MS + 6 * HOUR_MS, "NOT_INUSE"))])
        await store.close()

    asyncio.run(fill())
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return _filled(tmp_path)


def _csv(*arguments: object) -> list[dict[str, str]]:
    result = callsteward("report", *arguments, "--output", "csv")
    assert result.returncode == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout.decode())))


def test_the_csv_has_every_slot_of_the_day_for_every_line(config: Path) -> None:
    rows = _csv("intervals", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22", "--utc")
    assert [(row["line"], row["start"]) for row in rows] == [
        (line, f"2026-11-22T{slot // 2:02d}:{slot % 2 * 30:02d}:00Z")
        for slot in range(48)
        for line in ("sales", "support")
    ]

    def of(time: str, line: str) -> dict[str, str]:
        wanted = (f"2026-11-22T{time}:00Z", line)
        return next(row for row in rows if (row["start"], row["line"]) == wanted)

    of_eight = of("08:00", "support")
    assert (of_eight["offered"], of_eight["answered"], of_eight["answered_le_20"]) == ("2", "2", "1")
    assert of_eight["service_level_answered_abandoned_20"] == "0.5"
    assert of_eight["observed_s"] == "1800.0"
    assert of_eight["acw_s_sum"] == ""
    quiet = of("10:00", "support")
    assert (quiet["offered"], quiet["talk_s_sum"]) == ("0", "0.0")
    # nobody watched: empty cells, no zeros
    night = of("21:00", "support")
    assert (night["offered"], night["observed_s"]) == ("", "0.0")
    late = of("23:30", "sales")
    assert (late["offered"], late["concurrent_max"]) == ("1", "1")


def test_the_columns_of_the_csv_are_a_contract(config: Path) -> None:
    for subject, kind in (("intervals", IntervalKind.LINE), ("operators", IntervalKind.OPERATOR)):
        result = callsteward("report", subject, "-c", config, "--from", "2026-11-22", "--to", "2026-11-22")
        header = result.stdout.decode().splitlines()[0].split(",")
        assert header == list(reporting.columns(kind, (20,)))
    assert header[:9] == [
        "site",
        "operator",
        "start",
        "end",
        "start_local",
        "minutes",
        "observed_s",
        "staffed_s",
        "available_s",
    ]


@pytest.mark.parametrize(("day", "half_hours"), [("2026-03-29", 46), ("2026-10-25", 50), ("2026-11-22", 48)])
def test_a_day_on_which_the_clocks_change_has_its_own_number_of_slots(
    tmp_path: Path, day: str, half_hours: int
) -> None:
    config = _filled(tmp_path, "Europe/Berlin", [])
    rows = _csv("intervals", "-c", config, "--from", day, "--to", day)
    assert len(rows) == half_hours
    starts = [datetime.fromisoformat(row["start"]) for row in rows]
    assert {after - before for before, after in itertools.pairwise(starts)} == {timedelta(minutes=30)}
    local = [row["start_local"] for row in rows]
    assert local[0].startswith(f"{day}T00:00:00")
    assert local[-1].startswith(f"{day}T23:30:00")
    assert len(set(local)) == half_hours
    in_utc = _csv("intervals", "-c", config, "--from", day, "--to", day, "--utc")
    assert len(in_utc) == 48
    assert in_utc[0]["start"] == f"{day}T00:00:00Z"


def test_slots_of_another_length_add_up_to_the_same(config: Path) -> None:
    day = ("-c", config, "--from", "2026-11-22", "--to", "2026-11-22")
    sums = []
    for every, count in (("15m", 96), ("30m", 48), ("60m", 24)):
        rows = _csv("intervals", *day, "--every", every, "--line", "support")
        assert len(rows) == count
        sums.append(
            [
                round(sum(float(row[key] or 0) for row in rows), 3)
                for key in ("offered", "wait_s_sum", "talk_s_sum")
            ]
        )
    assert sums[0] == sums[1] == sums[2] == [3.0, 31.694, 80.0]


def test_operators_have_the_time_their_phone_was_there(config: Path) -> None:
    rows = _csv("operators", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22", "--utc")
    by_start = {row["start"]: row for row in rows if row["operator"] == "101"}
    eight = by_start["2026-11-22T08:00:00Z"]
    assert (eight["answered"], eight["staffed_s"], eight["available_s"]) == ("2", "1800.0", "1800.0")
    assert by_start["2026-11-22T21:00:00Z"]["staffed_s"] == ""


def test_jsonl_and_parquet_say_what_the_csv_says(config: Path, tmp_path: Path) -> None:
    day = ("intervals", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22")
    rows = _csv(*day)
    lines = callsteward("report", *day, "--output", "jsonl").stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert [[*row] for row in told] == [[*row] for row in rows]
    file = tmp_path / "day.parquet"
    assert callsteward("report", *day, "--output", "parquet", "--file", file).returncode == 0
    table = pq.read_table(file)
    assert table.column_names == [*rows[0]]
    assert str(table.schema.field("start").type) == "timestamp[ms, tz=UTC]"
    assert str(table.schema.field("talk_s_sum").type) == "double"
    assert str(table.schema.field("offered").type) == "int64"
    read = table.to_pylist()
    for row, told_row in zip(read, told, strict=True):
        assert row.pop("start") == datetime.fromisoformat(told_row.pop("start"))
        assert row.pop("end") == datetime.fromisoformat(told_row.pop("end"))
        assert row == told_row
    assert list(tmp_path.glob(".*")) == []


def test_calls_are_reported_one_by_one(config: Path, tmp_path: Path) -> None:
    day = ("calls", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22", "--utc")
    rows = _csv(*day)
    assert [row["call_id"] for row in rows] == ["1", "2", "3", "4"]
    assert [*rows[0]] == list(CSV_COLUMNS)
    assert rows[0]["complete"] == "true"
    lines = callsteward("report", *day, "--output", "jsonl").stdout.splitlines()
    assert lines == [encode(record) for record in CALLS]
    file = tmp_path / "calls.parquet"
    assert callsteward("report", *day, "--output", "parquet", "--file", file).returncode == 0
    table = pq.read_table(file)
    assert table.column_names == list(CSV_COLUMNS)
    assert table["complete"].to_pylist() == [True] * 4
    assert table["wait_s"].to_pylist() == [3.347, 25.0, 3.347, 3.347]
    assert table["started_at"].to_pylist()[0] == datetime.fromisoformat(CALLS[0].started_at or "")
    shown = callsteward("report", *day, "--output", "table", "--line", "sales")
    assert "sales" in shown.stdout.decode()
    assert shown.stderr.decode().splitlines() == [
        "calls: 1 (completed 1)",
        "warning: the configuration has no line 'sales'; there is support, default",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("intervals", "--from", "2026-11-23", "--to", "2026-11-22"), "--to is not after --from"),
        (("intervals", "--from", "1999-01-01", "--to", "2026-11-22"), "more than ten years"),
        (("intervals", "--from", "someday"), "write today, yesterday, monday, 22.11.2026, 2026-11-22 or"),
        (("intervals", "--from", "31.11.2026"), "'31.11.2026' is no date or time"),
        (("calls", "--excel", "--output", "jsonl"), "it is a form of csv"),
        (("intervals", "--every", "45m"), "45m"),
        (("calls", "--every", "30m"), "No such option: --every"),
        (("intervals", "--output", "table", "--file", "x"), "a table is for a terminal"),
        (("everything",), "everything"),
    ],
)
def test_wrong_usage_is_named(config: Path, arguments: tuple[str, ...], said: str) -> None:
    result = callsteward("report", *arguments, "-c", config)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.decode().replace("│", " ").split())


def _fails_half_way(file: Path) -> None:
    with Target(file) as out:
        out.write(b"half")
        message = "the store failed"
        raise CallstewardError(message)


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(config: Path, tmp_path: Path) -> None:
    result = callsteward("report", "intervals", "-c", config, "--file", tmp_path / "nowhere" / "x.csv")
    assert result.returncode == 1
    assert "cannot write" in result.stderr.decode()
    file = tmp_path / "y.csv"
    with pytest.raises(CallstewardError):
        _fails_half_way(file)
    assert not file.exists()
    assert list(tmp_path.glob(".y*")) == []


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CallstewardError, match=r"pip install 'callsteward\[parquet\]'"):
        Parquet(io.BytesIO(), {"site": Holds.TEXT})


def test_the_table_shows_sums_averages_and_a_total(config: Path) -> None:
    arguments = ("-c", config, "--from", "2026-11-22T11:00:00+03:00", "--to", "2026-11-22T12:00:00+03:00")
    lines = callsteward("report", "intervals", *arguments, "--line", "support", "--output", "table")
    told = [line.split() for line in lines.stdout.decode().splitlines() if line.strip()]
    assert told[0][:8] == ["time", "line", "offered", "answ", "aband", "short", "lost", "SL"]
    assert told[2][:10] == ["11:00", "support", "2", "2", "0", "0", "0", "50%", "14", "45"]
    assert told[3][:10] == ["11:30", "support", "1", "0", "1", "0", "0", "0%", "-", "-"]
    assert told[4][:10] == ["total", "support", "3", "2", "1", "0", "0", "33%", "14", "45"]
    operators = callsteward("report", "operators", *arguments, "--output", "table").stdout.decode()
    row = next(line.split() for line in operators.splitlines() if "11:00" in line)
    assert " ".join(row) == "11:00 101 2 2 0 1:20 0:10 45 0 0 0 0 0 30:00 30:00"


def _shown(rows: list[IntervalRow], zone: Any, width: int = 120) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(interval_table(rows, IntervalKind.LINE, zone, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset(tmp_path: Path) -> None:
    config = Config.model_validate({"site": {"timezone": "Europe/Berlin"}, "lines": [{"name": "support"}]})
    start = round(datetime.fromisoformat("2026-10-25T00:00:00+00:00").timestamp() * 1000)

    async def read() -> list[IntervalRow]:
        store = await Store.open(f"sqlite:///{tmp_path / 'calls.db'}")
        try:
            found = reporting.intervals(config, store, IntervalKind.LINE, start, start + 2 * HOUR_MS, 60)
            return [row async for rows in found for row in rows]
        finally:
            await store.close()

    rows = asyncio.run(read())
    told = [line.split()[0] for line in _shown(rows, config.site.zone)]
    assert told[2:4] == ["02:00+02", "02:00+01"]
    narrow = _shown(rows, config.site.zone, width=80)
    assert "seen" not in narrow[0]
    assert max(map(len, narrow)) <= 80
    assert "seen" in _shown(rows, config.site.zone)[0]


# --- schema -----------------------------------------------------------------------------------------


def test_schema_prints_the_document_a_schema_and_their_names(tmp_path: Path, config: Path) -> None:
    document = json.loads(callsteward("schema").stdout)
    assert document == contract.asyncapi(features.topics())
    names = callsteward("schema", "--list").stdout.decode().split()
    assert names == sorted(contract.json_schemas(features.topics()))
    one = json.loads(callsteward("schema", "callsteward.call/1").stdout)
    jsonschema.Draft202012Validator.check_schema(one)
    assert one == contract.json_schemas(features.topics())["callsteward.call/1"]
    wrong = callsteward("schema", "callsteward.nothing/1")
    assert wrong.returncode == 2
    written = callsteward("schema", "--folder", tmp_path / "contract")
    assert written.returncode == 0
    assert {file.name for file in (tmp_path / "contract").iterdir()} == set(
        contract.shipped_files(features.topics())
    )
    own = json.loads(callsteward("schema", "-c", config).stdout)
    assert own["channels"]["status"]["address"] == "callsteward/main/status"
    assert "parameters" not in own["channels"]["status"]


def test_stored_sums_are_made_again_and_give_the_same_report(config: Path) -> None:
    asked = ("intervals", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22", "--utc")
    before = _csv(*asked)
    done = callsteward("report", "rebuild", "-c", config)
    assert (done.returncode, done.stdout) == (0, b"")
    assert re.fullmatch(rb"sums of \d+ days made in \d+ s\n", done.stderr)
    with contextlib.closing(sqlite3.connect(config.parent / "calls.db")) as database:
        # From the start of the first day to now: every quarter of an hour, and each day that is over.
        first, slots = database.execute(
            "SELECT min(start_ms), count(*) FROM slot_sums WHERE minutes = 15"
        ).fetchone()
        days = database.execute("SELECT count(*) FROM slot_sums WHERE minutes = 1440").fetchone()[0]
        assert first == DAY_MS
        assert slots >= 96 * days >= 96
        stale = database.execute("SELECT count(*) FROM slot_changes WHERE summed IS NOT changes").fetchone()[
            0
        ]
    assert stale == 0
    assert _csv(*asked) == before
    again = callsteward("report", "rebuild", "--missing", "-c", config)
    assert again.stderr.startswith(b"sums of 0 days made")


def test_a_day_is_read_from_its_sums_where_these_are_made(config: Path) -> None:
    callsteward("report", "rebuild", "-c", config)
    with contextlib.closing(sqlite3.connect(config.parent / "calls.db")) as database, database:
        database.execute("DELETE FROM calls")
    rows = _csv(
        "operators", "-c", config, "--from", "2026-11-22", "--to", "2026-11-22", "--every", "day", "--utc"
    )
    assert [(row["operator"], row["answered"], row["staffed_s"]) for row in rows] == [("101", "3", "50400.0")]
