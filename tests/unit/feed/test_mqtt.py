"""The feed against brokers: amqtt in this process and, where it is installed, the real Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import jsonschema
import pytest
import trustme

from callsteward import features
from callsteward.config import Config
from callsteward.feed import contract, messages, presence
from callsteward.feed.backlog import MessageKind
from callsteward.feed.mqtt import Feed
from callsteward.network.backoff import Backoff
from callsteward.record.call import CallRecord
from callsteward.record.facts import Alert, CallEnded, CallHappened, Happening, LineNow, OperatorNow
from tests.lab.ports import free_port
from tests.lab.wire import Wire
from tests.unit.feed.conftest import (
    COMPLAINED,
    MOSQUITTO,
    MOSQUITTO_PASSWD,
    MOVED,
    RATED,
    AnyBroker,
    Heard,
    InProcess,
    Mosquitto,
    back,
    config_for,
    listening,
)
from tests.unit.intervals.days import interval_rows

Build = Callable[..., CallRecord]
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto: `make lab` brings one")


def _now_ms() -> int:
    return int(time.time() * 1000)


def _event(number: int) -> CallHappened:
    return CallHappened(call_id=str(number), line="support", event=Happening.RINGING, at_ms=number)


def _alert(number: int) -> Alert:
    return Alert(
        call_id=str(number), line="support", rule="late", at_ms=9, operator=None, limit_s=5.0, since_ms=4
    )


@asynccontextmanager
async def _running(config: Config, **options: int) -> AsyncIterator[Feed]:
    feed = Feed(config, boot_id="boot-1", tells=features.tells(config), backoff=Backoff(0.05, 0.2), **options)  # type: ignore[arg-type]
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _serving(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[int]:
    """The port of a server that is no good broker."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()


def _seqs(heard: Heard) -> list[int]:
    """The numbers of what was heard, each once: what was not acknowledged is sent again."""
    numbered = (
        payload["seq"] for topic, payload, _ in heard.messages if "/calls/" in topic or "/alerts/" in topic
    )
    return list(dict.fromkeys(numbered))


async def test_every_published_message_arrives_and_meets_its_schema(broker: AnyBroker, record: Build) -> None:
    schemas = contract.json_schemas(features.topics())
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        feed.link(True, "Asterisk 22.7.0")
        feed.publish(_event(1))
        feed.publish(_alert(1))
        feed.publish(CallEnded(record(started_at="2020-02-02T02:02:02.000Z")))
        feed.publish(MOVED)
        feed.warn("outbox_filling", "3 messages wait", value=8.0, limit=10.0)
        feed.publish(RATED)
        feed.publish(COMPLAINED)
        for row in interval_rows():
            feed.publish(row)
        feed.gauges(
            [LineNow(line="support", waiting=1, longest_wait_since_ms=_now_ms() - 5000)], [], _now_ms()
        )
        await heard.until(lambda: heard.on("calls/support/ended") and heard.on("callbacks/support"))
        await heard.until(lambda: heard.on("alerts/$daemon/outbox_filling"))
        await heard.until(lambda: heard.on("operators/101/intervals/20261122T0800Z"))
        await heard.until(lambda: heard.on("ratings/support") and heard.on("support/complaint_escalated"))
        await heard.until(lambda: any(line["waiting"] for line in heard.on("lines/support/now")))
        await heard.until(lambda: heard.on("operators/101/now") and heard.on("lines/sales/now"))
        await heard.until(lambda: any(s["asterisk"] == "connected" for s in heard.on("main/status")))
        assert await feed.drain(60) == 0
        await heard.until(lambda: heard.on("main/status")[-1]["state"] == "offline")
    for topic, payload, _ in heard.messages:
        jsonschema.Draft202012Validator(schemas[payload["schema"]]).validate(payload)
        assert payload["boot_id"] == "boot-1", topic
    # Replies go out where commands come in (tests/unit/commands).
    said = {name for name in schemas if not name.startswith("callsteward.command-")}
    assert {payload["schema"] for _, payload, _ in heard.messages} == said - {"callsteward.reply/1"}
    ends = (
        "/events",
        "/late",
        "/ended",
        "/callbacks/support",
        "/outbox_filling",
        "/ratings/support",
        "/complaint_escalated",
    )
    assert [heard.on(end)[0]["seq"] for end in ends] == [1, 2, 3, 4, 5, 6, 7]
    line = heard.on("lines/support/now")[-1]
    assert (line["offered_today"], line["longest_wait_s"] >= 5) == (0, True)  # the record is of another day
    last = heard.on("main/status")[-1]
    assert (last["state"], last["reason"], last["queue_depth"], last["last_seq"]) == (
        "offline",
        "stopped",
        0,
        9,
    )


