"""`callsteward client export` and `client erase` as an admin runs them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from callsteward import features
from callsteward.store.records import Store
from tests.lab.pbx_config import REPOSITORY
from tests.unit.client.samples import CONFIG, NUMBER, NUMBERS, OTHER, fill, rated
from tests.unit.sites import neighbour
from tests.unit.test_cli import COMMAND, callsteward

CAPTURE = REPOSITORY / "tests" / "replay" / "captures" / "client_bye.jsonl"
REF = str(NUMBERS.ref(NUMBER))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "c.toml"
    file.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n[privacy]\nhmac_key = "key"\n'
        # Nobody listens there.
        '[asterisk]\nurl = "http://127.0.0.1:9"\n'
    )
    return file


@pytest.fixture
def site(config: Path, tmp_path: Path) -> Path:
    """A site with two clients in every table, and no spoken comment in Asterisk."""

    async def run() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db", features.announce(CONFIG))
        await fill(store, OTHER, "b")
        await fill(store, NUMBER, "a")
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE ratings SET comment_file = NULL")
        await store.close()

    asyncio.run(run())
    return config


def told(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = callsteward("client", *arguments)
    assert result.returncode == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def by_table(found: dict[str, Any], what: str) -> dict[str, Any]:
    return {place["table"]: place[what] for place in found["places"]}


def test_an_export_has_everything_with_its_place_and_the_full_number(site: Path) -> None:
    found = told("export", NUMBER, "-c", site)
    assert (found["site"], found["numbers"], found["client_refs"]) == ("main", [NUMBER], [REF])
    assert found["database"].endswith("/calls.db")
    rows = by_table(found, "rows")
    assert {table: len(rows[table]) for table in ("calls", "callbacks", "ratings", "do_not_call")} == {
        "calls": 4, "callbacks": 1, "ratings": 1, "do_not_call": 1,
    }  # fmt: skip
    assert rows["calls"][0]["record"]["client_masked"] == "+7903***4567"
    assert rows["callbacks"][0]["number"] == NUMBER
    assert rows["callbacks"][0]["dropped_at"] == "2026-11-22T02:22:11.654Z"
    assert rows["outbox"][0]["payload"]["client_ref"] == REF
    assert OTHER not in json.dumps(found)
    said = callsteward("client", "export", NUMBER, "-c", site).stderr.decode()
    assert said.startswith("rows: 33; the client's number is in full here\nnot here: messages that were pub")


def test_an_export_over_all_sites_has_their_rows_too(site: Path) -> None:
    async def run() -> None:
        store = await Store.open(f"sqlite:///{site.parent}/calls.db")
        await neighbour.settle(store)
        await store.close()

    asyncio.run(run())

    def calls(*more: str) -> list[str]:
        found = told("export", NUMBER, *more, "-c", site)
        return [row["site"] for row in by_table(found, "rows")["calls"]]

    assert set(calls()) == {"main"}
    assert calls("--site", "south") == ["south", "south"]
    assert sorted(calls("--site", "all")) == ["main"] * 4 + ["south"] * 2


@pytest.mark.parametrize(
    ("written", "more"),
    [
        ("+7 (903) 123-45-67", ()),
        ("8 903 123-45-67", ()),
        ("79031234567", ()),
        ("9031234567", ("--numbers", "national")),
        (REF, ()),
    ],
)
def test_a_client_is_found_however_the_number_is_written(
    site: Path, written: str, more: tuple[str, ...]
) -> None:
    found = told("export", written, *more, "-c", site)
    assert found["numbers"] == [NUMBER]
    assert len(by_table(found, "rows")["calls"]) == 4


@pytest.mark.parametrize(
    ("written", "why"),
    [("4740057948", "can be +4740057948 or +74740057948"), ("12", "is no telephone number")],
)
def test_what_is_no_number_or_two_is_refused(site: Path, written: str, why: str) -> None:
    for command in ("export", "erase"):
        result = callsteward("client", command, written, "-c", site)
        assert result.returncode == 2
        assert why in " ".join(result.stderr.decode().replace("│", " ").split())


def test_an_export_can_be_read_on_a_terminal(site: Path) -> None:
    shown = callsteward("client", "export", NUMBER, "--output", "table", "-c", site).stdout.decode()
    assert f"{NUMBER}, {REF}, site main" in shown
    assert "callbacks: callbacks, 1" in shown
    assert "mid_dialogue_drop" in shown


def test_a_dry_run_changes_nothing(site: Path) -> None:
    before = told("export", NUMBER, "-c", site)
    found = told("erase", NUMBER, "--dry-run", "-c", site)
    assert (found["erased"], found["client_masked"], found["left"]) == (False, ["+7903***4567"], [])
    assert by_table(found, "rows")["calls"] == 4
    assert by_table(found, "how")["do_not_call"].startswith("kept: ")
    assert "9031234567" not in json.dumps(found)
    after = told("export", NUMBER, "-c", site)
    assert after["places"] == before["places"]


def test_nobody_is_erased_unasked(site: Path) -> None:
    result = callsteward("client", "erase", NUMBER, "-c", site)
    assert result.returncode == 2
    assert "add --yes" in result.stderr.decode()
    assert len(by_table(told("export", NUMBER, "-c", site), "rows")["calls"]) == 4


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_an_admin_is_shown_it_and_asked(site: Path, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    result = subprocess.run(
        [COMMAND, "client", "erase", NUMBER, "--output", "jsonl", "-c", site],
        stdin=theirs, capture_output=True, check=False, timeout=60, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert result.returncode == code
    assert "Erase this? [y/N]" in result.stderr.decode()
    assert "figures and the masked number stay" in " ".join(result.stderr.decode().split())
    assert len(by_table(told("export", NUMBER, "-c", site), "rows")["calls"]) == (4 if code else 0)


def test_a_client_is_erased_and_nothing_is_found_of_them_again(site: Path) -> None:
    found = told("erase", "8 903 123-45-67", "--yes", "-c", site)
    assert (found["erased"], found["left"], found["cancelled"]) == (True, [], {})
    assert by_table(found, "changed")["calls"] == 3
    again = told("erase", NUMBER, "--yes", "--also-do-not-call", "-c", site)
    assert by_table(again, "changed") == {"do_not_call": 1}
    nothing = told("erase", NUMBER, "--yes", "-c", site)
    assert (nothing["places"], nothing["erased"]) == ([], False)
    other = told("export", OTHER, "-c", site)
    assert len(by_table(other, "rows")["calls"]) == 4
    table = callsteward("client", "erase", NUMBER, "--dry-run", "--output", "table", "-c", site)
    assert "nothing is held of this client here" in table.stdout.decode()


def test_the_number_is_in_no_page_of_the_database_any_more(site: Path, tmp_path: Path) -> None:
    def bytes_of() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.glob("calls.db*"))

    for word in (NUMBER, REF, "please call after six", "cried on the phone"):
        assert word.encode() in bytes_of()
    told("erase", NUMBER, "--yes", "--also-do-not-call", "-c", site)
    for word in (NUMBER, REF):
        assert word.encode() not in bytes_of()
    told("erase", OTHER, "--yes", "--also-do-not-call", "-c", site)
    for word in ("please call after six", "cried on the phone"):
        assert word.encode() not in bytes_of()


def test_an_asterisk_that_does_not_answer_leaves_the_comment_for_the_next_run(
    site: Path, tmp_path: Path
) -> None:
    async def run() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE ratings SET comment_file = 'comment-a'")
        await store.close()

    asyncio.run(run())
    found = told("erase", NUMBER, "--yes", "-c", site, code=1)
    assert found["spoken_comments"] == 1
    (left,) = found["left"]
    assert left.startswith("spoken comments that Asterisk did not delete: 1 (Asterisk does not answer at")
    again = told("erase", NUMBER, "--dry-run", "-c", site)
    assert again["spoken_comments"] == 1


async def test_a_client_on_a_call_is_not_erased_in_the_middle_of_it(site: Path, tmp_path: Path) -> None:
    """The journal is the daemon's: what a killed one left."""
    frames = CAPTURE.read_bytes().splitlines(keepends=True)
    journal = tmp_path / "calls.journal"
    # The last line is being written.
    journal.write_bytes(b"".join(frames[:40]) + b'{"type"')
    held = await asyncio.to_thread(told, "export", NUMBER, "-c", site)
    assert held["journal"] == {"file": str(journal), "events": 32, "on_a_call": True}
    result = await asyncio.to_thread(callsteward, "client", "erase", NUMBER, "--yes", "-c", site)
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"a call of this client is in progress" in result.stderr
    assert (await asyncio.to_thread(told, "export", OTHER, "-c", site))["journal"]["on_a_call"] is False
    journal.write_bytes(b"".join(frames))
    found = await asyncio.to_thread(told, "erase", NUMBER, "--yes", "-c", site)
    assert any("events in the journal" in text for text in found["beyond"])


@asynccontextmanager
async def asterisk(asked: list[str]) -> AsyncIterator[str]:
    """The address of an HTTP server that deletes recordings as ARI does."""

    async def delete(request: web.Request) -> web.Response:
        asked.append(request.match_info["name"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_delete("/ari/recordings/stored/{name}", delete)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_the_spoken_comment_is_deleted_in_asterisk(tmp_path: Path) -> None:
    """By the request that the retention makes, too; here without a key, found by the number alone."""
    asked: list[str] = []
    async with asterisk(asked) as url:
        file = tmp_path / "c.toml"
        file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n[asterisk]\nurl = "{url}"\n')
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        await rated(store, NUMBER, "a.1")
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE ratings SET state = 'answered', comment_file = 'comment-a', client_ref = NULL"
            )
        await store.close()
        found = await asyncio.to_thread(told, "erase", NUMBER, "--yes", "-c", file)
    assert asked == ["comment-a"]
    assert (found["spoken_comments"], found["left"]) == (1, [])
    assert any("hmac_key is not set" in text for text in found["beyond"])
