"""Names that callers, phones and integrations give themselves, shown on terminals, in tables, in topics.

The streams are real ones with hostile words put in place of names and numbers. A name reaches people in
tables, files, logs and topics; there it must be a text that nobody's program carries out.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import prometheus_client
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from callsteward.config.services import Log
from callsteward.daemon import logs
from callsteward.feed.topics import Topics
from callsteward.metrics.calls import CallMetrics
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.rating.complaints import Complaints
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded
from callsteward.store.records import Store
from callsteward.store.stored import decode
from callsteward.terminal.files import Csv, Holds
from callsteward.terminal.visible import visible
from tests.unit import forked
from tests.unit.store.samples import RECORD

CAPTURE = Path(__file__).parents[1] / "replay" / "captures" / "client_bye.jsonl"
COMMAND = Path(sys.executable).with_name("callsteward")

# Takes the window's title, clears the screen, forges a line; a formula; levels and wildcards of a topic.
TERMINAL = "\x1b]0;owned\x07\x1b[2J\r\nforged\x9b31m\u202e"
FORMULA = '=HYPERLINK("http://evil.invalid","a report")'
TOPIC = "#/+/$daemon"
HOSTILE = (TERMINAL, FORMULA, TOPIC, "[red]x[/red]", '"}],"x":[{"', "\x00", "💣" * 300)


def said(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    done = forked.run(*arguments, cwd=CAPTURE.parent)
    assert done.returncode == 0, done.stderr
    return done


def carried_out(text: bytes) -> list[str]:
    """The characters in it that a terminal would not just show; a program's own line feeds are none."""
    return [char for char in text.decode() if visible(char) != char and char != "\n"]


def bare(line: bytes) -> list[str]:
    """The controls of ASCII in JSON, which has them escaped; programs read all the others."""
    return [char for char in line.decode() if char < " " and char != "\n"]


def stream(word: str) -> bytes:
    """A whole call whose client, operator's phone and queue call themselves this."""
    inside = json.dumps(word)[1:-1]
    text = CAPTURE.read_text(encoding="utf-8")
    text = text.replace('"name":"","number":"79031234567"', f'"name":"{inside}","number":"{inside}"')
    return text.replace("PJSIP/101", f"PJSIP/101{inside}").encode()


