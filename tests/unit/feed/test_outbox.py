"""The feed with an outbox, against brokers: durable messages arrive, whichever side was down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import jsonschema
import msgspec
import pytest
from sqlalchemy import text

from callsteward import features
from callsteward.callback import messages as callback_messages
from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.feed import contract, messages
from callsteward.feed import delivery as delivery_module
from callsteward.feed import post as post_module
from callsteward.feed import resend as resend_module
from callsteward.feed.backlog import MessageKind
from callsteward.feed.delivery import Delivery
from callsteward.feed.mqtt import Feed
from callsteward.feed.resend import ResendSpan, resend
from callsteward.feed.tell import outgoing
from callsteward.network.backoff import Backoff
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import ComplaintRaised, Mode, RatingMoved
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, CallHappened, Happening
from callsteward.store.engine import writing
from callsteward.store.outbox import Outbox, OutboxSize
from callsteward.store.records import Store
from tests.lab.ports import free_port
from tests.lab.wire import Wire
from tests.unit.feed.conftest import (
    MOSQUITTO,
    MOVED,
    AnyBroker,
    InProcess,
    Mosquitto,
    back,
    config_for,
    listening,
)
from tests.unit.intervals.days import interval_rows

Build = Callable[..., CallRecord]


class Site:
    """A store and its feed, without the rest of a daemon."""

    def __init__(self, store: Store, config: Config, boot_id: str, limit_bytes: int) -> None:
        self.store = store
        self.outbox = Outbox(store.engine, "main")
        delivery = Delivery(self.outbox, limit_bytes=limit_bytes)
        self.feed = Feed(
            config, boot_id=boot_id, tells=features.tells(config), outbox=delivery, backoff=Backoff(0.05, 0.2)
        )

    async def end(self, *records: CallRecord) -> None:
        """Calls end: as the pump does it."""
        for record in await self.store.save(records):
            self.feed.publish(CallEnded(record))

    async def left(self) -> int:
        return (await self.outbox.measure()).messages

    async def empty(self) -> None:
        async with asyncio.timeout(60):
            while await self.left():  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def site(
    folder: Path, config: Config, *, boot_id: str = "boot-1", limit_bytes: int = 10_000_000
) -> AsyncIterator[Site]:
    store = await Store.open(f"sqlite:///{folder}/calls.db", features.tells(config).outgoing)
    there = Site(store, config, boot_id, limit_bytes)
    task = asyncio.create_task(there.feed.run())
    try:
        yield there
    finally:
        task.cancel()
        async with asyncio.timeout(60):
            await asyncio.wait({task})
        await store.close()


def event(number: int) -> CallHappened:
    return CallHappened(call_id=str(number), line="support", event=Happening.RINGING, at_ms=number)


async def test_a_record_is_heard_and_leaves_the_outbox(
    broker: AnyBroker, tmp_path: Path, record: Build
) -> None:
    async with listening(broker.port) as heard, site(tmp_path, config_for(broker.port)) as there:
        there.feed.publish(event(1))
        await there.end(record(call_id="1"))
        await heard.until(lambda: heard.on("/ended"))
        assert await there.feed.drain(60) == 0
        assert await there.left() == 0
    [body] = heard.on("/ended")
    jsonschema.Draft202012Validator(contract.json_schemas(features.topics())["callsteward.call/1"]).validate(
        body
    )
    assert (body["boot_id"], body["seq"]) == ("boot-1", 2)
    assert heard.on("main/status")[-1]["outbox_depth"] == 0


async def test_a_message_the_broker_refuses_is_reported_and_blocks_nothing(
    tmp_path: Path, record: Build
) -> None:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite callsteward/#\ntopic deny callsteward/main/calls/sales/ended\n")
    rules.chmod(0o600)
    broker = Mosquitto(free_port(), tmp_path, f"allow_anonymous true\nacl_file {rules}")
    await broker.start()
    try:
        config = config_for(broker.port, version="5")
        async with listening(broker.port) as heard, site(tmp_path, config) as there:
            await there.end(record(call_id="1", line="sales"), record(call_id="2", line="support"))
            await heard.until(lambda: heard.on("/ended") and heard.on("$daemon/publish_refused"))
            assert await there.feed.drain(60) == 0
            await there.empty()
            [drop] = await there.outbox.drops()
            assert there.feed.dropped[MessageKind.RECORD] == 1
            assert await there.outbox.measure() == OutboxSize()
    finally:
        await broker.kill()
    assert [body["call_id"] for body in heard.on("/ended")] == ["2"]
    [alert] = heard.on("$daemon/publish_refused")
    assert alert["detail"] == "callsteward/main/calls/sales/ended: Not authorized"
    assert drop.messages == 1
    assert heard.on("main/status")[-1]["dropped_records"] == 1


async def test_ratings_complaints_and_intervals_go_through_the_outbox(
    broker: AnyBroker, tmp_path: Path
) -> None:
    config = config_for(broker.port)
    durable = features.tells(config)
    async with listening(broker.port) as heard, site(tmp_path, config) as there:
        ledger = RatingLedger(there.store.engine, "main", durable.outgoing)
        complaints = Complaints(there.store.engine, "main", durable.outgoing)
        rating = await ledger.open(
            call_id="1",
            mode=Mode.STAY,
            line="support",
            operator="101",
            number=None,
            client_masked=None,
            client_ref=None,
            at_ms=1,
        )
        assert rating is not None
        there.feed.publish(RatingMoved(rating))
        kept = await ledger.keep(rating, at_ms=2, score=1)
        assert kept is not None
        # Its maker does not publish it, as if it had died here: it is in the outbox all the same.
        more = await ledger.keep(kept, at_ms=2, question=2)
        assert more is not None
        raised = await complaints.raise_(
            call_id="1",
            line="support",
            operator="101",
            client_masked=None,
            client_ref=None,
            reason="low_rating",
            score=1,
            at_ms=3,
        )
        assert raised is not None
        there.feed.publish(ComplaintRaised(raised))
        assert (
            await complaints.raise_(
                call_id="1",
                line="support",
                operator="101",
                client_masked=None,
                client_ref=None,
                reason="tagged",
                score=None,
                at_ms=4,
            )
            is None
        )
        for row in interval_rows():
            await there.outbox.put(durable.outgoing(row, 5))
        await heard.until(lambda: len(heard.on("ratings/support")) == 3)
        await heard.until(lambda: heard.on("support/complaint_escalated"))
        await heard.until(lambda: heard.on("operators/101/intervals/20261122T0800Z"))
        assert await there.feed.drain(60) == 0
        await there.empty()
    assert [(body["state"], body["question"]) for body in heard.on("ratings/support")] == [
        ("asking", None),
        ("answered", None),
        ("answered", 2),
    ]
    assert len({body["message_id"] for body in heard.on("ratings/support")}) == 3
    assert len(heard.on("complaint_escalated")) == 1
    durable_seq = [body["seq"] for _, body, _ in heard.messages if body["schema"] in _THESE]
    assert durable_seq == sorted(durable_seq)
    schemas = contract.json_schemas(features.topics())
    for _, body, _ in heard.messages:
        jsonschema.Draft202012Validator(schemas[body["schema"]]).validate(body)


_THESE = {
    "callsteward.rating/1",
    "callsteward.complaint/1",
    "callsteward.line-interval/1",
    "callsteward.operator-interval/1",
}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_the_next_process_sends_unsent_messages_with_the_same_message_id(
    tmp_path: Path, record: Build, version: str
) -> None:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    port = free_port()
    config = config_for(port, version=version)
    calls = [record(call_id=str(number), line="sales" if number % 3 else "support") for number in range(40)]
    async with site(tmp_path, config, boot_id="killed") as there:
        await there.end(*calls)
        assert await there.feed.drain(0.1) == 40
    broker = Mosquitto(port, tmp_path)
    await broker.start()
    async with listening(port) as heard, site(tmp_path, config, boot_id="next") as there:
        await there.end(record(call_id="new"))
        await heard.until(lambda: len(heard.on("/ended")) == 41)
        assert await there.feed.drain(60) == 0
    await broker.kill()
    bodies = heard.on("/ended")
    assert [body["call_id"] for body in bodies] == [call.call_id for call in calls] + ["new"]
    assert [body["message_id"] for body in bodies[:40]] == [
        messages.call_ended(call).message_id for call in calls
    ]
    assert [body["seq"] for body in bodies] == list(range(1, 42))
    assert {body["boot_id"] for body in bodies} == {"next"}


async def test_a_broker_that_is_away_costs_disk_and_not_memory(
    tmp_path: Path, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    monkeypatch.setattr(post_module, "HELD", 50)
    broker = Mosquitto(free_port(), tmp_path)
    wire = Wire(broker.port)
    async with site(tmp_path, config_for(wire.port)) as there:
        for start in range(0, 500, 20):
            await there.end(*(record(call_id=str(number)) for number in range(start, start + 20)))
            assert there.feed.queue_depth <= 50
        assert await there.left() == 500
        async with back(broker, wire) as heard:
            await there.end(record(call_id="last"))
            await heard.until(lambda: len(heard.on("/ended")) >= 501, 60)
            assert await there.feed.drain(60) == 0
        assert await there.left() == 0
    assert [body["call_id"] for body in heard.on("/ended")] == [*map(str, range(500)), "last"]
    assert there.feed.dropped == dict.fromkeys(MessageKind, 0)


async def test_a_full_outbox_drops_the_oldest_says_so_and_shows_the_gap(
    tmp_path: Path, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery_module, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(post_module, "HELD", 10)
    broker = InProcess(free_port())
    wire = Wire(broker.port)
    async with site(tmp_path, config_for(wire.port), limit_bytes=60_000) as there:
        for number in range(100):
            await there.end(record(call_id=str(number)))
        async with asyncio.timeout(60):
            while (await there.outbox.measure()).size > 60_000 or not there.feed.dropped[MessageKind.RECORD]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        left = await there.left()
        gone = there.feed.dropped[MessageKind.RECORD]
        assert gone == 100 - left
        async with back(broker, wire) as heard:
            await heard.until(lambda: len(heard.on("/ended")) == left, 60)
            await heard.until(lambda: heard.on("main/status")[-1]["outbox"] == "normal")
            await there.feed.drain(5)
    assert [body["call_id"] for body in heard.on("/ended")] == [str(n) for n in range(gone, 100)]
    alerts = [body["rule"] for topic, body, _ in heard.messages if "/alerts/$daemon/" in topic]
    assert alerts == ["outbox_filling", "outbox_dropping"]
    status = heard.on("main/status")
    assert status[0]["outbox"] == "dropping"
    assert (status[-1]["dropped"], status[-1]["dropped_records"]) == (gone, gone)
    numbers = {body["seq"] for topic, body, _ in heard.messages if "/ended" in topic or "/alerts/" in topic}
    assert max(numbers) - len(numbers) == gone


async def test_a_payload_that_is_no_message_blocks_nothing(
    broker: AnyBroker, tmp_path: Path, record: Build
) -> None:
    config = config_for(broker.port)
    store = await Store.open(f"sqlite:///{tmp_path}/calls.db", features.tells(config).outgoing)
    await store.save([record(call_id="1"), record(call_id="2")])
    async with writing(store.engine) as connection:
        await connection.execute(text("UPDATE outbox SET payload = '[oops' WHERE id = 1"))
    await store.close()
    async with listening(broker.port) as heard, site(tmp_path, config) as there:
        await heard.until(lambda: heard.on("/ended"))
        assert await there.feed.drain(60) == 0
        assert there.feed.dropped[MessageKind.RECORD] == 1
    assert [body["call_id"] for body in heard.on("/ended")] == ["2"]


async def test_an_interval_is_retained_and_a_rating_is_not(broker: AnyBroker, tmp_path: Path) -> None:
    """Messages that others put in: each has an id of its own."""
    config = config_for(broker.port)
    told = callback_messages.callback("main", MOVED)
    now_ms = time.time_ns() // 1_000_000
    made = [
        outgoing(
            "main", told, kind="rating", line="support", topic="callsteward/main/ratings/support", made_ms=1
        ),
        outgoing(
            "main",
            msgspec.structs.replace(told, message_id="another"),
            kind="interval",
            line="support",
            topic="callsteward/main/lines/support/intervals/x",
            made_ms=now_ms,
            expire_s=3600,
        ),
        outgoing(
            "main",
            msgspec.structs.replace(told, message_id="waited too long"),
            kind="interval",
            line="support",
            topic="callsteward/main/lines/support/intervals/waited",
            made_ms=now_ms - 3_600_000,
            expire_s=3600,
        ),
    ]
    async with site(tmp_path, config) as there:
        await there.outbox.put(made)
        await there.empty()
        async with listening(broker.port, "callsteward/main/#") as late:
            await late.until(lambda: late.on("/intervals/x"))
    assert late.on("/ratings/support") == []
    assert late.on("/intervals/waited") == []
    assert late.on("/intervals/x")[0]["message_id"] == "another"


async def test_sent_again_a_record_has_the_message_id_it_had(
    broker: AnyBroker, tmp_path: Path, record: Build
) -> None:
    config = config_for(broker.port)
    async with listening(broker.port) as heard, site(tmp_path, config) as there:
        await there.end(*(record(call_id=str(n), line="sales" if n else "support") for n in range(3)))
        await heard.until(lambda: len(heard.on("/ended")) == 3)
        await there.empty()
        shown: list[int] = []
        announce = features.tells(config).outgoing
        known = features.sources()
        done = await resend(
            config, there.store, ResendSpan(0, 2**62), known, announce=announce, progress=shown.append
        )
        assert (done, shown) == ({"record": 3}, [3])
        await heard.until(lambda: len(heard.on("/ended")) == 6)
        await there.empty()
        done = await resend(config, there.store, ResendSpan(0, 2**62, "support"), known, announce=announce)
        assert done == {"record": 1}
        assert await resend(config, there.store, ResendSpan(0, 1), known, announce=announce) == {}
        await heard.until(lambda: len(heard.on("/ended")) == 7)
    bodies = heard.on("/ended")
    bare = [{key: value for key, value in body.items() if key not in {"seq", "ts"}} for body in bodies]
    assert bare[3:6] == bare[:3]
    assert bare[6] == bare[0]


async def test_sending_again_does_not_overfill_an_outbox_that_does_not_empty(
    tmp_path: Path, record: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_module, "CHUNK", 10)
    monkeypatch.setattr(resend_module, "WAITING", 20)
    monkeypatch.setattr(resend_module, "PATIENCE_S", 0.3)
    config = config_for(1)
    store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
    await store.save([record(call_id=str(number)) for number in range(100)])
    known = {"record": features.sources()["record"]}
    with pytest.raises(FeedError, match=r"20 messages wait in the outbox and none leaves.*--from \d{4}"):
        await resend(config, store, ResendSpan(0, 2**62), known, announce=features.tells(config).outgoing)
    assert (await Outbox(store.engine, "main").measure()).messages == 20
    await store.close()
