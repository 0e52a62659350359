"""The command line, run as a user runs it: a process, its stdout, stderr and exit code."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from callsteward import __version__
from callsteward.record.call import CallRecord
from callsteward.store.records import Store
from callsteward.store.stored import decode
from callsteward.terminal.tables import CSV_COLUMNS
from tests.unit import forked

REPOSITORY = Path(__file__).parents[2]
CAPTURES = REPOSITORY / "tests" / "replay" / "captures"
COMMAND = str(Path(sys.executable).with_name("callsteward"))


def callsteward(
    *arguments: object, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return forked.run(
        *arguments,
        stdin=stdin,
        cwd=REPOSITORY,
        environment={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **environment},
    )


def records(result: subprocess.CompletedProcess[bytes]) -> list[CallRecord]:
    return [decode(line) for line in result.stdout.splitlines()]


def test_help_names_every_command():
    result = callsteward("--help")
    assert result.returncode == 0
    for command in (
        "run",
        "replay",
        "record",
        "calls",
        "check",
        "demo",
        "config-schema",
        "callbacks",
        "dnc",
        "lost",
    ):
        assert f" {command} " in result.stdout.decode()


def test_version():
    """Of the installed command itself: what else is run here comes without a new interpreter (`forked`)."""
    result = subprocess.run([COMMAND, "--version"], capture_output=True, check=True, timeout=60)
    assert result.stdout.decode() == f"callsteward {__version__}\n"
    assert callsteward("--version").stdout == result.stdout


def test_config_schema_is_a_json_schema():
    schema = json.loads(callsteward("config-schema").stdout)
    assert schema["type"] == "object"
    assert set(schema["properties"]) >= {"site", "asterisk", "lines", "profiles", "mqtt", "store"}
    # A table has the same name in every release, whatever its class is called.
    tables = {"Agi", "Asterisk", "Callback", "Commands", "Mqtt", "Rating", "Site", "Store", "Tags"}
    assert set(schema["$defs"]) >= tables
    assert {schema["$defs"][table]["title"] for table in tables} == tables
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:callsteward:configuration"


def test_every_key_of_the_configuration_is_described():
    schema = json.loads(callsteward("config-schema").stdout)

    def described(key: dict[str, Any]) -> bool:
        table = schema["$defs"].get(key.get("$ref", "").removeprefix("#/$defs/"), {})
        return bool(key.get("description") or table.get("description"))

    tables = {"": schema, **schema["$defs"]}
    assert [
        f"{table}.{name}"
        for table, found in tables.items()
        for name, key in found.get("properties", {}).items()
        if not described(key)
    ] == []
    assert [table for table, found in tables.items() if not found.get("description")] == []


@pytest.mark.parametrize("command", [("run",), ("record", "x"), ("calls",), ("check",), ("replay", "-")])
def test_a_wrong_config_stops_every_command_with_2(command, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[mqtt]\nport = 'x'\n")
    result = callsteward(*command, "-c", file)
    assert result.returncode == 2
    assert b"c.toml: mqtt.port: must be a whole number (is 'x')" in result.stderr
    assert b"Traceback" not in result.stderr


def test_an_unreadable_secret_stops_the_daemon_before_it_starts(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[mqtt]\npassword_file = '/nonexistent/secret'\n")
    result = callsteward("run", "-c", file)
    assert result.returncode == 2
    assert b"cannot read the secret file /nonexistent/secret" in result.stderr


# --- replay -------------------------------------------------------------------------------------------


def test_replay_prints_one_record_a_line_and_nothing_else():
    result = callsteward("replay", CAPTURES / "hold2.jsonl")
    assert result.returncode == 0
    (record,) = records(result)
    assert record.outcome == "completed"
    assert len(record.holds) == 2
    assert result.stdout.endswith(b"}\n")
    assert b"records: 1, events: 42, of other types: 97, broken lines: 0" in result.stderr


def test_replay_takes_each_file_as_a_stream_of_its_own():
    names = ("netdrop", "client_bye", "netdrop")
    result = callsteward("replay", *(CAPTURES / f"{name}.jsonl" for name in names))
    assert [record.outcome for record in records(result)] == [
        "mid_dialogue_drop",
        "completed",
        "mid_dialogue_drop",
    ]


def test_replay_connects_nowhere_and_so_only_warns_of_a_configuration_that_everybody_can_read(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[asterisk]\npassword = "hidden words"\n')
    file.chmod(0o644)
    result = callsteward("replay", CAPTURES / "hold2.jsonl", "-c", file)
    assert result.returncode == 0
    assert f"warning: {file}: it holds secrets (asterisk.password)" in result.stderr.decode()
    assert len(records(result)) == 1


def test_replay_reads_standard_input():
    stream = (CAPTURES / "client_bye.jsonl").read_bytes()
    piped = callsteward("replay", "-", stdin=stream)
    assert piped.stdout == callsteward("replay", CAPTURES / "client_bye.jsonl").stdout


def test_replay_is_the_same_every_time():
    files = sorted(CAPTURES.glob("*.jsonl"))
    assert callsteward("replay", *files).stdout == callsteward("replay", *files).stdout


def test_replay_prints_a_table_where_asked():
    result = callsteward("replay", CAPTURES / "netdrop.jsonl", "--output", "table")
    assert "+7903***4567" in result.stdout.decode()
    assert "mid dialogue drop" in " ".join(result.stdout.decode().split())


def test_broken_lines_are_named_by_number_and_skipped(tmp_path):
    lines = (CAPTURES / "client_bye.jsonl").read_bytes().splitlines()
    lines[1:1] = [b"{ broken", b"", b'{"type": "Dial"}', b"\xff\xfe", b"[]"]
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b"\n".join(lines))
    result = callsteward("replay", file)
    assert result.returncode == 0
    assert result.stdout == callsteward("replay", CAPTURES / "client_bye.jsonl").stdout
    complaints = [line for line in result.stderr.decode().splitlines() if line.startswith(str(file))]
    assert [line.split(":")[1] for line in complaints] == ["2", "4", "5", "6"]
    assert b"broken lines: 4" in result.stderr


def test_strict_stops_at_the_first_broken_line(tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b"{ broken\n" + (CAPTURES / "client_bye.jsonl").read_bytes())
    result = callsteward("replay", file, "--strict")
    assert result.returncode == 1
    assert result.stdout == b""
    assert f"{file}:1: not an ARI event".encode() in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_stream_cut_in_the_middle_of_a_call_gives_an_incomplete_record():
    lines = (CAPTURES / "hold2.jsonl").read_bytes().splitlines(keepends=True)
    (record,) = records(callsteward("replay", "-", stdin=b"".join(lines[: len(lines) // 2])))
    assert not record.complete


def test_an_empty_file_gives_no_records():
    result = callsteward("replay", "-", stdin=b"")
    assert (result.returncode, result.stdout) == (0, b"")


def test_a_missing_file_is_wrong_usage():
    result = callsteward("replay", "/nonexistent.jsonl")
    assert result.returncode == 2
    assert b"/nonexistent.jsonl" in result.stderr


def test_a_reader_that_goes_away_is_no_error_message():
    files = " ".join(str(file) for file in sorted(CAPTURES.glob("*.jsonl")) * 8)
    result = subprocess.run(
        ["bash", "-c", f"{COMMAND} replay {files} | head -c 10"], capture_output=True, check=False, timeout=60
    )
    assert result.stdout == b'{"schema":'
    assert b"Traceback" not in result.stderr
    assert b"Exception ignored" not in result.stderr


# --- calls --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A configuration whose store holds the nine captures' calls of 2026-11-22, 02:01 to 02:24 UTC."""
    folder = tmp_path_factory.mktemp("site")
    file = folder / "c.toml"
    url = f"sqlite:///{folder}/calls.db"
    file.write_text(f'[store]\nurl = "{url}"\n[[lines]]\nname = "support"\nqueues = ["support"]\n')
    result = callsteward("replay", *sorted(CAPTURES.glob("*.jsonl")), "-c", file)

    async def fill() -> None:
        store = await Store.open(url)
        await store.save(records(result))
        await store.close()

    asyncio.run(fill())
    return file


