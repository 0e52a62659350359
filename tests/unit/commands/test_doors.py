"""The two doors, MQTT and HTTP: the commands that come in, and the replies that go out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import jsonschema
import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr, ValidationError

from callsteward import features
from callsteward.commands.mqtt import MqttDoor
from callsteward.commands.request import LARGEST
from callsteward.config import CommandsSettings, Mqtt, Web
from callsteward.exceptions import ConfigError
from callsteward.feed import broker_client, contract
from callsteward.feed.topics import Topics
from callsteward.network.backoff import Backoff
from callsteward.network.gate import CannotListenError
from callsteward.store.records import Store
from callsteward.web.server import HttpDoor
from tests.lab.ports import free_port
from tests.unit.feed.conftest import AnyBroker, Heard, broker, listening
from tests.unit.tags.desk import E164, FrontDesk

__all__ = ["broker"]

TOKEN = "a token nobody guesses"


@pytest.fixture
def desk(store: Store) -> FrontDesk:
    return FrontDesk(store)


@asynccontextmanager
async def _open(desk: FrontDesk, port: int, version: str = "3.1.1") -> AsyncIterator[MqttDoor]:
    desk.config = desk.config.model_copy(
        update={"mqtt": Mqtt(port=port, version=version), "commands": CommandsSettings(mqtt=True)}
    )
    door = MqttDoor(desk.config, desk.commands, boot_id="boot-1", backoff=Backoff(0.05, 0.2))
    task = asyncio.create_task(door.run())
    try:
        yield door
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _sender(port: int, **options: Any) -> AsyncIterator[Callable[..., Any]]:
    """Sends a command again until somebody listens, as an integration does."""
    async with aiomqtt.Client("127.0.0.1", port, **options) as client:

        async def send(name: str, body: object, **more: Any) -> None:
            payload = body if isinstance(body, bytes) else json.dumps(body)
            await client.publish(f"callsteward/main/commands/{name}", payload, qos=1, **more)

        yield send


async def _answered(
    heard: Heard, send: Callable[..., Any], name: str, body: dict[str, Any]
) -> dict[str, Any]:
    topic = f"replies/{body['id']}"
    for _ in range(40):
        await send(name, body)
        for _ in range(10):
            await asyncio.sleep(0.02)
            if heard.on(topic):
                return heard.on(topic)[0]
    pytest.fail(f"no reply on {topic}: {heard.messages[:3]}")


async def test_a_command_is_answered_by_a_message_of_the_contract(desk: FrontDesk, broker: AnyBroker):
    schema = contract.json_schemas(features.topics())["callsteward.reply/1"]
    async with (
        _open(desk, broker.port),
        listening(broker.port, "callsteward/main/replies/#") as heard,
        _sender(broker.port) as send,
    ):
        await desk.talk()
        reply = await _answered(heard, send, "tag", {"id": "crm-1", "call_id": "1.1", "tag": "dropped"})
        jsonschema.Draft202012Validator(schema).validate(reply)
        assert (reply["status"], reply["result"], reply["boot_id"]) == ("done", "callback_due", "boot-1")
        again = await _answered(heard, send, "tag", {"id": "crm-1", "call_id": "1.1", "tag": "dropped"})
        assert again == reply
        wrong = await _answered(heard, send, "tag", {"id": "w1", "tag": "dropped"})
        assert (wrong["status"], wrong["reason"]) == ("refused", "malformed")
        jsonschema.Draft202012Validator(schema).validate(wrong)
        # There is nothing to reply to, and the next command is carried out.
        for body in (b"", b"\xff", b"{" + b" " * (LARGEST + 10) + b"}"):
            await send("tag", body)
        added = await _answered(heard, send, "dnc", {"id": "w2", "action": "add", "number": E164})
        assert added["result"] == "added"
    assert await desk.states() == [("cancelled", "do_not_call")]


async def test_a_good_command_does_not_wait_behind_bad_ones(desk: FrontDesk, broker: AnyBroker):
    """5,000 of them took 15 s, and threw good ones out of the queue."""
    async with (
        _open(desk, broker.port),
        listening(broker.port, "callsteward/main/replies/#") as heard,
        aiomqtt.Client("127.0.0.1", broker.port) as client,
        _sender(broker.port) as send,
    ):
        await _answered(heard, send, "dnc", {"id": "open", "action": "remove", "number": E164})
        with structlog.testing.capture_logs() as logs:
            began = time.monotonic()
            for number in range(5_000):
                await client.publish("callsteward/main/commands/tag", b'{"id": "bad-%d"' % number, qos=0)
            bad_s, began = time.monotonic() - began, time.monotonic()
            good = {"id": "good", "action": "remove", "number": E164}
            await send("dnc", good)
            await heard.until(lambda: heard.on("replies/good"))
            took_s = time.monotonic() - began
    # The time to send the bad ones shows how busy the machine is; otherwise it is less than a second.
    assert took_s < 5 + 5 * bad_s
    assert len([entry for entry in logs if entry["log_level"] == "warning"]) <= 3
    # Only as many bad commands are answered as may come in a minute.
    assert len({reply["id"] for reply in heard.on("")}) <= 310


async def test_a_retained_command_is_not_carried_out(desk: FrontDesk, broker: AnyBroker):
    async with _sender(broker.port) as send:
        await send("dnc", {"id": "r1", "action": "add", "number": E164}, retain=True)
        async with _open(desk, broker.port), listening(broker.port, "callsteward/main/replies/#") as heard:
            other = {"id": "r2", "action": "remove", "number": E164}
            assert (await _answered(heard, send, "dnc", other))["result"] == "was_not_listed"
            assert heard.on("replies/r1") == []
    assert await desk.numbers() == []


async def test_the_door_opens_again_when_the_broker_is_back(desk: FrontDesk, broker: AnyBroker):
    async with _open(desk, broker.port):
        async with (
            listening(broker.port, "callsteward/main/replies/#") as heard,
            _sender(broker.port) as send,
        ):
            await _answered(heard, send, "dnc", {"id": "b0", "action": "remove", "number": E164})
        await broker.kill()
        await asyncio.sleep(0.3)
        await broker.start()
        async with (
            listening(broker.port, "callsteward/main/replies/#") as heard,
            _sender(broker.port) as send,
        ):
            body = {"id": "b1", "action": "remove", "number": E164}
            assert (await _answered(heard, send, "dnc", body))["status"] == "done"


@pytest.mark.parametrize("broker", ["amqtt"], indirect=True)
async def test_a_broker_without_mqtt_5_is_spoken_to_in_3(
    desk: FrontDesk, broker: AnyBroker, monkeypatch: pytest.MonkeyPatch
):
    # This one takes the properties of CONNECT for the length of a name, and waits for the rest of it.
    monkeypatch.setattr(broker_client, "ANSWER_S", 0.5)
    async with (
        _open(desk, broker.port, "5"),
        listening(broker.port, "callsteward/main/replies/#") as heard,
        _sender(broker.port) as send,
    ):
        body = {"id": "v1", "action": "remove", "number": E164}
        assert (await _answered(heard, send, "dnc", body))["status"] == "done"


@pytest.mark.parametrize(
    ("topic", "taken"),
    [
        ("callsteward/main/replies/box/1", True),
        ("callsteward/main/calls/support/ended", False),
        ("callsteward/main/replies/+", False),
        ("callsteward/main/replies/#", False),
        ("callsteward/main/replies/a\x00b", False),
        ("callsteward/main/replies/" + "x" * 300, False),
        ("callsteward/main/repliesx", False),
        ("homeassistant/lock/set", False),
        (None, False),
    ],
)
def test_a_reply_goes_only_below_the_reply_topics(topic: str | None, taken: bool):
    asked = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if topic is not None:
        # As it came off the wire: paho checks only messages that it sends.
        object.__setattr__(asked, "ResponseTopic", topic)
    door = MqttDoor.__new__(MqttDoor)
    door._topics = Topics("callsteward", "main")
    assert (door._response_topic(asked) == topic) is (taken or topic is None)
    assert door._response_topic(None) is None


@asynccontextmanager
async def _http(desk: FrontDesk, token: str = TOKEN) -> AsyncIterator[TestClient[Any, Any]]:
    desk.config = desk.config.model_copy(update={"web": Web(enabled=True, token=SecretStr(TOKEN))})
    door = HttpDoor(desk.config, desk.commands, ready=desk.ready)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with TestClient(TestServer(door.application()), headers=headers) as client:
        yield client


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\u20ac"])
async def test_without_a_token_no_command_is_accepted(desk: FrontDesk, token: str):
    async with _http(desk, token) as client:
        answer = await client.post("/api/v1/dnc", json={"action": "add", "number": E164})
        assert answer.status == 401
        assert (await client.get("/anything")).status == 401
    assert await desk.numbers() == []


async def test_the_same_commands_over_http(desk: FrontDesk):
    await desk.talk()
    async with _http(desk) as client:

        async def post(path: str, body: Any) -> tuple[int, Any]:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.post(path, data=data)
            return answer.status, await answer.json()

        status, reply = await post("/api/v1/calls/1.1/tags", {"id": "a", "tag": "ticket", "value": "7"})
        assert (status, reply["status"], reply["call_id"]) == (200, "done", "1.1")
        assert (await post("/api/v1/calls/1.1/tags", {"id": "a", "tag": "ticket", "value": "7"}))[1] == reply
        # Through the other door, too, it is the same command.
        same = await desk.send("tag", id="a", call_id="1.1", tag="ticket", value="7")
        assert same.at == reply["at"]
        assert (await post("/api/v1/calls/9.9/tags", {"tag": "dropped"}))[0] == 404
        assert (await post("/api/v1/calls/1.1/tags", {"tag": "nonsense"}))[0] == 400
        assert (await post("/api/v1/calls/1.1/tags", b"{"))[0] == 400
        assert (await post("/api/v1/calls/1.1/tags", b"[]"))[0] == 400
        assert (await post("/api/v1/calls/1.1/tags", b"x" * (LARGEST + 1)))[0] == 413
        assert (await post("/api/v1/calls/1.1/complaint", {"action": "acknowledge"}))[0] == 409
        assert (await post("/api/v1/calls/1.1/callback", {"action": "request"}))[1][
            "result"
        ] == "callback_due"
        assert (await post("/api/v1/dnc", {"action": "add", "number": E164}))[1]["result"] == "added"
        desk.full = True
        assert (await post("/api/v1/calls/1.1/tags", {"tag": "complaint"}))[0] == 503
    assert await desk.states() == [("cancelled", "do_not_call")]


async def test_over_http_there_is_a_limit_too(store: Store):
    desk = FrontDesk(store, commands=CommandsSettings(per_minute=1))
    async with _http(desk) as client:
        seen = [
            (await client.post("/api/v1/dnc", json={"action": "remove", "number": E164})).status
            for _ in range(2)
        ]
    assert seen == [200, 429]


async def test_a_port_in_use_is_told(desk: FrontDesk):
    port = free_port()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    desk.config = desk.config.model_copy(update={"web": Web(enabled=True, port=port, token=SecretStr(TOKEN))})
    with pytest.raises(CannotListenError, match=rf"listen on 127.0.0.1 port {port} \(Address already in"):
        await HttpDoor(desk.config, desk.commands, ready=desk.ready).run()
    taken.close()
    await taken.wait_closed()


def test_the_door_is_not_opened_without_a_strong_token(desk: FrontDesk, tmp_path: Any):
    with pytest.raises(ValidationError, match="needs a token"):
        Web(enabled=True)
    with pytest.raises(ValidationError, match="fewer than 16"):
        Web(enabled=True, token=SecretStr("short"))
    with pytest.raises(ValidationError, match="needs a token"):
        Web(enabled=True, host="0.0.0.0")
    file = tmp_path / "token"
    file.write_text("short\n")
    desk.config = desk.config.model_copy(update={"web": Web(enabled=True, token_file=file)})
    with pytest.raises(ConfigError, match="fewer than 16"):
        HttpDoor(desk.config, desk.commands, ready=desk.ready)
