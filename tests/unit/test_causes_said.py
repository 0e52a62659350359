"""Log lines about a broker, a disk or a port that refuses are in an admin's words and say what to do."""

import asyncio
import errno
import os
from unittest.mock import Mock

import aiomqtt
import pytest
import structlog
from aiomqtt.exceptions import MqttCodeError, MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from callsteward import features
from callsteward.commands.mqtt import MqttDoor
from callsteward.config import Config, Mqtt
from callsteward.exceptions import FeedError, StoreError
from callsteward.feed.mqtt import Feed
from callsteward.network.causes import of_disk, told
from tests.unit.test_causes import INTERNAL, chatter, closed_port, hang_up, serving


def answer(code: int, version: str):
    """A broker that answers every CONNECT so."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes([0x20, 3, 0, code, 0]) if version == "5" else bytes([0x20, 2, 0, code]))
        await writer.drain()
        await reader.read(1000)

    return once


async def feed_says(port: int, version: str = "5", host: str = "127.0.0.1") -> str:
    """The daemon's first log line about a broker at this address."""
    config = Config(mqtt=Mqtt(host=host, port=port, version=version, username="u"))
    with structlog.testing.capture_logs() as logged:
        feed = asyncio.create_task(Feed(config, boot_id="b", tells=features.tells(config)).run())
        async with asyncio.timeout(60):
            while not (found := [item for item in logged if item["action"] == "mqtt_unreachable"]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        feed.cancel()
        await asyncio.wait({feed})
    said = str(found[0]["error"])
    assert not INTERNAL.search(said), said
    return said


LOGIN = "the broker refused the user name or password: compare mqtt.username and its password"


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [
        ("5", 134, LOGIN),
        ("5", 135, LOGIN),
        ("3.1.1", 4, LOGIN),
        ("3.1.1", 5, LOGIN),
        ("3.1.1", 2, "the broker refused the client id: set mqtt.client_id to one that it lets in"),
        ("5", 133, "the broker refused the client id: set mqtt.client_id to one that it lets in"),
        ("5", 136, "the broker takes no connection at the moment: see the broker's log"),
        ("5", 138, "the broker has banned this client: see the broker's log"),
    ],
)
async def test_a_brokers_refusal_is_logged_in_words(version, code, said):
    async with serving(answer(code, version)) as port:
        assert await feed_says(port, version) == said


async def test_a_broker_that_is_not_there_is_logged_in_words():
    assert await feed_says(closed_port()) == (
        "nothing listens there: is it running, are host and port right?"
    )
    assert await feed_says(1883, host="nowhere.invalid") == (
        "there is no such host name: is it spelt right, and does this machine's DNS know it?"
    )


@pytest.mark.parametrize("other", [hang_up, chatter])
async def test_a_server_that_is_no_broker_is_logged_in_words(other):
    async with serving(other) as port:
        assert await feed_says(port, "3.1.1") in {
            (
                "the broker ended the connection without an answer: is that its port, does it ask for TLS?"
                " Its log says why"
            ),
            "no answer in time: does a firewall stand between, is the machine up?",
        }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=142)),
            (
                "another client has connected with the same client id: give each daemon a site.name or"
                " mqtt.client_id of its own"
            ),
        ),
        (
            MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=139)),
            "the broker is shutting down: is it restarted?",
        ),
        (
            MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=149)),
            "a message was larger than the broker takes: raise its message_size_limit",
        ),
        # MQTT_ERR_NO_CONN has the number of a refused login.
        (
            MqttCodeError(4, "Could not publish"),
            "the connection was lost: is the broker running, does the network hold?",
        ),
        (
            aiomqtt.MqttError("Disconnected during message iteration"),
            "the connection was lost: is the broker running, does the network hold?",
        ),
        (MqttConnectError(5), LOGIN),
        (FeedError("cannot use the certificates"), "cannot use the certificates"),
        (
            PermissionError(errno.EACCES, "x"),
            "the system forbids it: does a firewall or the unit's sandbox forbid it?",
        ),
        (IsADirectoryError(errno.EISDIR, "x", "/a"), "/a: Is a directory"),
    ],
)
def test_an_error_is_told_in_words(error, said):
    assert told(error, "mqtt") == said


async def test_commands_without_a_broker_say_why_in_words():
    config = Config(mqtt=Mqtt(port=closed_port()))
    with structlog.testing.capture_logs() as logged:
        commands = asyncio.create_task(MqttDoor(config, Mock(), boot_id="b").run())
        async with asyncio.timeout(60):
            while not (found := [item for item in logged if item["action"] == "commands_unreachable"]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        commands.cancel()
        await asyncio.wait({commands})
    assert found[0]["error"] == "nothing listens there: is it running, are host and port right?"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full: make room"),
        (errno.EIO, "the disk reports an error: see the system's log"),
        (errno.EROFS, "the disk is read-only: see the system's log"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_a_disks_refusal_is_reported_in_words(number, said):
    assert of_disk(OSError(number, os.strerror(number))) == said
    assert of_disk(StoreError("the journal is locked")) == "the journal is locked"
