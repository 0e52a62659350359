"""Old records go where the configuration says so, and reports say it."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path

import pytest
from pydantic import SecretStr

from callsteward import config
from callsteward.clock import DAY_MS, wall_ms
from callsteward.config import Asterisk, Config, Mqtt, StoreSettings
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import ConfigError
from callsteward.store.records import Store
from tests.unit.retention.aged import KEPT_MS, expiry, left, record
from tests.unit.running import running
from tests.unit.test_cli import callsteward

SECRET = "of the tests"


async def test_the_daemon_deletes_old_records_where_it_is_asked_to(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    now_ms = wall_ms()
    store = await Store.open(url)
    await store.save([record("old", now_ms - 42 * DAY_MS), record("young", now_ms - 39 * DAY_MS)])
    for days, expected in ((None, ["old", "young"]), (40, ["young"])):
        async with FakeAri(password=SECRET) as ari:
            settings = Config(
                asterisk=Asterisk(url=ari.url, password=SecretStr(SECRET)),
                mqtt=Mqtt(enabled=False),
                store=StoreSettings(url=url, retention_days=days),
            )
            async with running(Daemon(settings)), asyncio.timeout(60):
                await ari.connected()
                while await left(store) != expected:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    await store.close()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site whose records of before 13 October 2026 are deleted."""

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        await store.save([record("old"), record("young", KEPT_MS)])
        await expiry(store).work()
        await store.close()

    asyncio.run(fill())
    file = tmp_path / "c.toml"
    file.write_text(f'[site]\ntimezone = "Europe/Moscow"\n[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n')
    return file


@pytest.mark.parametrize(
    "command",
    [
        ("calls",),
        ("report", "calls"),
        ("report", "intervals"),
        ("report", "operators"),
        ("report", "ratings"),
    ],
)
def test_a_report_of_a_deleted_time_says_so(site: Path, command: tuple[str, ...]) -> None:
    asked = ("--output", "jsonl", "-c", site)
    result = callsteward(*command, "--from", "2026-10-12", "--to", "2026-10-13", *asked)
    assert result.returncode == 0
    assert (
        "warning: the records of calls before 2026-10-13 00:00 are deleted ([store] retention_days): nothing"
        " is known of that time, and its figures are empty, not zero\n"
    ) in result.stderr.decode()
    later = callsteward(*command, "--from", "2026-10-13", "--to", "2026-10-13", *asked)
    assert "are deleted" not in later.stderr.decode()


def test_the_rows_of_a_deleted_time_are_empty_and_not_zero(site: Path) -> None:
    result = callsteward(
        "report", "intervals", "--every", "day", "--from", "2026-10-12", "--to", "2026-10-13", "--line",
        "support", "--output", "csv", "-c", site,
    )  # fmt: skip
    gone, kept = csv.DictReader(io.StringIO(result.stdout.decode()))
    assert (gone["offered"], gone["answered"], gone["observed_s"]) == ("", "", "")
    assert (kept["offered"], kept["answered"]) == ("1", "1")


@pytest.mark.parametrize("days", ["0", "39", "'x'", "36501"])
def test_a_retention_that_would_change_intervals_or_is_none_is_refused(tmp_path: Path, days: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[store]\nretention_days = {days}\n")
    with pytest.raises(ConfigError, match=r"store\.retention_days"):
        config.load(file)


def test_records_are_kept_for_ever_where_nothing_is_said() -> None:
    assert Config().store.retention_days is None