async def test_a_late_subscriber_finds_the_retained_topics_only(broker: AnyBroker, record: Build) -> None:
    async with _running(config_for(broker.port)) as feed:
        feed.publish(CallEnded(record()))
        async with listening(broker.port) as early:
            await early.until(lambda: early.on("operators/101/now") and early.on("lines/support/now"))
            await feed.drain(5)
        async with listening(broker.port) as late:
            await late.until(lambda: len({topic for topic, _, _ in late.messages}) == 4)
            await asyncio.sleep(0.1)
    assert all(retained for _, _, retained in late.messages)
    # (amqtt hands each retained message over twice)
    assert sorted({topic for topic, _, _ in late.messages}) == [
        "callsteward/main/lines/sales/now",
        "callsteward/main/lines/support/now",
        "callsteward/main/operators/101/now",
        "callsteward/main/status",
    ]


async def test_a_broker_killed_in_the_middle_gets_everything_once_it_is_back(
    broker: AnyBroker, record: Build
) -> None:
    async with _running(config_for(broker.port)) as feed:
        async with listening(broker.port) as before:
            feed.publish(CallEnded(record(call_id="before")))
            await before.until(lambda: before.on("/ended"))
        await broker.kill()
        for number in range(500):
            feed.publish(_event(number))
            if number % 50 == 0:
                feed.publish(CallEnded(record(call_id=str(number))))
                feed.publish(_alert(number))
                await asyncio.sleep(0.01)
        feed.gauges([LineNow(line="support", talking=3)], [], _now_ms())
        assert feed.queue_depth == 520
        await broker.start()
        async with listening(broker.port) as heard:
            await heard.until(lambda: any(line["talking"] == 3 for line in heard.on("lines/support/now")))
            await heard.until(lambda: heard.on("lines/sales/now") and heard.on("operators/101/now"))
            assert await feed.drain(60) == 0
            await heard.until(lambda: heard.on("main/status")[-1]["state"] == "offline")
    assert feed.dropped == dict.fromkeys(MessageKind, 0)


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_records_wait_for_the_broker_and_arrive_in_order(
    tmp_path: Path, record: Build, version: str
) -> None:
    # A session that outlives its connection, as a WFM keeps one, and a broker that keeps sessions: so no
    # moment is left in which nobody listens.
    broker = Mosquitto(
        free_port(),
        tmp_path,
        f"allow_anonymous true\npersistence true\npersistence_location {tmp_path}/\n"
        "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0",
    )
    await broker.start()
    options: dict[str, Any] = {"identifier": "wfm", "clean_session": False}
    async with listening(broker.port, **options):
        pass
    async with _running(config_for(broker.port, version=version)) as feed:
        feed.publish(CallEnded(record(call_id="0")))
        async with asyncio.timeout(60):
            await feed._emptied.wait()
        await asyncio.sleep(1.2)  # autosave
        await broker.kill()
        for number in range(1, 300):
            feed.publish(_event(number) if number % 3 else CallEnded(record(call_id=str(number))))
        await broker.start()
        assert await feed.drain(60) == 0
    async with listening(broker.port, **options) as heard:
        await heard.until(lambda: len(_seqs(heard)) == 300)
    assert _seqs(heard) == list(range(1, 301))
    assert [ended["call_id"] for ended in heard.on("/ended")][-1] == "297"
    await broker.kill()


