"""`callsteward feed`, as a process of its own."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from callsteward import config as configuration
from callsteward import features
from callsteward.callback.ledger import CallbackLedger
from callsteward.record.call import CallbackDecision, Decision
from callsteward.store.engine import writing
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from callsteward.store.tables import interval_revisions
from tests.live.daemon import callsteward
from tests.unit.store.samples import RECORD

AT_MS = 1_795_314_180_000
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three calls on two lines and a callback, all delivered but one record."""
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n[mqtt]\noutbox_mb = 1\n')
    settings = configuration.load(file)

    async def fill() -> None:
        durable = features.tells(settings)
        store = await Store.open(settings.store.url, durable.outgoing)
        for number, line in enumerate(("support", "sales", "sales")):
            await store.save([msgspec.structs.replace(RECORD, call_id=f"1.{number}", line=line)])
        ledger = CallbackLedger(store.engine, "main", durable.outgoing)
        await ledger.open(RECORD, DUE, number="+79031234567", dropped_ms=AT_MS, at_ms=AT_MS)
        outbox = Outbox(store.engine, "main")
        waiting = await outbox.after(0, 10)
        await outbox.drop(await outbox.oldest(1))
        await outbox.remove([waiting[number].message_id for number in (1, 3)])
        await store.close()

    asyncio.run(fill())
    return file


def status(config: Path) -> dict[str, object]:
    result = callsteward("feed", "status", "-c", config, "--output", "jsonl")
    assert result.returncode == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_status_tells_what_waits_and_what_was_dropped(config: Path) -> None:
    told = status(config)
    assert (told["messages"], told["limit_bytes"]) == (1, 1_000_000)
    assert told["waiting"] == [{"kind": "record", "line": "sales", "messages": 1}]
    drops = told["drops"]
    assert isinstance(drops, list)
    drop: dict[str, object] = drops[0]
    assert drop["messages"] == 1
    shown = callsteward("feed", "status", "-c", config, "--output", "table").stdout.decode()
    assert shown.startswith("1 messages wait for the broker, the oldest for ")
    assert f"feed resend --from {drop['from']} --to " in shown
    assert "+7903" not in shown


def test_what_was_dropped_is_sent_again_as_status_says(config: Path) -> None:
    shown = callsteward("feed", "status", "-c", config, "--output", "table").stdout.decode()
    arguments = shown.rpartition("feed resend ")[2].split()
    result = callsteward("feed", "resend", "-c", config, *arguments)
    assert result.returncode == 0, result.stderr
    assert b"record" in result.stderr
    waiting = status(config)["waiting"]
    assert {"kind": "record", "line": "support", "messages": 1} in waiting  # type: ignore[operator]


def test_a_line_and_a_kind_are_sent_again_alone(config: Path) -> None:
    result = callsteward("feed", "resend", "-c", config, "--from", "2020-01-01", "--kind", "callback")
    assert result.stderr.decode().strip() == "sent again: callback 1"
    result = callsteward("feed", "resend", "-c", config, "--from", "2020-01-01", "--line", "sales")
    assert result.stderr.decode().splitlines() == [
        "sent again: record 2",
        "warning: the configuration has no line 'sales'; there is default",
    ]
    # One of them waited already: it is there once.
    assert status(config)["messages"] == 3
    result = callsteward("feed", "resend", "-c", config, "--from", "2020-01-01", "--to", "2020-01-02")
    assert result.stderr.decode().strip() == "nothing was made then"


def test_changed_messages_are_left_out_and_reported(config: Path) -> None:
    """The half hour of a thousand calls, of which none is there any more."""

    async def publish() -> None:
        store = await Store.open(configuration.load(config).store.url)
        async with writing(store.engine) as connection:
            values: dict[str, object] = {"site": "main", "kind": "line", "name": "support", "digest": "0f"}
            values |= {"start_ms": 1_795_312_800_000, "minutes": 30, "revision": 3, "final": True}
            values["changed_at_ms"] = AT_MS
            await connection.execute(insert(interval_revisions).values(values))
        await store.close()

    asyncio.run(publish())
    result = callsteward(
        *("feed", "resend", "-c", config, "--from", "2020-01-01"),
        *("--kind", "interval", "--kind", "rating", "--kind", "complaint"),
    )
    first, second = result.stderr.decode().splitlines()
    assert first == "nothing was made then"
    assert second.startswith("left out: interval 1: no longer what was published.")
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2026-11-23", "--to", "2026-11-22"], "nothing lies between"),
        (["--from", "someday"], "is no date or time"),
        ([], "Missing option '--from'"),
    ],
)
def test_a_wrong_span_is_refused(config: Path, arguments: list[str], said: str) -> None:
    result = callsteward("feed", "resend", "-c", config, *arguments)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.decode().replace("│", " ").split())


def test_with_mqtt_off_nothing_is_queued(config: Path) -> None:
    config.write_text(config.read_text() + "enabled = false\n")
    result = callsteward("feed", "resend", "-c", config, "--from", "2020-01-01")
    assert (result.returncode, b"mqtt.enabled" in result.stderr) == (1, True)
    assert status(config)["messages"] == 1
