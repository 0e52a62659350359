"""Commands on a real Mosquitto with the shipped ACL, a real Asterisk and real phones."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY
from tests.lab.ports import free_port
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.integration import connected
from tests.live.play import TAGS, Playing
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(110)]

ACL = (REPOSITORY / "config" / "mosquitto" / "acl").read_text()
TOKEN = "a token for the lab, long enough"
SETTLED_S = 1.0


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def broker(pbx: Asterisk) -> Iterator[Mosquitto]:
    users = {"dashboard": "for-reading", "integration": "for-commands"}
    with Mosquitto(users=users, acl=ACL) as started:
        yield started


@pytest.fixture(scope="module")
def daemon(pbx: Asterisk, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("commands")
    values = callback_settings(pbx, folder / "commands.db") | {
        "tags": {"enabled": True},
        "commands": {"http": True, "mqtt": True},
        "web": {"enabled": True, "port": free_port(), "token": TOKEN},
        "mqtt": {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
        },
    }
    with Daemon(folder, "commands", values) as started:
        started.port = values["web"]["port"]  # type: ignore[attr-defined]
        started.start()
        started.until(lambda: b'"commands_open"' in started.log_file.read_bytes(), 15, "take commands")
        yield started


def rows(daemon: Daemon, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(daemon.database, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def post(daemon: Daemon, path: str, body: object, token: str = TOKEN) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}{path}",  # type: ignore[attr-defined]
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def _ended(integration: Any, lane: int) -> str:
    (record, *_) = await integration.until(f"calls/lane{lane}/ended", limit_s=40)
    return str(record["call_id"])


async def test_dropped_over_mqtt_is_one_call_to_the_client_however_often_it_is_sent(
    pbx: Asterisk, broker: Mosquitto, daemon: Daemon
) -> None:
    playing = Playing(pbx, "plain", 0, TAGS)
    async with connected(broker, "integration", "replies/#", "calls/#", "callbacks/#") as crm:
        call_id = await _ended(crm, 0)
        command = {"id": "crm-1", "call_id": call_id, "tag": "dropped", "by": "crm"}
        for _ in range(2):
            await crm.send("tag", command, respond_on="callsteward/lab/replies/box/7", correlation=b"\x007")
        first, second = await crm.until("replies/crm-1", 2)
        assert (first["status"], first["result"], first["call_id"]) == ("done", "callback_due", call_id)
        # The same answer, and the same message, but for the boot they are sent in.
        assert first == second
        await crm.until("replies/box/7", 2)
        boxed = [(body, properties) for topic, body, properties in crm.received if topic == "replies/box/7"]
        assert [body for body, _ in boxed] == [first, first]
        assert [properties.CorrelationData for _, properties in boxed] == [b"\x007", b"\x007"]
        # Another command that says the same is carried out, and changes nothing.
        await crm.send("tag", command | {"id": "crm-2"})
        (again,) = await crm.until("replies/crm-2")
        assert (again["status"], again["result"]) == ("done", "callback_due")
        # One id, two commands: a mistake that is told.
        await crm.send("tag", command | {"tag": "complaint"})
        refused = (await crm.until("replies/crm-1", 3))[2]
        assert (refused["status"], refused["reason"]) == ("refused", "id_used")
        told = [body for body in await crm.until("calls/lane0/events") if body["event"] == "tag"]
        assert [(body["tag"], body["result"], body["by"]) for body in told] == [
            ("dropped", "callback_due", "crm")
        ]
        states = [body["state"] for body in await crm.until("callbacks/lane0", 5, limit_s=30)]
        assert states == ["due", "offered", "operator_answered", "dialling", "reached"]
    played = await asyncio.to_thread(playing.end)
    assert not played.error
    # The call itself was the client's: what rings at their phone is the callback.
    assert played.invites == 1
    assert len(rows(daemon, f"SELECT 1 FROM callbacks WHERE origin_call_id = '{call_id}'")) == 1
    assert rows(daemon, f"SELECT tag, given_by, source FROM call_tags WHERE call_id = '{call_id}'") == [
        ("dropped", "crm", "mqtt")
    ]
    record = next(item for item in daemon.records() if item["call_id"] == call_id)
    assert record["callback"] == {"decision": "not_due", "reason": "client_hung_up"}


async def test_a_call_in_progress_is_tagged_and_its_record_shows_it(
    pbx: Asterisk, broker: Mosquitto, daemon: Daemon
) -> None:
    playing = Playing(pbx, "plain", 1, TAGS)
    async with connected(broker, "integration", "replies/#", "calls/#") as crm:
        events = await crm.until("calls/lane1/events", 3, limit_s=30)
        call_id = events[0]["call_id"]
        for number, (tag, value) in enumerate([("registered", ""), ("dnc", ""), ("dropped", "")]):
            await crm.send("tag", {"id": f"on-{number}", "call_id": call_id, "tag": tag, "value": value})
            (reply,) = await crm.until(f"replies/on-{number}")
            assert reply["status"] == "done", reply
        (record,) = await crm.until("calls/lane1/ended", limit_s=40)
    played = await asyncio.to_thread(playing.end)
    assert not played.error
    assert record["outcome"] == "mid_dialogue_drop"
    # They asked not to be called: the tag says so before the other one asks to call.
    assert record["callback"] == {"decision": "suppressed", "reason": "do_not_call"}
    assert played.invites == 0
    check = next(item for item in record["standard"] if item["rule"] == "registered_within")
    assert (check["result"], check["value"]) == ("met", 0.0)


async def test_a_callback_is_asked_for_over_http_and_cancelled_over_mqtt(
    pbx: Asterisk, broker: Mosquitto, daemon: Daemon
) -> None:
    playing = Playing(pbx, "plain", 2, TAGS)
    async with connected(broker, "integration", "replies/#", "calls/#", "callbacks/#") as crm:
        call_id = await _ended(crm, 2)
        status, answer = await asyncio.to_thread(
            post, daemon, f"/api/v1/calls/{call_id}/callback", {"id": "web-1", "action": "request"}
        )
        assert (status, answer["status"], answer["result"]) == (200, "done", "callback_due")
        await crm.send("callback", {"id": "crm-9", "action": "request", "call_id": call_id})
        (twice,) = await crm.until("replies/crm-9")
        assert (twice["status"], twice["reason"]) == ("refused", "callback_decided")
        await crm.until("callbacks/lane2", 5, limit_s=30)
        await crm.send("callback", {"id": "crm-10", "action": "cancel", "call_id": call_id})
        (late,) = await crm.until("replies/crm-10")
        assert (late["reason"], late["result"]) == ("callback_over", "reached")
    played = await asyncio.to_thread(playing.end)
    assert not played.error
    assert played.invites == 1


async def test_a_malformed_command_is_answered_if_its_id_can_be_read(
    broker: Mosquitto, daemon: Daemon
) -> None:
    async with connected(broker, "integration", "replies/#") as crm:
        wrong: list[tuple[str, object, str]] = [
            ("tag", {"id": "bad-1", "call_id": "1.1", "tag": "nonsense"}, "malformed"),
            ("tag", {"id": "bad-2", "tag": "dropped"}, "malformed"),
            ("tag", {"id": "bad-3", "call_id": "1.1", "tag": "dropped", "tga": 1}, "malformed"),
            ("restart", {"id": "bad-4"}, "unknown_command"),
            ("tag", {"id": "bad-5", "call_id": "999.9", "tag": "dropped"}, "unknown_call"),
            ("dnc", {"id": "bad-6", "action": "add", "number": "112"}, "not_a_number"),
            ("callback", {"id": "bad-7", "action": "cancel", "call_id": "999.9"}, "no_callback"),
            ("complaint", {"id": "bad-8", "action": "acknowledge", "call_id": "1.1"}, "complaints_off"),
        ]
        for name, body, _ in wrong:
            await crm.send(name, body)
        for number, (_, _, reason) in enumerate(wrong, 1):
            (reply,) = await crm.until(f"replies/bad-{number}")
            assert (reply["status"], reply["reason"]) == ("refused", reason)
            assert reply["detail"]
        # No id: nothing can be answered, and nothing breaks.
        for body in (b"", b"\xff\xfe", b"[" * 7000, b"{" + b" " * 9000 + b"}", '{"id": "../status"}'):
            await crm.send("tag", body)
        await crm.send("dnc", {"id": "good-1", "action": "add", "number": "8 (903) 123-45-67"})
        (reply,) = await crm.until("replies/good-1")
        assert (reply["status"], reply["result"]) == ("done", "added")
        # Ids are random digits as well, and a time of day has any.
        others = {"message_id", "boot_id", "ts", "at"}
        said = {key: value for key, value in reply.items() if key not in others}
        assert "903" not in json.dumps(said)
        await crm.send("dnc", {"id": "good-2", "action": "remove", "number": "+79031234567"})
        assert (await crm.until("replies/good-2"))[0]["result"] == "removed"
        assert len([topic for topic, _, _ in crm.received]) == len(wrong) + 2
    assert b"9031234567" not in daemon.log_file.read_bytes()


async def test_a_reply_goes_nowhere_but_below_replies(broker: Mosquitto, daemon: Daemon) -> None:
    """Else who may command could have the daemon publish a record for them."""
    async with (
        connected(broker, broker.user, "#") as everything,
        connected(broker, "integration", "replies/#") as crm,
    ):
        # One with a wildcard never gets here: Mosquitto ends a connection that asks for that
        # (tests/unit/commands has it, for a broker that lets it through).
        for number, topic in enumerate(("callsteward/lab/calls/support/ended", "elsewhere")):
            body = {"id": f"deputy-{number}", "action": "cancel", "call_id": "999.9"}
            await crm.send("callback", body, respond_on=topic)
            await crm.until(f"replies/deputy-{number}")
        await asyncio.sleep(SETTLED_S)
        deputies = [topic for topic, body, _ in everything.received if "deputy" in json.dumps(body)]
        assert all(topic.startswith(("replies/deputy-", "commands/")) for topic in deputies)


async def test_a_dashboard_reads_and_cannot_command(broker: Mosquitto, daemon: Daemon) -> None:
    async with (
        connected(broker, "dashboard", "#", "status", "commands/#", "replies/#") as dashboard,
        connected(broker, "integration", "replies/#") as crm,
    ):
        assert (await dashboard.until("status"))[0]["state"] == "online"
        await dashboard.send("dnc", {"id": "dash-1", "action": "add", "number": "+79000000099"})
        await crm.send("dnc", {"id": "real-1", "action": "add", "number": "+79000000098"})
        await crm.until("replies/real-1")
        await asyncio.sleep(SETTLED_S)
        assert {
            topic for topic, _, _ in dashboard.received if topic.startswith(("commands", "replies"))
        } == set()
    assert rows(daemon, "SELECT number FROM do_not_call WHERE number LIKE '%99'") == []
    assert rows(daemon, "SELECT number FROM do_not_call WHERE number LIKE '%98'") == [("+79000000098",)]
    assert rows(daemon, "SELECT 1 FROM commands_done WHERE command_id = 'dash-1'") == []


async def test_an_integration_commands_reads_its_reply_and_publishes_no_record(
    broker: Mosquitto, daemon: Daemon
) -> None:
    async with (
        connected(broker, "dashboard", "calls/#", "status", "callbacks/#") as dashboard,
        connected(broker, "integration", "replies/#", "operators/#", "status") as crm,
    ):
        for topic in ("calls/support/ended", "status", "callbacks/support", "replies/forged"):
            await crm.mqtt.publish(crm.base + topic, '{"forged": true}', qos=1)
        await crm.send("callback", {"id": "acl-1", "action": "cancel", "call_id": "999.9"})
        await crm.until("replies/acl-1")
        await asyncio.sleep(SETTLED_S)
        assert not [body for _, body, _ in (*dashboard.received, *crm.received) if "forged" in body]
        assert {topic for topic, _, _ in crm.received} == {"replies/acl-1"}


def test_http_takes_a_token_and_nothing_else(daemon: Daemon) -> None:
    body = {"id": "web-9", "action": "add", "number": "+79000000097"}
    assert post(daemon, "/api/v1/dnc", body, token="wrong")[0] == 401
    assert post(daemon, "/api/v1/dnc", body, token="")[0] == 401
    assert rows(daemon, "SELECT 1 FROM do_not_call WHERE number LIKE '%97'") == []
    status, answer = post(daemon, "/api/v1/dnc", body)
    assert (status, answer["status"], answer["result"]) == (200, "done", "added")
    assert post(daemon, "/api/v1/dnc", body)[1] == answer
    assert post(daemon, "/api/v1/calls/999.9/tags", {"tag": "dropped"})[0] == 404
    assert post(daemon, "/api/v1/calls/999.9/tags", {"tag": "nonsense"})[0] == 400
    assert post(daemon, "/api/v1/calls/999.9/tags", {"tag": "comment", "value": "x" * 9000})[0] == 413