async def test_a_message_has_the_same_id_and_number_on_every_try(record: Build) -> None:
    """A broker that reads and never acknowledges gets the same message twice, byte for byte."""
    got: list[bytes] = []
    thrice = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK
        taken = b""
        while chunk := await reader.read(65536):
            taken += chunk
            at = taken.find(b"/status")
            if at >= 0 and b"}" in taken[at:]:
                # PUBACK of the status, the daemon's first message, with its packet id.
                writer.write(b"\x40\x02" + taken[at + 7 : at + 9])
                taken = taken[taken.index(b"}") + 1 :]
            if b'"callsteward.call/1"' in taken and b'"seq":1,"ts"' in taken:
                got.append(taken[taken.index(b'{"schema":"callsteward.call/1"') :].split(b'Z"}')[0])
                if len(got) == 3:
                    thrice.set()
                break

    async with _serving(mute) as port, _running(config_for(port)) as feed:
        feed.publish(CallEnded(record()))
        async with asyncio.timeout(60):
            await thrice.wait()
        assert feed.queue_depth == 1
    assert len(set(got)) == 1


async def test_another_client_sees_the_will_of_a_daemon_that_was_killed(broker: AnyBroker) -> None:
    code = (
        "import asyncio, sys; from callsteward import features; from callsteward.feed.mqtt import Feed;"
        "from tests.unit.feed.conftest import config_for;"
        "config = config_for(int(sys.argv[1]));"
        "asyncio.run(Feed(config, boot_id='killed', tells=features.tells(config)).run())"
    )
    async with listening(broker.port) as heard:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(broker.port), stdout=asyncio.subprocess.DEVNULL
        )
        await heard.until(lambda: heard.on("operators/101/now"), timeout_s=20)
        daemon.kill()
        await daemon.wait()
        await heard.until(lambda: heard.on("main/status")[-1]["state"] == "offline")
        will = heard.on("main/status")[-1]
        assert (will["boot_id"], will["reason"]) == ("killed", "connection_lost")
        assert (will["asterisk"], will["queue_depth"], will["last_seq"]) == (None, None, None)
        # and its successor reports that it is running
        async with _running(config_for(broker.port)):
            await heard.until(lambda: heard.on("main/status")[-1]["state"] == "online")
            assert heard.on("main/status")[-1]["boot_id"] == "boot-1"


@needs_mosquitto
async def test_a_daemon_thrown_off_the_broker_comes_back(tmp_path: Path) -> None:
    broker = Mosquitto(free_port(), tmp_path)
    await broker.start()
    async with listening(broker.port) as heard, _running(config_for(broker.port)):
        await heard.until(lambda: heard.on("operators/101/now"))
        async with aiomqtt.Client("127.0.0.1", broker.port, identifier="callsteward-main"):
            await heard.until(lambda: len(heard.on("main/status")) >= 3)
    assert [status["state"] for status in heard.on("main/status")][:3] == ["online", "offline", "online"]
    await broker.kill()


async def test_a_daemon_that_is_cancelled_says_that_it_stopped(broker: AnyBroker) -> None:
    async with listening(broker.port) as heard:
        async with _running(config_for(broker.port)) as feed:
            await heard.until(lambda: heard.on("operators/101/now"))
            feed.gauges([LineNow(line="sales", talking=1)], [], _now_ms())
        await heard.until(lambda: heard.on("main/status")[-1]["state"] == "offline")
    assert heard.on("main/status")[-1]["reason"] == "stopped"
    # the change that still waited for its second went out before
    assert heard.on("lines/sales/now")[-1]["talking"] == 1
    assert heard.messages[-1][0].endswith("main/status")


async def test_gauges_leave_at_most_once_a_second_and_the_newest_wins(broker: AnyBroker) -> None:
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        begun = time.monotonic()
        await heard.until(lambda: heard.on("lines/support/now"))
        for talking in range(1, 260):
            feed.gauges([LineNow(line="support", talking=talking)], [], _now_ms())
            await asyncio.sleep(0.01)
        await heard.until(lambda: heard.on("lines/support/now")[-1]["talking"] == 259)
    assert 3 <= len(heard.on("lines/support/now")) <= time.monotonic() - begun + 3
    assert len(heard.on("lines/sales/now")) == 1


