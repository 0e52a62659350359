"""Three PBXs, three daemons, one PostgreSQL, one broker: calls break on all of them at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.lanes import Lane
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, callsteward, wait_for
from tests.live.play import CALLBACKS, TAGS, Played, Playing
from tests.live.published import schema_errors
from tests.live.settings import callback_settings, merged, mqtt
from tests.live.subscriber import Received, Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(90)]

SITES = ("north", "middle", "south")
NAME = "sites"
# The site, scenario, lane and module. Each lane is a client of its own.
PLAYED = {
    "north": ("north", "network_loss", 0, CALLBACKS),
    "middle": ("middle", "network_loss", 1, CALLBACKS),
    "south": ("south", "network_loss", 2, CALLBACKS),
    "elsewhere": ("north", "calls_elsewhere", 3, CALLBACKS),
    "listed": ("middle", "not_called_back", 4, CALLBACKS),
    "tagged": ("south", "key_dropped", 5, TAGS),
}
Row = Mapping[str, Any]


class Sites:
    """All that runs, and what the database has of it."""

    def __init__(self, url: str, pbxs: dict[str, Asterisk], daemons: dict[str, Daemon]) -> None:
        self.url = url
        self.pbxs = pbxs
        self.daemons = daemons

    def rows(self, query: str, *values: object) -> list[Row]:
        async def read() -> list[Row]:
            connection = await asyncpg.connect(self.url)
            try:
                return [dict(row) for row in await connection.fetch(query, *values)]
            finally:
                await connection.close()

        return asyncio.run(read())

    def callbacks(self, lane: int) -> list[tuple[str, str, str]]:
        """Site, state and reason of the callbacks of a lane, whichever site made them."""
        rows = self.rows("SELECT * FROM callbacks WHERE line = $1 ORDER BY id", f"lane{lane}")
        return [(row["site"], row["state"], row["reason"]) for row in rows]

    def playing(self, name: str) -> Playing:
        site, scenario, lane, module = PLAYED[name]
        return Playing(self.pbxs[site], scenario, lane, module)


@pytest.fixture(scope="module")
def sites(
    broker: Mosquitto, subscriber: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sites]:
    with ExitStack() as stack:
        with lab_or_skip():
            database = stack.enter_context(PostgreSql(connections=100))
            pbxs = {name: stack.enter_context(Asterisk(rtp_timeout_s=3)) for name in SITES}
        daemons = {}
        for name, pbx in pbxs.items():
            folder: Path = tmp_path_factory.mktemp(name)
            changes = {
                "site": {"name": name},
                "mqtt": mqtt(broker, NAME) | {"client_id": f"callsteward-{name}", "enabled": True},
                "store": {"url": database.url()},
                "callback": {"operator_ring_s": 60},
                "tags": {"enabled": True, "wrap_up_s": 5},
            }
            values = merged(callback_settings(pbx, folder / "none.db"), changes)
            daemons[name] = stack.enter_context(Daemon(folder, name, values))
        # All at once, on a database without tables: one makes them, the others wait for it.
        for daemon in daemons.values():
            daemon.launch()
        for daemon in daemons.values():
            daemon.wait_for_log("ari_connected", 40)
        yield Sites(database.url(), pbxs, daemons)


@pytest.fixture(scope="module")
def played(sites: Sites) -> Mapping[str, Played]:
    # Put on the list at one site, and not called back by another.
    listed = Lane(PLAYED["listed"][2]).outside(1).number
    assert callsteward("dnc", "add", listed, "-c", sites.daemons["south"].config).returncode == 0
    begun = {name: sites.playing(name) for name in PLAYED}

    def then_elsewhere() -> Played:
        """The client whose talk broke in the north calls the south while a phone rings for them there."""
        wait_for(lambda: _states(sites, 3) == ["offered"], 60, "the callback to be offered")
        return Playing(sites.pbxs["south"], "client_bye", 3).end()

    with ThreadPoolExecutor(len(begun) + 1) as pool:
        again = pool.submit(then_elsewhere)
        found = dict(zip(begun, pool.map(Playing.end, begun.values()), strict=True))
        return {**found, "again": again.result()}


def _states(sites: Sites, lane: int) -> list[str]:
    return [state for _, state, _ in sites.callbacks(lane)]


@pytest.mark.parametrize("name", SITES)
def test_the_client_is_called_back_once_by_the_pbx_that_lost_them(
    sites: Sites, played: Mapping[str, Played], name: str
) -> None:
    seen = played[name]
    assert not seen.error
    assert seen.invites == 1
    assert sites.callbacks(seen.lane.index) == [(name, "reached", "answered")]


def test_a_client_who_calls_another_pbx_is_not_called_back(
    sites: Sites, played: Mapping[str, Played]
) -> None:
    seen, again = played["elsewhere"], played["again"]
    assert not seen.error
    assert not again.error
    assert (seen.invites, again.invites) == (0, 0)
    assert sites.callbacks(3) == [("north", "cancelled", "client_called_again")]
    (row,) = sites.rows("SELECT call_id FROM calls WHERE site = 'south' AND line = 'lane3'")
    *_, step = sites.rows(
        "SELECT t.* FROM callback_transitions t JOIN callbacks c ON c.id = t.callback"
        " WHERE c.line = 'lane3' ORDER BY t.id"
    )
    assert (step["actor"], step["evidence"]) == ("client", f"call {row['call_id']} at site south")


def test_the_do_not_call_list_is_one(sites: Sites, played: Mapping[str, Played]) -> None:
    assert not played["listed"].error
    assert played["listed"].invites == 0
    assert sites.callbacks(4) == [("middle", "suppressed", "do_not_call")]


def test_a_tag_is_of_its_own_site(sites: Sites, played: Mapping[str, Played]) -> None:
    assert not played["tagged"].error
    assert played["tagged"].invites == 1
    assert sites.callbacks(5) == [("south", "reached", "answered")]
    tags = sites.rows("SELECT t.site, t.tag, c.line FROM call_tags t JOIN calls c USING (site, call_id)")
    assert [tuple(row.values()) for row in tags] == [("south", "dropped", "lane5")]
    for name in SITES:
        told = callsteward("tags", "-c", sites.daemons[name].config, "--output", "jsonl").stdout
        assert len(told.splitlines()) == (name == "south")


@pytest.mark.parametrize("name", SITES)
def test_each_sites_messages_are_complete_and_none_comes_twice(
    sites: Sites, played: Mapping[str, Played], subscriber: Subscriber, name: str
) -> None:
    assert len(played) == len(PLAYED) + 1
    wait_for(lambda: not sites.rows("SELECT 1 FROM outbox"), 20, "the outbox to be empty")
    messages = subscriber.of(NAME, site=name)
    assert schema_errors(messages) == []
    assert {message.body["site"] for message in messages if "site" in message.body} == {name}
    stored = sites.rows("SELECT call_id FROM calls WHERE site = $1 ORDER BY id", name)
    ended = [message for message in messages if message.topic.endswith("/ended")]
    assert sorted(message.body["call_id"] for message in ended) == sorted(row["call_id"] for row in stored)
    steps = sites.rows(
        "SELECT count(*) AS n FROM callback_transitions t JOIN callbacks c ON c.id = t.callback"
        " WHERE c.site = $1",
        name,
    )
    moved = [message for message in messages if "/callbacks/" in message.topic]
    assert len(moved) == steps[0]["n"]
    assert _twice([*ended, *moved]) == []


def _twice(messages: list[Received]) -> list[str]:
    names = [message.body["message_id"] for message in messages]
    return [name for name in set(names) if names.count(name) > 1]


def test_lists_and_records_tell_the_sites_apart(sites: Sites, played: Mapping[str, Played]) -> None:
    assert played
    config = sites.daemons["middle"].config
    rows = callsteward("callbacks", "-c", config, "--output", "jsonl").stdout.splitlines()
    assert {json.loads(row)["site"] for row in rows} == {"middle"}
    calls = callsteward("calls", "-c", config, "--output", "jsonl").stdout.splitlines()
    assert {json.loads(row)["site"] for row in calls} == set(SITES)
