"""A whole daemon with tags and commands on: what comes in from outside is part of the stream."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from callsteward.ari import events
from callsteward.ari.recorder import Recorder
from callsteward.config import CallbackSettings, CommandsSettings, Config, Mqtt, StoreSettings, Tags, Web
from callsteward.features import FEATURES
from tests.lab.ports import free_port
from tests.unit.test_app import ari, capture, config_for, replayed, running

__all__ = ["ari"]

TOKEN = "a token nobody guesses"
COMMANDS = {
    "dnc": {"action": "add", "number": "+7 903 123-45-67"},
    "calls/1.1/tags": {"tag": "dropped"},
    "calls/1.1/callback": {"action": "request"},
    "calls/1.1/complaint": {"action": "acknowledge"},
}
WEB = Web(enabled=True, token=SecretStr(TOKEN))


def tagging_config(url: str, folder: Path) -> Config:
    return config_for(url, folder).model_copy(
        update={
            "tags": Tags(enabled=True),
            "callback": CallbackSettings(enabled=True),
            "commands": CommandsSettings(http=True),
            "web": Web(enabled=True, port=free_port(), token=SecretStr(TOKEN)),
        }
    )


async def post(config: Config, call_id: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{config.web.port}/api/v1/calls/{call_id}/tags"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json=body) as answer:
        reply: dict[str, Any] = await answer.json()
        return reply


def parts() -> tuple[str, list[bytes], list[bytes]]:
    """A call past its greeting, and its end."""
    frames = capture("client_bye")
    call_id = json.loads(frames[0])["channel"]["id"]
    end = next(number for number, frame in enumerate(frames) if b'"ChannelHangupRequest"' in frame)
    return call_id, frames[:end], frames[end:]


def told(frames: list[bytes]) -> int:
    """How many of them a daemon takes for events."""
    return sum(events.event_type(frame) in events.KNOWN_TYPES for frame in frames)


async def test_a_command_in_a_call_is_in_its_record_and_in_a_replay_of_the_recording(ari, tmp_path):
    config = tagging_config(ari.url, tmp_path)
    call_id, talk, end = parts()
    recording = tmp_path / "recording.jsonl"
    with Recorder(recording) as recorder:
        async with running(config, recorder) as live:
            await ari.connected()
            await ari.play(talk)
            await live.until(lambda: live.daemon.counters.events >= told(talk))
            reply = await post(config, call_id, {"id": "a", "tag": "dropped", "by": "crm"})
            assert (reply["status"], reply["result"]) == ("done", "noted")
            await ari.play(end)
            await live.until(lambda: live.feed.records)
            (line,) = live.feed.records
    record = json.loads(line)
    assert record["outcome"] == "mid_dialogue_drop"
    assert record["hangup"]["first"] == "client"
    assert record["hangup"]["evidence"][-1] == "tag dropped by crm (http)"
    assert replayed(recording.read_bytes().splitlines(), config) == [line]


async def test_a_tag_survives_the_daemon_that_took_it(ari, tmp_path):
    config = tagging_config(ari.url, tmp_path)
    call_id, talk, end = parts()
    async with running(config) as live:
        await ari.connected()
        await ari.play(talk)
        await live.until(lambda: live.daemon.counters.events >= told(talk))
        assert (await post(config, call_id, {"id": "a", "tag": "dropped"}))["status"] == "done"
    left = (tmp_path / "calls.journal").read_bytes()
    assert b"CallstewardTag" in left
    await ari.drop()
    async with running(config) as live:
        await ari.connected()
        # The same command once more changes nothing, and gets the answer that the other process gave.
        assert (await post(config, call_id, {"id": "a", "tag": "dropped"}))["result"] == "noted"
        await ari.play(end)
        await live.until(lambda: live.feed.records)
    (line,) = live.feed.records
    assert json.loads(line)["outcome"] == "mid_dialogue_drop"


async def stored_by(
    ari: Any, folder: Path, name: str, **sections: object
) -> tuple[dict[str, int], list[int]]:
    """How many rows each table has after a call, and what each address of HTTP answered."""
    config = config_for(ari.url, folder).model_copy(
        update={"store": StoreSettings(url=f"sqlite:///{folder}/{name}.db")} | sections
    )
    statuses: list[int] = []
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
        if config.web.enabled:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{config.web.port}", headers=headers
            ) as client:
                async with client.get("/metrics") as answer:
                    statuses.append(answer.status)
                for address, body in COMMANDS.items():
                    async with client.post(f"/api/v1/{address}", json=body) as answer:
                        statuses.append(answer.status)
                        if answer.status == 403:
                            told = (await answer.json())["error"]
                            assert told.endswith("are switched off: set http = true under [commands]")
    await ari.drop()
    connection = sqlite3.connect(folder / f"{name}.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counted = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
    connection.close()
    # The time that was observed, and sums, not of a client: written or not, as the run happens to be quick.
    for name in ("watched", "slot_changes", "slot_sums"):
        del counted[name]
    return counted, statuses


async def test_metrics_alone_store_nothing_of_a_client_and_open_no_way_to_change_anything(ari, tmp_path):
    plain, _ = await stored_by(ari, tmp_path, "plain")
    assert (plain["calls"], plain["call_clients"]) == (1, 0)
    web = Web(enabled=True, port=free_port(), token=SecretStr(TOKEN))
    with_metrics, statuses = await stored_by(ari, tmp_path, "metrics", web=web)
    assert with_metrics == plain
    assert statuses == [200, 403, 403, 403, 403]


async def test_commands_over_http_come_without_metrics_too(ari, tmp_path):
    web = Web(enabled=True, metrics=False, port=free_port(), token=SecretStr(TOKEN))
    stored, statuses = await stored_by(
        ari, tmp_path, "commands", web=web, commands=CommandsSettings(http=True)
    )
    assert statuses[:2] == [404, 200]
    assert 403 not in statuses
    assert (stored["call_clients"], stored["do_not_call"]) == (1, 1)


@pytest.mark.parametrize(
    ("sections", "on"),
    [
        ({}, False),
        ({"tags": Tags(enabled=True)}, True),
        ({"commands": CommandsSettings(mqtt=True)}, True),
        ({"commands": CommandsSettings(mqtt=True), "mqtt": Mqtt(enabled=False)}, False),
        ({"web": WEB}, False),
        ({"web": WEB, "commands": CommandsSettings(http=True)}, True),
        ({"commands": CommandsSettings(http=True)}, False),
    ],
)
def test_nothing_is_opened_that_nobody_switched_on(sections, on):
    config = Config(**sections)
    opened = {feature.name for feature in FEATURES if feature.wanted(config)}
    assert opened & {"tags", "commands"} == ({"tags", "commands"} if on else set())