async def test_the_wait_gauge_counts_up_without_events(broker: AnyBroker) -> None:
    # Asterisk's clock is an hour ahead of the daemon's.
    asterisk_ms = _now_ms() + 3_600_000
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        line = LineNow(line="support", waiting=1, longest_wait_since_ms=asterisk_ms - 10_000)
        feed.gauges([line], [], asterisk_ms)
        await heard.until(lambda: len(heard.on("lines/support/now")) >= 3)
    waits = [shown["longest_wait_s"] for shown in heard.on("lines/support/now")]
    assert waits[:3] == [10.0, 11.0, 12.0]


async def test_calls_of_before_the_start_count_today_but_are_not_sent(
    broker: AnyBroker, record: Build
) -> None:
    now = messages.stamp(_now_ms())
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        feed.recall([record(call_id="1", started_at=now), record(call_id="2", started_at=now, wait_s=90.0)])
        await heard.until(lambda: any(line["offered_today"] == 2 for line in heard.on("support/now")))
        assert heard.on("support/now")[-1]["service_level_today"] == 0.5
        await feed.drain(5)
    assert heard.on("/ended") == []


async def test_without_a_broker_the_oldest_messages_are_dropped_and_counted(record: Build) -> None:
    broker = InProcess(free_port())
    wire = Wire(broker.port)
    async with _running(config_for(wire.port), queue_limit=10) as feed:
        for number in range(25):
            feed.publish(_event(number))
        for number in range(12):
            feed.publish(CallEnded(record(call_id=str(number))))
        feed.publish(_alert(1))
        assert feed.dropped == {MessageKind.RECORD: 2, MessageKind.ALERT: 0, MessageKind.EVENT: 15}
        async with back(broker, wire) as heard:
            await heard.until(lambda: any(s["dropped"] for s in heard.on("main/status")))
            await feed.drain(5)
    status = heard.on("main/status")[-1]
    assert (status["dropped"], status["dropped_records"], status["dropped_events"]) == (17, 2, 15)


