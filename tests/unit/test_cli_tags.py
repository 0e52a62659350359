"""`tags`, and what `calls` shows of a decision that came after the record."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from callsteward.record.call import CallbackDecision, Decision
from callsteward.record.tag import Tag
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD
from tests.unit.tags.desk import FrontDesk
from tests.unit.test_cli import callsteward


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A call that was tagged after its end, and one that was not."""
    url = f"sqlite:///{tmp_path}/calls.db"
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "{url}"\n')

    async def fill() -> None:
        store = await Store.open(url)
        desk = FrontDesk(store)
        await desk.talk("1.1")
        await desk.talk("1.2", number="79000000001")
        await desk.tag(Tag.DROPPED, "1.1")
        await desk.tag(Tag.TICKET, "1.1", value="INC-7")
        await desk.tag(Tag.COMMENT, "1.2", value="перезвонить")
        await store.close()

    asyncio.run(fill())
    return file


def test_tags_are_listed_latest_first_with_what_came_of_them(config: Path):
    result = callsteward("tags", "-c", config, "--output", "jsonl")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["call_id"], row["tag"], row["value"], row["result"]) for row in rows] == [
        ("1.2", "comment", "перезвонить", "noted"),
        ("1.1", "ticket", "INC-7", "noted"),
        ("1.1", "dropped", "", "callback_due"),
    ]
    assert rows[0]["at"].endswith("Z")
    one = callsteward("tags", "-c", config, "--call", "1.1", "--tag", "dropped", "--output", "table")
    assert "callback_due" in one.stdout.decode()
    assert "INC-7" not in one.stdout.decode()
    none = callsteward("tags", "-c", config, "--call", "9.9", "--output", "table")
    assert "no tags" in none.stderr.decode()


def test_a_table_of_calls_shows_what_was_decided_later_and_the_record_stays(config: Path):
    table = callsteward("calls", "-c", config, "--output", "table")
    first, second = [line for line in table.stdout.decode().splitlines() if "support" in line]
    assert first.split()[-1] == "due"
    assert second.split()[-2:] == ["not", "due"]
    lines = callsteward("calls", "-c", config, "--output", "jsonl").stdout.splitlines()
    assert [json.loads(line)["callback"]["decision"] for line in lines] == ["not_due", "not_due"]
    kept = msgspec.structs.replace(RECORD, callback=CallbackDecision(Decision.NOT_DUE, "client_hung_up"))
    assert json.loads(lines[0])["callback"]["reason"] == kept.callback.reason
