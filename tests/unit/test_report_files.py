"""Reports for Excel, over long spans, and tables without empty rows."""

import csv
import io
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from callsteward.cli import app as cli
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.intervals import report as reporting
from callsteward.intervals.periods import Period, periods
from callsteward.intervals.row import IntervalKind
from callsteward.store.records import Store
from callsteward.terminal import workbook
from callsteward.terminal.files import Csv, Holds
from callsteward.terminal.workbook import Workbook
from tests.unit.intervals.days import DAY_MS
from tests.unit.test_cli_report import CALLS, _filled

DAY = ("--from", "22.11.2026", "--to", "22.11.2026")


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    return _filled(tmp_path)


def ran(*arguments: object) -> tuple[bytes, str]:
    """The outputs on stdout and on stderr."""
    result = CliRunner().invoke(cli.app, [str(item) for item in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes, result.stderr


def sheet(content: bytes) -> list[list[Any]]:
    """The rows of a workbook: texts as they are, numbers as floats, truth as such."""
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        root = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert root.findall(".//x:f", space) == []  # no formula

    def value(cell: ET.Element) -> Any:
        if cell.get("t") == "inlineStr":
            return "".join(part.text or "" for part in cell.iter(f"{{{space['x']}}}t"))
        number = float(cell.findtext("x:v", "nan", space))
        return bool(number) if cell.get("t") == "b" else number

    return [[value(cell) for cell in row] for row in root.findall(".//x:row", space)]


# --- Excel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["report calls", "calls"])
def test_a_csv_for_excel_has_its_separator_comma_and_mark(config, command):
    out, _ = ran(*command.split(), "-c", config, *DAY, "--excel")
    assert out.startswith(b"\xef\xbb\xbfcall_id;site;line;")
    assert out.count(b"\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(out.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert [row["wait_s"] for row in rows] == ["3,347", "25,0", "3,347"]
    assert [row["complete"] for row in rows] == ["true"] * 3
    # In the site's zone, Moscow: Excel reads no offset.
    assert rows[0]["started_at"] == "2026-11-22 11:06:00"
    # Excel takes what begins with a plus for a formula.
    assert rows[0]["client_masked"] == "'+7903***4567"


def test_intervals_for_excel(config):
    out, _ = ran("report", "intervals", "-c", config, *DAY, "--excel")
    rows = list(csv.DictReader(io.StringIO(out.decode("utf-8-sig"), newline=""), delimiter=";"))
    of_eight = next(r for r in rows if r["start"] == "2026-11-22 11:00:00" and r["line"] == "support")
    assert of_eight["start_local"] == "2026-11-22 11:00:00"
    in_utc, _ = ran("report", "intervals", "-c", config, *DAY, "--excel", "--utc")
    assert b"main;support;2026-11-22 08:00:00;" in in_utc
    assert (of_eight["offered"], of_eight["observed_s"], of_eight["acw_s_sum"]) == ("2", "1800,0", "")
    assert of_eight["service_level_answered_abandoned_20"] == "0,5"


def test_ratings_for_excel(config):
    out, _ = ran("report", "ratings", "-c", config, *DAY, "--excel")
    assert out.startswith(b"\xef\xbb\xbfoperator;calls;asked;")


def test_a_text_is_never_a_formula():
    out = io.BytesIO()
    writer = Csv(out, {"a": Holds.TEXT}, excel=UTC)
    writer.write({"a": text} for text in ("=1+1", "@x", "-1", "+7903", "a=b", -1.5))
    assert out.getvalue().decode("utf-8-sig").split("\r\n") == [
        "a", "'=1+1", "'@x", "'-1", "'+7903", "a=b", "-1,5", "",
    ]  # fmt: skip


def test_a_workbook_has_numbers_dates_and_texts(config, tmp_path):
    file = tmp_path / "calls.xlsx"
    ran("report", "calls", "-c", config, *DAY, "--file", file)  # by its ending
    heading, *rows = sheet(file.read_bytes())
    first = dict(
        zip([name for name in heading if name in {"call_id", "site", "line"}], rows[0], strict=False)
    )
    assert first == {"call_id": CALLS[0].call_id, "site": "main", "line": "support"}
    assert "+7903***4567" in rows[0]
    assert 3.347 in rows[0]
    assert rows[0][-1] is True
    assert len(rows) == 3
    # Days since 1899-12-30, as Excel counts them, in Moscow.
    days = (datetime(2026, 11, 22, 11, 6, tzinfo=UTC) - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(
        days=1
    )
    assert min(abs(item - days) for item in rows[0] if isinstance(item, float)) < 1e-6


def test_a_workbook_goes_into_a_pipe_and_not_to_a_terminal(config, monkeypatch):
    out, _ = ran("report", "intervals", "-c", config, *DAY, "--output", "xlsx")
    assert len(sheet(out)) == 1 + 48
    monkeypatch.setattr("callsteward.terminal.printing.on_a_terminal", lambda: True)
    result = CliRunner().invoke(cli.app, ["report", "intervals", "-c", str(config), "--output", "xlsx"])
    assert result.exit_code == 2
    assert "xlsx is binary" in result.output


def test_without_xlsxwriter_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(CallstewardError, match=r"pip install 'callsteward\[xlsx\]'"):
        Workbook(io.BytesIO(), {"site": Holds.TEXT}, UTC)


def test_more_rows_than_a_sheet_has_are_refused(monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    book = Workbook(io.BytesIO(), {"site": Holds.TEXT}, UTC)
    book.write([{"site": "main"}] * 2)
    with pytest.raises(CallstewardError, match="a sheet holds 2 rows"):
        book.write([{"site": "main"}])


# --- days, weeks, months -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "starts", "offered"),
    [
        ("day", ["2026-11-22", "2026-11-23"], [3, 1]),
        ("week", ["2026-11-16", "2026-11-23"], [3, 1]),
        ("month", ["2026-11-01"], [4]),
    ],
)
def test_a_long_slot_is_the_sites_and_adds_up_to_the_short_ones(config, every, starts, offered):
    # 23:54 UTC is the next day in Moscow.
    when = ("--from", "22.11.2026", "--to", "23.11.2026")
    out, said = ran("report", "intervals", "-c", config, *when, "--every", every, "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(out.decode())))
    assert sorted({row["start_local"] for row in rows}) == [f"{start}T00:00:00+03:00" for start in starts]
    found = [
        sum(int(r["offered"] or 0) for r in rows if r["start_local"].startswith(start)) for start in starts
    ]
    assert found == offered
    assert said == f"{len(rows)} rows: {len(starts)} slots of a {every}, Europe/Moscow\n"


async def test_a_day_has_the_sums_of_its_half_hours(config, tmp_path):
    settings = Config.model_validate({"site": {"timezone": "UTC"}, "lines": [{"name": "support"}]})
    store = await Store.open(f"sqlite:///{tmp_path / 'calls.db'}")
    end = DAY_MS + 86_400_000
    try:
        short = [
            row
            async for rows in reporting.intervals(settings, store, IntervalKind.LINE, DAY_MS, end, 30)
            for row in rows
        ]
        spans = periods(DAY_MS, end, Period.DAY, settings.site.zone)
        long = [
            row
            async for rows in reporting.of_periods(settings, store, IntervalKind.LINE, spans)
            for row in rows
        ]
    finally:
        await store.close()
    assert [(row.name, row.minutes) for row in long] == [("sales", 1440), ("support", 1440)]
    for row in long:
        for key in ("offered", "answered", "talk_s_sum", "observed_s"):
            halves = [one.values[key] or 0 for one in short if one.name == row.name]
            assert row.values[key] == pytest.approx(sum(halves))


# --- the table -----------------------------------------------------------------------------------------


def test_a_table_begins_with_the_first_call_and_ends_with_the_last(config):
    day = ("-c", config, *DAY, "--utc", "--output", "table", "--line", "support")
    out, said = ran("report", "intervals", *day)
    told = [line.split() for line in out.decode().splitlines() if "support" in line]
    assert [line[0] for line in told] == ["08:00", "08:30", "total"]
    assert told[-1][2] == "3"
    assert said == (
        "48 rows: 48 slots of 30 min, 46 of them empty before the first call or after the last and not shown,"
        " UTC\n"
    )
    # What is seen counts in the total all the same.
    assert told[-1][-1] == "14h00"


def test_a_table_of_days_has_dates(config):
    out, _ = ran(
        "report", "intervals", "-c", config, "--from", "21.11.2026", "--to", "24.11.2026", "--every", "day",
        "--output", "table", "--line", "support",
    )  # fmt: skip
    assert [line.split()[0] for line in out.decode().splitlines() if "support" in line] == [
        "2026-11-22",
        "total",
    ]


def test_operators_who_were_there_are_shown_without_calls(config):
    out, _ = ran("report", "operators", "-c", config, *DAY, "--utc", "--output", "table")
    told = [line.split()[0] for line in out.decode().splitlines() if " 101 " in line]
    assert (told[0], told[-2], told[-1]) == ("06:00", "23:30", "total")


def test_a_span_without_calls_is_one_line_of_totals(config):
    out, said = ran("report", "intervals", "-c", config, "--from", "1.11.2026", "--to", "1.11.2026",
                    "--output", "table", "--line", "support")  # fmt: skip
    assert [line.split()[0] for line in out.decode().splitlines() if "support" in line] == ["total"]
    assert "48 of them empty" in said


def test_the_same_day_by_every_name(config):
    today = datetime.now(UTC).date()
    names = ("today", today.isoformat(), f"{today:%d.%m.%Y}", f"{today:%A}".lower())
    outs = {
        ran("report", "intervals", "-c", config, "--utc", "--from", name, "--output", "csv") for name in names
    }
    assert len(outs) == 1