async def test_draining_without_a_broker_ends_in_time_and_says_what_is_left(record: Build) -> None:
    async with _running(config_for(free_port())) as feed:
        feed.publish(CallEnded(record()))
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        assert await feed.drain(0.3) == 1
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_that_is_no_broker_does_no_harm(record: Build, answer: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await reader.read()

    async with _serving(odd) as port, _running(config_for(port)) as feed:
        feed.publish(CallEnded(record()))
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        assert await feed.drain(0.2) == 1
        assert time.monotonic() - begun < 30


async def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1() -> None:
    versions: list[int] = []
    accepted = asyncio.Event()

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(4096)
        versions.append(connect[connect.index(b"MQTT") + 4])
        if versions[-1] == 5:
            writer.write(b"\x20\x02\x00\x01")  # CONNACK: unacceptable protocol version
        else:
            writer.write(b"\x20\x02\x00\x00")
            await reader.read(10)
            accepted.set()

    async with _serving(old) as port, _running(config_for(port, version="5")):
        async with asyncio.timeout(60):
            await accepted.wait()
    assert versions[:2] == [5, 4]


@needs_mosquitto
async def test_mqtt_5_says_that_the_payload_is_json(tmp_path: Path) -> None:
    broker = Mosquitto(free_port(), tmp_path)
    await broker.start()
    async with (
        aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
        _running(config_for(broker.port, version="5")) as feed,
    ):
        await client.subscribe("callsteward/main/calls/#", qos=1)
        feed.publish(_event(1))
        async with asyncio.timeout(60):
            message = await anext(aiter(client.messages))
        await feed.drain(5)
    await broker.kill()
    assert message.qos == 1
    assert message.properties is not None
    assert vars(message.properties)["ContentType"] == "application/json"
    assert vars(message.properties)["PayloadFormatIndicator"] == 1


@needs_mosquitto
# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_tls_with_user_and_password(tmp_path: Path, record: Build, version: str) -> None:
    ca = trustme.CA()
    server = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    (tmp_path / "passwords").write_text("wfm:s3cret\n")
    settings = (
        f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
        f"allow_anonymous false\npassword_file {tmp_path}/passwords"
    )
    assert MOSQUITTO_PASSWD is not None
    hashing = await asyncio.create_subprocess_exec(*MOSQUITTO_PASSWD, "-U", tmp_path / "passwords")
    assert await hashing.wait() == 0
    (tmp_path / "passwords").chmod(0o644)
    for name in ("key.pem", "cert.pem", "ca.pem"):
        (tmp_path / name).chmod(0o644)
    broker = Mosquitto(free_port(), tmp_path, settings)
    await broker.start()
    tls = {"tls": True, "ca_file": tmp_path / "ca.pem", "username": "wfm", "version": version}
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    login: dict[str, Any] = {"username": "wfm", "password": "s3cret", "tls_context": trusted}
    async with listening(broker.port, **login) as heard:
        async with _running(config_for(broker.port, **tls, password="wrong")) as refused:
            await asyncio.sleep(0.5)
            assert not refused.connected
        async with _running(
            config_for(broker.port, **{**tls, "ca_file": None}, password="s3cret")
        ) as untrusting:
            await asyncio.sleep(0.5)
            assert not untrusting.connected
        assert heard.messages == []
        async with _running(config_for(broker.port, **tls, password="s3cret")) as feed:
            feed.publish(CallEnded(record()))
            await heard.until(lambda: heard.on("/ended"))
            assert await feed.drain(60) == 0
    await broker.kill()
    del untrusting
    gc.collect()


async def test_a_certificate_that_is_missing_is_logged_not_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with _running(config_for(1, tls=True, ca_file=tmp_path / "nowhere.pem")) as feed:
        await asyncio.sleep(0.1)
        assert not feed.connected
    assert "nowhere.pem" in capsys.readouterr().out


async def test_names_off_the_wire_stay_in_their_level(broker: AnyBroker, record: Build) -> None:
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        for hostile in ("a/b", "#", "+", "x\0y", "../status", ""):
            feed.publish(CallEnded(record(line=hostile, call_id=hostile)))
            feed.gauges([], [OperatorNow(operator=hostile, state="idle", since_ms=1)], _now_ms())  # type: ignore[arg-type]
        assert await feed.drain(60) == 0
        await heard.until(lambda: len(heard.on("/ended")) == 6)
    topics = {topic for topic, _, _ in heard.messages if "/calls/" in topic}
    assert topics == {
        f"callsteward/main/calls/{level}/ended"
        for level in ("a%2Fb", "%23", "%2B", "x%00y", "..%2Fstatus", "%")
    }


async def test_a_message_mqtt_cannot_carry_stops_nothing(
    broker: AnyBroker, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        monkeypatch.setattr(
            feed.topics, "of", lambda *levels: "no/wild/#" if "bad" in levels else "callsteward/ok"
        )
        feed.publish(CallEnded(record(line="bad")))
        feed.publish(CallEnded(record(line="good")))
        await heard.until(lambda: heard.on("callsteward/ok"))
        await feed.drain(5)
    assert feed.dropped[MessageKind.RECORD] == 1


async def test_status_grows_no_older_than_its_interval(
    broker: AnyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "STATUS_EVERY_S", 0.2)
    async with listening(broker.port) as heard, _running(config_for(broker.port)) as feed:
        await heard.until(lambda: len(heard.on("main/status")) >= 2)
        await feed.drain(5)


async def test_a_feed_that_is_switched_off_takes_everything_and_keeps_nothing(record: Build) -> None:
    async with _running(config_for(1, enabled=False)) as feed:
        await asyncio.sleep(0)
        feed.publish(CallEnded(record()))
        feed.gauges([], [], _now_ms())
        feed.link(False, "away")
        assert feed.queue_depth == 0
        assert await feed.drain(60) == 0


async def test_the_caller_never_waits(record: Build) -> None:
    async with _running(config_for(free_port())) as feed:
        begun = time.thread_time()
        for number in range(2000):
            feed.publish(_event(number))
        assert time.thread_time() - begun < 5
        assert feed.queue_depth == 2000


def test_the_mqtt_library_logs_no_payload() -> None:
    assert logging.getLogger("mqtt").level == logging.WARNING
