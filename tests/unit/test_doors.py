"""A whole daemon with tags and commands on: what comes in from outside is part of the stream."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from callsteward.ari import events
from callsteward.ari.recorder import Recorder
from callsteward.config import Callback, Commands, Config, Mqtt, Tags, Web
from callsteward.doors import wanted
from tests.lab.ports import free_port
from tests.unit.test_app import ari, capture, config_for, replayed, running

__all__ = ["ari"]

TOKEN = "a token nobody guesses"


def tagging_config(url: str, folder: Path) -> Config:
    return config_for(url, folder).model_copy(
        update={
            "tags": Tags(enabled=True),
            "callback": Callback(enabled=True),
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


@pytest.mark.parametrize(
    ("sections", "on"),
    [
        ({}, False),
        ({"tags": Tags(enabled=True)}, True),
        ({"commands": Commands(mqtt=True)}, True),
        ({"commands": Commands(mqtt=True), "mqtt": Mqtt(enabled=False)}, False),
        ({"web": Web(enabled=True, token=SecretStr(TOKEN))}, True),
    ],
)
def test_nothing_is_opened_that_nobody_switched_on(sections, on):
    assert wanted(Config(**sections)) is on