@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
def test_a_call_from_and_to_such_a_name_is_one_record_that_no_program_carries_out(
    word: str, tmp_path: Path
) -> None:
    recording = tmp_path / "calls.jsonl"
    recording.write_bytes(stream(word))
    config = tmp_path / "c.toml"
    config.write_text('[endpoints]\noperators = ["PJSIP/101*"]\n')
    (line,) = said("replay", recording, "-c", config, "--output", "jsonl").stdout.splitlines()
    record = decode(line)
    # Nothing of the name is a number, and none is made of it.
    assert (record.client_masked, record.outcome.value) == (None, "completed")
    assert bare(line) == []
    table = said("replay", recording, "-c", config, "--output", "table")
    assert carried_out(table.stdout) == []
    assert carried_out(table.stderr) == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose store has been told hostile words in every place that others fill."""
    folder = tmp_path_factory.mktemp("hostile")
    config = folder / "c.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{folder}/calls.db"\n')

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{folder}/calls.db")
        await store.save([record(word, number) for number, word in enumerate(HOSTILE)])
        for number, word in enumerate(HOSTILE):
            await DoNotCall(store.engine).add([f"+7900000{number:04}"], by=word, comment=word)
            await Complaints(store.engine, "main").raise_(
                call_id=f"{word}{number}",
                line="support",
                operator=word,
                client_masked=word,
                client_ref=None,
                reason=word,
                score=None,
                at_ms=1_795_314_131_000,
            )
        await store.close()

    asyncio.run(fill())
    return config


def record(word: str, number: int) -> CallRecord:
    return msgspec.structs.replace(
        RECORD,
        call_id=f"{word}{number}",
        operator=word,
        client_masked=word,
        hangup=msgspec.structs.replace(RECORD.hangup, evidence=(word,)),
    )


SPAN = ("--from", "2026-11-22", "--to", "2026-11-22")
LISTS = (
    ("calls",),
    ("lost",),
    ("dnc", "list"),
    ("complaints", "list"),
    ("report", "operators", *SPAN),
    ("report", "ratings", "--by", "operator", *SPAN),
)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_no_table_and_no_line_of_json_has_what_a_terminal_carries_out(
    site: Path, command: tuple[str, ...]
) -> None:
    for output, found in (("table", carried_out), ("jsonl", bare)):
        done = said(*command, "-c", site, "--output", output)
        assert found(done.stdout) == []
        assert carried_out(done.stderr) == []
    # Words that rich would take for its own markup are shown as they are.
    if command[0] in {"calls", "complaints"}:
        assert b"[red]" in b"".join(said(*command, "-c", site, "--output", "table").stdout.split())


@pytest.mark.parametrize("excel", [False, True])
@pytest.mark.parametrize("command", [LISTS[0], *LISTS[4:]], ids=" ".join)
def test_no_cell_of_a_file_begins_a_formula(site: Path, command: tuple[str, ...], *, excel: bool) -> None:
    form = ("--excel",) if excel else ("--output", "csv")
    done = said(*command, "-c", site, *form).stdout.decode("utf-8-sig")
    assert carried_out(done.replace("\r\n", "\n").encode()) == []
    rows = list(csv.reader(io.StringIO(done), delimiter=";" if excel else ","))
    assert len(rows) > len(HOSTILE)
    assert {len(row) for row in rows} == {len(rows[0])}
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in cells
    assert [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))] == []


def test_a_masked_number_and_a_negative_one_stay_as_they_are_for_programs() -> None:
    out = io.BytesIO()
    table = Csv(out, {"a": Holds.TEXT, "b": Holds.NUMBER, "c": Holds.TEXT})
    table.write([{"a": "+7903***4567", "b": -1.5, "c": "-1+cmd|' /C calc'!A0"}])
    assert out.getvalue() == b"a,b,c\n+7903***4567,-1.5,'-1+cmd|' /C calc'!A0\n"


def test_a_workbook_has_no_formula(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("xlsxwriter")
    for name in ("operators", "calls"):
        file = tmp_path / f"{name}.xlsx"
        said("report", name, *SPAN, "-c", site, "--output", "xlsx", "--file", file)
        with zipfile.ZipFile(file) as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "HYPERLINK" in sheet
        assert "<f>" not in sheet
        assert carried_out(sheet.replace("\r", "").encode()) == []


def test_a_log_on_a_terminal_shows_such_a_word_and_does_not_carry_it_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    before = structlog.get_config()
    try:
        for form in ("console", "json"):
            logs.set_up(Log(level="info", format=form))
            log = structlog.get_logger("callsteward.hostile")
            log.warning(TERMINAL, sender=TERMINAL, several=[TERMINAL])
            log.error("an exception's text", exc_info=ValueError(TERMINAL))
            told = capsys.readouterr().err
            assert carried_out(told.encode()) == []
    finally:
        structlog.configure(**before)


def test_each_name_is_one_level_of_a_topic() -> None:
    topics = Topics("callsteward", "main")
    for word in HOSTILE:
        for topic in (
            topics.operator_now(word),
            topics.of("calls", word, "ended"),
            topics.of("replies", word),
        ):
            level = topic.split("/")
            assert len(level) == len(topics.operator_now("101").split("/")) - (
                topic == topics.of("replies", word)
            )
            assert not set(topic) & set("#+\x00\x1b")


def test_a_thousand_callers_and_phones_make_no_more_series() -> None:
    registry = prometheus_client.CollectorRegistry()
    metrics = CallMetrics(registry, ["support"])

    def series() -> set[tuple[str, str]]:
        text = prometheus_client.generate_latest(registry).decode()
        return {
            (sample.name, json.dumps(sample.labels))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    metrics.observe(CallEnded(record("first", 0)))
    before = series()
    for number in range(1_000):
        metrics.observe(CallEnded(record(HOSTILE[number % len(HOSTILE)], number)))
    assert series() == before
