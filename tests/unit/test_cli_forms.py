"""Every list in every form: a table, JSON lines, CSV, an Excel workbook, Parquet; on stdout, into a file."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from callsteward.lost.calls import LostCalls
from callsteward.rating.complaints import Complaints
from callsteward.record.call import Outcome
from callsteward.record.facts import CallEnded
from callsteward.record.tag import Tag
from callsteward.store.direct import flush
from callsteward.store.records import Store
from callsteward.terminal.tables import CSV_COLUMNS
from tests.unit.store.samples import RECORD
from tests.unit.tags.desk import FrontDesk
from tests.unit.test_cli_options import ran
from tests.unit.test_report_files import sheet

# Lists whose JSON lines are flat: what their other forms say.
FLAT = ("callbacks", "tags", "complaints list", "dnc list", "zones list")
# Those that print call records.
RECORDS = ("calls", "lost", "report calls --from 2020-01-01", "replay CAPTURE")
CAPTURE = Path(__file__).parents[1] / "replay" / "captures" / "netdrop.jsonl"
AT_MS = 1_795_314_131_654


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with one of everything, and a second tag."""
    folder = tmp_path_factory.mktemp("forms")
    file = folder / "c.toml"
    url = f"sqlite:///{folder}/calls.db"
    file.write_text(f'[store]\nurl = "{url}"\n[privacy]\nhmac_key = "key"\n')

    async def fill() -> None:
        store = await Store.open(url)
        desk = FrontDesk(store)
        await desk.talk("1.1")
        await desk.tag(Tag.DROPPED, "1.1")
        await desk.tag(Tag.COMMENT, "1.1", value="=1+1")
        missed = msgspec.structs.replace(RECORD, call_id="1.2", outcome=Outcome.ABANDONED, answered_at=None)
        LostCalls(store.engine, "main").note([CallEnded(missed)], lambda _: None)
        await flush(store.engine)
        await store.save([missed])
        await Complaints(store.engine, "main").raise_(
            call_id="1.1", line="support", operator="101", client_masked="+7903***4567", client_ref=None,
            reason="low_rating", score=1, at_ms=AT_MS,
        )  # fmt: skip
        await store.close()

    asyncio.run(fill())
    assert ran("dnc", "add", "+7 900 000-00-01", "--comment", "asked", "-c", file).exit_code == 0
    (folder / "zones.csv").write_text("+79000000001,Asia/Omsk\n")
    assert ran("zones", "import", folder / "zones.csv", "-c", file).exit_code == 0
    return file


def out_of(config: Path, command: str, *more: object) -> bytes:
    words = command.replace("CAPTURE", str(CAPTURE)).split()
    result = ran(*words, "-c", config, *more)
    assert result.exit_code == 0, result.output
    # How many there were is said in every form, and on stderr.
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stdout_bytes


def as_text(value: Any) -> str:
    # What a spreadsheet would run stands behind an apostrophe.
    return "" if value is None else f"'{value}" if str(value).startswith("=") else str(value)


@pytest.mark.parametrize("command", FLAT)
def test_a_list_says_the_same_in_every_form(config: Path, command: str, tmp_path: Path) -> None:
    told = [json.loads(line) for line in out_of(config, command, "--output", "jsonl").splitlines()]
    assert len(told) == {"tags": 2}.get(command, 1)
    text = out_of(config, command, "--output", "csv").decode()
    assert list(csv.DictReader(io.StringIO(text))) == [
        {name: as_text(value) for name, value in row.items()} for row in told
    ]
    file = tmp_path / "list.parquet"
    out_of(config, command, "--file", file)
    table = pq.read_table(file)
    moments = {field.name for field in table.schema if str(field.type) == "timestamp[ms, tz=UTC]"}
    assert moments == {name for name in told[0] if name == "at" or name.endswith("_at")}
    assert table.to_pylist() == [
        {
            name: datetime.fromisoformat(value) if name in moments and value else value
            for name, value in row.items()
        }
        for row in told
    ]
    heading, *rows = sheet(out_of(config, command, "--output", "xlsx"))
    assert heading == list(told[0])
    assert len(rows) == len(told)
    excel = out_of(config, command, "--excel").decode("utf-8-sig")
    assert excel.splitlines()[0] == ";".join(told[0])


@pytest.mark.parametrize("command", [*FLAT, *RECORDS])
def test_a_list_is_a_table_for_people(config: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = out_of(config, command, "--output", "table")
    assert asked.startswith(b" ") or b"\n" in asked
    with pytest.raises(json.JSONDecodeError):
        json.loads(asked.splitlines()[0] or b"-")
    monkeypatch.setattr("callsteward.terminal.printing.on_a_terminal", lambda: True)
    assert out_of(config, command) == asked


@pytest.mark.parametrize("command", RECORDS)
def test_call_records_have_their_columns_in_every_form(config: Path, command: str, tmp_path: Path) -> None:
    count = len(out_of(config, command, "--output", "jsonl").splitlines())
    assert count == (1 if command.startswith(("lost", "replay")) else 2)
    rows = list(csv.reader(io.StringIO(out_of(config, command, "--output", "csv").decode())))
    assert rows[0] == list(CSV_COLUMNS)
    assert len(rows) == count + 1
    file = tmp_path / "calls.parquet"
    out_of(config, command, "--file", file)
    table = pq.read_table(file)
    assert (table.column_names, table.num_rows) == (list(CSV_COLUMNS), count)
    assert str(table.schema.field("attempt_count").type) == "int64"
    assert str(table.schema.field("operator").type) == "string"
    assert len(sheet(out_of(config, command, "--output", "xlsx"))) == count + 1


@pytest.mark.parametrize(
    "command", [*FLAT, *RECORDS, "report ratings", "report intervals", "report operators"]
)
def test_what_does_not_go_together_is_refused_alike(
    config: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command.replace("CAPTURE", str(CAPTURE)).split()
    monkeypatch.setattr("callsteward.terminal.printing.on_a_terminal", lambda: True)
    for arguments, said in (
        (("--excel", "--output", "jsonl"), "it is a form of csv"),
        (("--output", "table", "--file", tmp_path / "x"), "a table is for a terminal"),
        (("--output", "xlsx"), "xlsx is binary"),
        (("--output", "yaml"), "'yaml' is not one of"),
    ):
        result = ran(*words, *arguments, "-c", config)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in " ".join(result.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_ten_thousand_rows_are_three_groups_of_a_parquet_file(tmp_path: Path) -> None:
    from callsteward.terminal.files import Holds, Parquet

    file = tmp_path / "x.parquet"
    with file.open("wb") as out:
        writer = Parquet(out, {"n": Holds.COUNT})
        for number in range(10_001):
            writer.write([{"n": number}])
        writer.close()
    read = pq.ParquetFile(file)
    assert read.num_row_groups == 3
    assert read.read()["n"].to_pylist() == list(range(10_001))