def test_calls_are_listed_oldest_first(site):
    found = records(callsteward("calls", "-c", site))
    assert len(found) == 9
    assert [record.started_at for record in found] == sorted(str(record.started_at) for record in found)


def test_a_call_that_cannot_be_read_is_named_and_the_others_are_listed(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n')

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        await store.save(records(callsteward("replay", *sorted(CAPTURES.glob("*.jsonl")), "-c", file)))
        await store.close()

    asyncio.run(fill())
    with sqlite3.connect(tmp_path / "calls.db") as database:
        [damaged] = database.execute("SELECT call_id FROM calls ORDER BY at_ms LIMIT 1").fetchone()
        database.execute("UPDATE calls SET packed = NULL, record = '}' WHERE call_id = ?", [damaged])
    database.close()
    span = ("--from", "2026-11-22", "--to", "2026-11-23")
    for command in (("calls",), ("report", "calls", *span), ("report", "intervals", *span)):
        result = callsteward(*command, "-c", file)
        assert result.returncode == 0, result.stderr
        warned = f"warning: the stored record of call {damaged} cannot be read and is left out: "
        assert result.stderr.decode().count(warned) == 1
    assert len(records(callsteward("calls", "-c", file))) == 8


def test_calls_of_a_line(site):
    assert {record.line for record in records(callsteward("calls", "-c", site, "--line", "support"))} == {
        "support"
    }


def test_calls_by_outcome(site):
    (drop,) = records(callsteward("calls", "-c", site, "--outcome", "mid_dialogue_drop"))
    assert drop.callback.decision == "due"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        # The site is in Moscow, three hours ahead of UTC.
        (("--from", "2026-11-22"), 9),
        (("--to", "2026-11-22"), 9),
        (("--to", "2026-11-21"), 0),
        (("--from", "2026-11-22T05:18:00", "--to", "2026-11-22T05:20:18"), 2),
        (("--from", "2026-11-22T02:18:00Z", "--to", "2026-11-22T02:20:18+00:00"), 2),
        (("--limit", "3"), 3),
    ],
)
def test_calls_of_a_time(site, options, count):
    assert len(records(callsteward("calls", "-c", site, *options))) == count


