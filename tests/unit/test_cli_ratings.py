"""`complaints`, `prompts` and `report ratings` as a supervisor and an admin run them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode, RatingState
from callsteward.record.call import Rating
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD
from tests.unit.test_cli import callsteward

AT_MS = 1_795_314_131_654


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Four calls: two scores, one not asked, one that was called for its rating."""
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n')

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        told = [
            ("101", Rating("answered", "stay", 5)),
            ("101", Rating("answered", "stay", 1)),
            ("102", Rating("not_asked", "client_hung_up")),
            ("102", Rating("scheduled", "call")),
        ]
        await store.save(
            [
                msgspec.structs.replace(RECORD, call_id=f"1.{number}", operator=operator, rating=rating)
                for number, (operator, rating) in enumerate(told)
            ]
        )
        ledger = RatingLedger(store.engine, "main")
        rating = await ledger.open(
            call_id="1.3", mode=Mode.CALL, line="support", operator="102", number="+79031234567",
            client_masked="+7903***4567", client_ref=None, at_ms=AT_MS + 60_000, due_ms=AT_MS + 90_000,
        )  # fmt: skip
        assert rating is not None
        await ledger.move(rating, RatingState.ASKING, at_ms=AT_MS)
        await ledger.keep(rating, at_ms=AT_MS, score=4)
        complaints = Complaints(store.engine, "main")
        for number, line in enumerate(("support", "sales")):
            await complaints.raise_(
                call_id=f"2.{number}", line=line, operator="101", client_masked="+7903***4567",
                client_ref=None, reason="low_rating", score=1, at_ms=AT_MS + number,
            )  # fmt: skip
        await store.close()

    asyncio.run(fill())
    return file


def rows(*arguments: object) -> list[dict[str, object]]:
    result = callsteward(*arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_report_by_operator(config: Path) -> None:
    found = rows("report", "ratings", "-c", config)
    assert [row["operator"] for row in found] == ["101", "102", "all"]
    assert found[0] == {
        "operator": "101",
        "calls": 2,
        "asked": 2,
        "answered": 2,
        "mean": 3.0,
        "score_sum": 6,
        "score_1": 1,
        "score_2": 0,
        "score_3": 0,
        "score_4": 0,
        "score_5": 1,
        "share_asked": 1.0,
        "share_answered": 1.0,
        "waiting": 0,
        "not_asked": {},
    }
    assert (found[1]["asked"], found[1]["mean"]) == (1, 4.0)
    assert found[1]["not_asked"] == {"client_hung_up": 1}


def test_the_report_by_line_of_some_days(config: Path) -> None:
    day = ("--from", "2026-11-22", "--to", "2026-11-22")
    (row,) = rows("report", "ratings", "--by", "line", *day, "-c", config)
    assert (row["line"], row["calls"], row["answered"], row["score_sum"]) == ("support", 4, 3, 10)
    assert rows("report", "ratings", "--from", "2026-11-23", "-c", config) == []
    assert rows("report", "ratings", "--line", "sales", "-c", config) == []


def test_the_report_as_csv_and_as_a_table(config: Path) -> None:
    text = callsteward("report", "ratings", "--output", "csv", "-c", config).stdout.decode()
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["operator"] for row in found] == ["101", "102", "all"]
    assert found[1]["not_asked"] == "client_hung_up=1"
    assert found[2]["mean"] == "3.333"
    shown = callsteward("report", "ratings", "--output", "table", "-c", config).stdout.decode()
    assert "2 (100%)" in shown
    assert "client hung up 1" in shown
    nothing = callsteward("report", "ratings", "--output", "table", "--from", "2030-01-01", "-c", config)
    assert b"no calls" in nothing.stderr


@pytest.mark.parametrize(
    "wrong", [("--from", "someday"), ("--to", "2026-13-01"), ("--from", "2026-11-23", "--to", "2026-11-21")]
)
def test_a_wrong_span_is_named(config: Path, wrong: tuple[str, ...]) -> None:
    result = callsteward("report", "ratings", *wrong, "-c", config)
    assert result.returncode == 2
    assert b"--" in result.stderr


def test_complaints_wait_until_somebody_acknowledges_them(config: Path) -> None:
    found = rows("complaints", "list", "-c", config)
    assert [row["call_id"] for row in found] == ["2.0", "2.1"]
    assert found[0] == {
        "id": 1,
        "site": "main",
        "call_id": "2.0",
        "line": "support",
        "operator": "101",
        "client_masked": "+7903***4567",
        "client_ref": None,
        "reason": "low_rating",
        "score": 1,
        "raised_at": "2026-11-22T02:22:11.654Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "comment": None,
    }
    done = callsteward("complaints", "ack", "1", "--comment", "called the client", "-c", config)
    assert done.returncode == 0
    assert [row["call_id"] for row in rows("complaints", "list", "-c", config)] == ["2.1"]
    everything = rows("complaints", "list", "--all", "-c", config)
    assert [row["comment"] for row in everything] == ["called the client", None]
    assert everything[0]["acknowledged_at"] is not None
    again = callsteward("complaints", "ack", "1", "-c", config)
    assert again.returncode == 1
    assert b"no complaint 1 waits" in again.stderr
    assert callsteward("complaints", "ack", "2.1", "-c", config).returncode == 0
    table = callsteward("complaints", "list", "--output", "table", "-c", config)
    assert b"no complaints" in table.stderr


def test_complaints_of_a_line_as_a_table(config: Path) -> None:
    result = callsteward("complaints", "list", "--line", "sales", "--output", "table", "-c", config)
    text = result.stdout.decode()
    assert "sales" in text
    assert "support" not in text
    assert b"complaints: 1" in result.stderr


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng: `make lab` brings it")
def test_prompts_are_made(tmp_path: Path) -> None:
    result = callsteward("prompts", "--folder", tmp_path / "p", "--language", "en")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 8
    assert (tmp_path / "p" / "en" / "ask.wav").read_bytes()[:4] == b"RIFF"
    assert callsteward("prompts", "--folder", tmp_path / "p", "--language", "tlh").returncode == 1
