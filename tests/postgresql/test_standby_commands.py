"""`callsteward standby`, `standby switch` and the line of `check`, beside two claims at work."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callsteward.config import load
from callsteward.standby.check import pair as checked
from callsteward.store.pair import PairReadiness
from tests.lab.postgresql import PostgreSql
from tests.live.daemon import callsteward
from tests.postgresql.test_pair import Here, here, seat

NOT_READY = PairReadiness(ready=False, detail="no link to Asterisk: closed", partly=0)


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    """A database without tables."""
    await postgresql.administer("CREATE DATABASE commands")
    yield postgresql.url(database="commands")
    await postgresql.administer("DROP DATABASE commands WITH (FORCE)")


def written(folder: Path, url: str, *, instance: str = "a", app: str = "app-a") -> Path:
    file = folder / "callsteward.toml"
    standby = f'[standby]\ninstance = "{instance}"\n' if instance else ""
    file.write_text(f'{standby}[asterisk]\napp = "{app}"\n[store]\nurl = "{url}"\n')
    file.chmod(0o600)
    return file


async def asked(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(callsteward, *arguments)


async def until_seen(first: Here, *, ready: bool) -> None:
    async with asyncio.timeout(5):
        while first.pair.peer is None or first.pair.peer.ready is not ready:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_both_are_shown_and_what_is_wrong_with_them(url: str, tmp_path: Path) -> None:
    file = written(tmp_path, url)
    async with here(url, seat("a")) as first:
        await first.acts()
        alone = await asked("standby", "-c", file, "--output", "table")
        assert alone.returncode == 1
        assert b"! no daemon could take over: there is no other one" in alone.stdout
        async with here(url, seat("b")) as second:
            await until_seen(first, ready=True)
            well = await asked("standby", "-c", file)
            assert well.returncode == 0
            found = json.loads(well.stdout)
            assert (found["site"], found["fence"]) == ("main", 1)
            assert [(one["instance"], one["acts"], one["ready"]) for one in found["daemons"]] == [
                ("a", True, True),
                ("b", False, True),
            ]
            (good,) = await checked(load(file))
            assert (good.status, good.found) == ("ok", "a (on one) acts, b (on one) stands by, ready")
            (clash,) = await checked(load(written(tmp_path, url, app="app-b")))
            assert clash.status == "failed"
            assert clash.found == "b (on one) has the same ARI application, app-b"
            second.pair.readiness = lambda: NOT_READY
            await until_seen(first, ready=False)
            shown = await asked("standby", "-c", written(tmp_path, url))
            assert shown.returncode == 1
            assert json.loads(shown.stdout)["problems"] == [
                "no daemon could take over: b stands by, not ready: no link to Asterisk: closed"
            ]


async def test_a_switch_is_refused_while_the_other_one_is_not_ready(url: str, tmp_path: Path) -> None:
    file = written(tmp_path, url)
    async with here(url, seat("a")) as first, here(url, seat("b")) as second:
        await first.acts()
        second.pair.readiness = lambda: NOT_READY
        await until_seen(first, ready=False)
        refused = await asked("standby", "switch", "-c", file)
        assert refused.returncode == 1
        assert b"nothing is switched: no daemon could take over: b stands by, not ready" in refused.stderr
        assert not first.pair.asked.is_set()


async def test_a_switch_says_who_acts_then(url: str, tmp_path: Path) -> None:
    file = written(tmp_path, url)
    async with here(url, seat("a")) as first, here(url, seat("b")) as second:
        await first.acts()
        await until_seen(first, ready=True)
        switching = asyncio.create_task(asked("standby", "switch", "-c", file))
        async with asyncio.timeout(30):
            await first.pair.asked.wait()
        await first.pair.release()
        done = await switching
        assert done.returncode == 0
        assert done.stderr.startswith(b"b (on one) acts, after ")
        assert second.fence == 2


async def test_a_site_with_one_daemon_has_none_of_it(url: str, tmp_path: Path) -> None:
    file = written(tmp_path, url, instance="")
    for command in (["standby"], ["standby", "switch"]):
        refused = await asked(*command, "-c", file)
        assert refused.returncode == 1
        assert b"this configuration has no [standby]: the site has one daemon" in refused.stderr
    assert await checked(load(file)) == []