@pytest.mark.parametrize("when", ["someday", "2026-13-01", "31.11.2026", "", "9999-12-31"])
def test_a_wrong_time_is_wrong_usage(site, when):
    result = callsteward("calls", "-c", site, "--to", when)
    assert result.returncode == 2
    assert b"is no date or time; write today, yesterday, monday, 22.11.2026, 2026-11-22 or" in b" ".join(
        result.stderr.replace(b"\xe2\x94\x82", b"").split()
    )


def test_a_span_that_ends_before_it_begins_is_wrong_usage(site):
    result = callsteward("calls", "-c", site, "--from", "2026-11-23", "--to", "2026-11-21")
    assert result.returncode == 2


def test_a_wrong_outcome_is_answered_with_those_there_are(site):
    result = callsteward("calls", "-c", site, "--outcome", "lost")
    assert result.returncode == 2
    assert b"mid_dialogue_drop" in result.stderr


def test_calls_as_csv_have_a_stable_header(site):
    lines = callsteward("calls", "-c", site, "--output", "csv").stdout.decode().splitlines()
    assert lines[0].split(",") == list(CSV_COLUMNS)
    assert len(lines) == 10
    row = dict(zip(CSV_COLUMNS, lines[1].split(","), strict=True))
    assert row["client_masked"] == "+7903***4567"
    assert row["hangup_first"] == "client"
    assert row["rating_score"] == ""


def test_calls_as_a_table(site):
    out = callsteward("calls", "-c", site, "--output", "table")
    assert out.stdout.decode().count("+7903***4567") == 9
    assert b"calls: 9 (" in out.stderr


# --- check --------------------------------------------------------------------------------------------


def test_check_says_what_is_missing_where_nothing_is_there(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        "[asterisk]\nurl = 'http://127.0.0.1:9'\npassword = 'x'\n[mqtt]\nport = 9\n"
        "[store]\nurl = 'sqlite:////nonexistent/calls.db'\n"
    )
    result = callsteward("check", "-c", file)
    assert result.returncode == 1
    found = {row["check"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert {name: row["status"] for name, row in found.items()} == {
        "config": "ok",
        "asterisk": "failed",
        "broker": "failed",
        "store": "failed",
    }
    assert all(row.get("mend") for row in found.values() if row["status"] == "failed")
    assert result.stderr == b""


def test_check_of_a_wrong_config_is_2(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[mqtt]\nprot = 1\n")
    result = callsteward("check", "-c", file)
    assert result.returncode == 2
    assert json.loads(result.stdout)["status"] == "failed"


# --- the embedded demo ----------------------------------------------------------------------------------


def test_the_demo_prints_nine_records_in_a_pipe_whatever_the_environment_says():
    result = callsteward("demo", "--speed", "20", CALLSTEWARD_MQTT__HOST="192.0.2.1")
    assert result.returncode == 0, result.stderr.decode()
    outcomes = sorted(record.outcome for record in records(result))
    assert outcomes == sorted(["completed"] * 6 + ["early_drop", "mid_dialogue_drop", "short_abandoned"])
    assert all(record.complete for record in records(result))
    assert b"calls: 9 (" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("schema", "--folder", "/proc/nowhere"), ("prompts", "--folder", "/proc/nowhere", "--language", "en")],
)
def test_a_place_that_cannot_be_written_is_named_without_a_traceback(arguments):
    result = callsteward(*arguments)
    assert result.returncode == 1
    said = result.stderr.decode()
    assert "Traceback" not in said
    assert said.startswith("callsteward: ")
