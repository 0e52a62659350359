import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from callsteward.ari.events import Listened, epoch_ms
from callsteward.ari.recorder import Recorder
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackRow
from callsteward.calls import tracker as tracker_module
from callsteward.config import (
    Agi,
    Asterisk,
    CallbackSettings,
    Config,
    Intervals,
    Mqtt,
    RatingSettings,
    StoreSettings,
    Web,
)
from callsteward.config.profile import Profile
from callsteward.daemon.app import Daemon
from callsteward.daemon.core import journal_path
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import StoreError
from callsteward.health import FeedState, Health
from callsteward.intervals import publisher
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.journal.journal import Journal
from callsteward.rating.ivr import Ivr
from callsteward.rating.states import RatingMoved
from callsteward.record.call import encode
from callsteward.record.facts import Alert, CallEnded
from callsteward.recording.replay import ReplayCounts, replay
from callsteward.store import records as records_module
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.engine import writing
from callsteward.store.stored import decode
from tests.lab.ports import free_port
from tests.unit.running import running as kept_running

CAPTURES = Path(__file__).parents[1] / "replay" / "captures"
SECRET = "s3cret"


def capture(name: str) -> list[bytes]:
    return (CAPTURES / f"{name}.jsonl").read_bytes().splitlines()


class KeptFeed:
    """A feed that keeps what it is given."""

    def __init__(self) -> None:
        self.facts: list[object] = []
        self.recalled: list[str] = []
        self.links: list[tuple[bool, str]] = []
        self.healths: list[Health] = []
        self.gauged: list[tuple[object, object, int]] = []
        self.drained = False
        self.fail: Exception | None = None

    async def run(self) -> None:
        while self.fail is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        raise self.fail

    def publish(self, fact) -> None:
        self.facts.append(fact)

    def recall(self, records) -> None:
        self.recalled += [record.call_id for record in records]

    def gauges(self, lines, operators, now_ms) -> None:
        self.gauged.append((lines, operators, now_ms))

    def link(self, asterisk_connected, detail) -> None:
        self.links.append((asterisk_connected, detail))

    def health(self, health) -> None:
        self.healths.append(health)

    def reconfigure(self, config) -> None:
        self.config = config

    def state(self) -> FeedState:
        return FeedState()

    async def drain(self, timeout_s) -> None:
        self.drained = True

    @property
    def records(self) -> list[bytes]:
        return [encode(fact.record) for fact in self.facts if isinstance(fact, CallEnded)]


class Running:
    def __init__(self, daemon: Daemon, feed: KeptFeed) -> None:
        self.daemon, self.feed = daemon, feed

    async def until(self, condition) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def knocked(port: int) -> asyncio.StreamWriter:
    """A connection to a port that somebody opens soon."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                return writer


def config_for(url: str, folder: Path) -> Config:
    return Config(
        asterisk=Asterisk(url=url, password=SecretStr(SECRET)),
        mqtt=Mqtt(enabled=False),
        store=StoreSettings(url=f"sqlite:///{folder}/calls.db"),
    )


@asynccontextmanager
async def running(config: Config, recorder: Recorder | None = None):
    feed = KeptFeed()
    daemon = Daemon(config, recorder=recorder, feed=feed)
    async with kept_running(daemon):
        yield Running(daemon, feed)


@pytest.fixture
async def ari():
    async with FakeAri(password=SECRET) as server:
        server.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        yield server


def replayed(lines: list[bytes], config: Config) -> list[bytes]:
    def broken(number, error):
        raise AssertionError(number, error)

    return [encode(record) for record in replay(lines, config, ReplayCounts(), broken)]


@pytest.mark.parametrize("name", ["client_bye", "hold2", "blind", "queue_second", "freepbx_local"])
async def test_the_live_record_is_the_replays_byte_for_byte(ari, tmp_path, name):
    config = config_for(ari.url, tmp_path)
    recording = tmp_path / "recording.jsonl"
    with Recorder(recording) as recorder:
        async with running(config, recorder) as live:
            await ari.connected()
            await ari.play(capture(name))
            await live.until(lambda: live.feed.records)
            assert live.daemon.counters.tracker_errors == 0
            assert live.daemon.counters.malformed == 0
    assert live.feed.records == replayed(recording.read_bytes().splitlines(), config)
    assert live.feed.drained


async def test_records_are_in_the_store_before_they_are_published(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
    store = await records_module.Store.open(config.store.url)
    stored = [record async for record in store.calls(records_module.CallQuery())]
    await store.close()
    assert stored == [fact.record for fact in live.feed.facts if isinstance(fact, CallEnded)]


async def test_an_interval_is_published_when_asterisks_clock_has_passed_it(ari, tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "EVERY_S", 0.02)
    config = config_for(ari.url, tmp_path)

    def rows(live: Running) -> list[IntervalRow]:
        return [fact for fact in live.feed.facts if isinstance(fact, IntervalRow)]

    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
        await asyncio.sleep(0.2)
        assert rows(live) == []
        event = {"type": "DeviceStateChanged", "device_state": {"name": "PJSIP/101", "state": "INUSE"}}
        await ari.send(json.dumps({**event, "timestamp": "2026-11-22T02:30:03.000+0000"}))
        await live.until(lambda: len(rows(live)) == 2)
        line, operator = rows(live)
    assert (line.kind, line.name, line.start_ms) == (
        IntervalKind.LINE,
        "default",
        epoch_ms("2026-11-22T02:00:00.000+0000"),
    )
    assert (line.revision, line.values["offered"], line.values["answered"]) == (1, 1, 1)
    assert (operator.kind, operator.name, operator.values["answered"]) == (IntervalKind.OPERATOR, "101", 1)


async def test_with_intervals_off_none_is_published(ari, tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "EVERY_S", 0.02)
    config = config_for(ari.url, tmp_path).model_copy(update={"intervals": Intervals(enabled=False)})
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
        event = {"type": "DeviceStateChanged", "device_state": {"name": "PJSIP/101", "state": "INUSE"}}
        await ari.send(json.dumps({**event, "timestamp": "2026-11-22T02:30:03.000+0000"}))
        await asyncio.sleep(0.3)
    assert not [fact for fact in live.feed.facts if isinstance(fact, IntervalRow)]


async def test_a_killed_daemon_goes_on_with_the_same_call(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    frames = capture("hold2")
    half = len(frames) // 2
    # What a killed daemon leaves behind is its journal.
    path = journal_path(config)
    assert path is not None
    journal = Journal(path)
    for frame in frames[:half]:
        journal.append(frame)
    journal.close()
    for frame in frames[:half]:
        ari._follow(frame.decode())
    async with running(config) as live:
        await ari.connected()
        assert not any(isinstance(fact, Alert) for fact in live.feed.facts)
        await ari.play(frames[half:])
        await live.until(lambda: live.feed.records)
    record, expected = json.loads(live.feed.records[0]), json.loads(replayed(frames, config)[0])
    assert len(live.feed.records) == 1
    assert record["call_id"] == expected["call_id"]
    assert record["started_at"] == expected["started_at"]
    assert path.stat().st_size == 0


async def test_a_restart_does_not_forget_who_is_heard_and_a_new_recording_has_it(ari, tmp_path):
    """Of the second call the operator's phone tells nothing: it was heard before, so nobody spoke."""
    config = config_for(ari.url, tmp_path)
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
    await ari.drop()
    silent = [frame for frame in capture("netdrop") if b'"ChannelTalking' not in frame]
    recording = tmp_path / "recording.jsonl"
    with Recorder(recording) as recorder:
        async with running(config, recorder) as live:
            await ari.connected()
            await ari.play(silent)
            await live.until(lambda: live.feed.records)
    (record,) = map(json.loads, live.feed.records)
    assert record["speech"]["operator_s"] == record["speech"]["client_s"] == 0.0
    assert [silence["duration_s"] for silence in record["silences"]] == [15.0]
    assert record["outcome"] == "early_drop"
    assert replayed(recording.read_bytes().splitlines(), config) == live.feed.records
    assert json.loads(replayed(silent, config)[0])["speech"] is None


async def test_a_rerun_knows_no_more_of_endpoints_than_the_killed_daemon_did(ari, tmp_path):
    """A call whose record is stored must not be judged anew: the store may know its operator by now."""
    config = config_for(ari.url, tmp_path)
    path = journal_path(config)
    assert path is not None
    deaf = [
        frame for frame in capture("netdrop") if b'"ChannelTalking' not in frame or b"PJSIP/trunk" in frame
    ]
    half = len(deaf) // 2
    async with running(config) as live:
        await ari.connected()
        await ari.play(deaf[:half])
        await live.until(lambda: live.daemon.counters.events > 10)
        await asyncio.sleep(0.1)
        left = path.read_bytes()
        await ari.play(deaf[half:])
        await live.until(lambda: live.feed.records)
    await ari.drop()
    assert left.startswith(b'{"type":"CallstewardHeard","timestamp":"","endpoints":[],"whole":true}')
    path.write_bytes(left + b"".join(frame + b"\n" for frame in deaf[half:]))
    (tmp_path / "calls.db").unlink()
    store = await records_module.Store.open(config.store.url)
    await HeardEndpoints(store.engine, "main").keep([("PJSIP/101", Listened("PJSIP/101", heard=True))])
    await store.close()
    async with running(config) as again:
        await ari.connected()
        await again.until(lambda: again.feed.records)
    assert again.feed.records == live.feed.records
    assert json.loads(live.feed.records[0])["speech"]["operator_s"] is None


async def test_a_recording_has_the_calls_in_progress_from_their_start_and_nothing_twice(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    frames = capture("client_bye")
    half = len(frames) // 2
    recordings = [tmp_path / "continued.jsonl", tmp_path / "begun.jsonl"]
    with Recorder(recordings[0]) as recorder:
        async with running(config, recorder) as live:
            await ari.connected()
            await ari.play(frames[:half])
            await live.until(lambda: live.daemon.counters.frames > half // 4)
    await ari.drop()
    left = (tmp_path / "calls.journal").read_bytes()
    for recording in recordings:
        (tmp_path / "calls.journal").write_bytes(left)
        with Recorder(recording) as recorder:
            async with running(config, recorder):
                await ari.connected()
        await ari.drop()
    created = b'"ChannelCreated"'
    expected = sum(created in frame for frame in frames[:half])
    assert [recording.read_bytes().count(created) for recording in recordings] == [expected] * 2


async def test_a_record_that_was_stored_but_is_still_in_the_journal_is_not_published_again(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    path = journal_path(config)
    assert path is not None
    published = []
    for _ in range(2):
        journal = Journal(path)
        for frame in capture("client_bye"):
            journal.append(frame)
        journal.close()
        async with running(config) as live:
            await ari.connected()
        published.append(len(live.feed.records))
        await ari.drop()
    assert published == [1, 0]


async def test_a_stored_call_of_today_that_cannot_be_read_keeps_nobody_from_starting(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    good = msgspec.structs.replace(decode(replayed(capture("client_bye"), config)[0]), started_at=now)
    store = await records_module.Store.open(config.store.url)
    await store.save([good, msgspec.structs.replace(good, call_id="damaged")])
    async with writing(store.engine) as connection:
        await connection.execute(
            text("UPDATE calls SET packed = NULL, record = '}' WHERE call_id = 'damaged'")
        )
    await store.close()
    async with running(config) as live:
        await ari.connected()
        assert live.feed.recalled == [good.call_id]


async def test_an_event_the_tracker_fails_on_is_counted_and_the_next_goes_through(ari, tmp_path, monkeypatch):
    handle = tracker_module.Tracker.handle

    def failing(self, event):
        if getattr(getattr(event, "channel", None), "id", "") == "poison":
            raise ZeroDivisionError
        return handle(self, event)

    monkeypatch.setattr(tracker_module.Tracker, "handle", failing)
    async with running(config_for(ari.url, tmp_path)) as live:
        await ari.connected()
        stamp = "2026-11-22T02:01:21.000+0000"
        channel = '{"id":"poison","name":"PJSIP/1"}'
        await ari.send(f'{{"type":"ChannelHold","timestamp":"{stamp}","channel":{channel}}}')
        await ari.send("{nonsense")
        await ari.send('{"type":"ChannelHold"}')
        await ari.send(f'{{"type":"NewInAsterisk30","timestamp":"{stamp}"}}')
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
    counters = live.daemon.counters
    assert counters.tracker_errors == 1
    assert counters.malformed == 2
    assert counters.unknown["NewInAsterisk30"] == 1
    assert len(live.feed.records) == 1


async def test_a_limit_that_runs_out_without_an_event_alerts_in_time_and_once(ari, tmp_path):
    """The operator's phone rings past answer_limit_s while nothing else happens."""
    frames = capture("client_bye")
    ringing = next(i for i, f in enumerate(frames) if b'"Dial"' in f and b'"dialstatus":"RINGING"' in f) + 1
    config = config_for(ari.url, tmp_path)
    profile = config.profile("x").model_copy(update={"answer_limit_s": 0.5})
    config = config.model_copy(update={"profiles": {"standard": profile}})
    async with running(config) as live:
        await ari.connected()
        began = time.monotonic()
        await ari.play(frames[:ringing])
        await live.until(lambda: any(isinstance(fact, Alert) for fact in live.feed.facts))
        # No event comes any more that could be the one it is noticed at.
        assert time.monotonic() - began > 0.3
        assert len(live.feed.facts) == len(set(map(repr, live.feed.facts)))
    # The successor knows that it was said.
    await ari.drop()
    async with running(config) as live:
        await ari.connected()
        await asyncio.sleep(0.8)
        assert not any(isinstance(fact, Alert) for fact in live.feed.facts)


async def test_a_store_that_fails_for_a_while_loses_no_record(ari, tmp_path, monkeypatch):
    save = records_module.Store.save
    failures = 2

    async def flaky(self, records):
        nonlocal failures
        if failures:
            failures -= 1
            message = "database is locked"
            raise StoreError(message)
        return await save(self, records)

    monkeypatch.setattr(records_module.Store, "save", flaky)
    async with running(config_for(ari.url, tmp_path)) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
    assert failures == 0


async def test_a_part_that_fails_stops_the_daemon_with_its_error(ari, tmp_path):
    feed = KeptFeed()
    feed.fail = ZeroDivisionError("feed")
    with pytest.raises(ZeroDivisionError, match="feed"):
        async with asyncio.timeout(60):
            await Daemon(config_for(ari.url, tmp_path), feed=feed).run(asyncio.Event())


async def test_it_stops_within_five_seconds_while_asterisk_is_away(tmp_path):
    async with running(config_for("http://127.0.0.1:9", tmp_path)) as live:
        await live.until(lambda: live.feed.links)
        began = time.monotonic()
    # Of its own five seconds; the rest is a busy machine's.
    assert time.monotonic() - began < 50
    assert not live.feed.links[0][0]


async def test_the_gauges_are_handed_over_on_change_and_at_most_once_a_second(ari, tmp_path):
    began = time.monotonic()
    async with running(config_for(ari.url, tmp_path)) as live:
        await ari.connected()
        await ari.play(capture("hold2"), speed=20)
        await live.until(lambda: live.feed.records)
        await asyncio.sleep(1.1)
    assert 2 <= len(live.feed.gauged) <= time.monotonic() - began + 2


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///calls.db", Path("calls.journal")),
        ("sqlite:////var/lib/callsteward/calls.db", Path("/var/lib/callsteward/calls.journal")),
        ("sqlite://", None),
        ("postgresql://db/calls", Path("callsteward-main.journal")),
    ],
)
def test_the_journal_lies_beside_the_database(url, path):
    assert journal_path(Config(store=StoreSettings(url=url))) == path


# --- callbacks ---------------------------------------------------------------------------------------


async def callbacks_of(config: Config) -> list[CallbackRow]:
    store = await records_module.Store.open(config.store.url)
    found = await CallbackLedger(store.engine, config.site.name).listed()
    await store.close()
    return found


async def test_with_callbacks_off_nothing_is_written_or_dialled(ari, tmp_path):
    config = config_for(ari.url, tmp_path)
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("netdrop"))
        await live.until(lambda: live.feed.records)
        await asyncio.sleep(0.2)
        (fact,) = (fact for fact in live.feed.facts if isinstance(fact, CallEnded))
    assert (fact.record.callback.decision, fact.record.callback.reason) == ("due", "mid_dialogue_drop")
    assert not [call for call in ari.calls if call.startswith("POST /ari/channels")]
    assert await callbacks_of(config) == []


async def test_with_callbacks_on_the_ledger_has_the_callback_before_the_record_is_published(ari, tmp_path):
    config = config_for(ari.url, tmp_path).model_copy(update={"callback": CallbackSettings(enabled=True)})
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("netdrop"))
        await live.until(lambda: live.feed.records)
        kinds = [type(fact).__name__ for fact in live.feed.facts]
        assert kinds.index("CallbackMoved") < kinds.index("CallEnded")
        (fact,) = (fact for fact in live.feed.facts if isinstance(fact, CallEnded))
    (callback,) = await callbacks_of(config)
    assert callback.origin_call_id == fact.record.call_id
    assert (callback.state, fact.record.callback.decision) == ("due", "due")
    # This Asterisk has not the dialplan, so nobody was rung for nothing.
    assert not [call for call in ari.calls if call.startswith("POST /ari/channels")]


async def test_the_rating_is_decided_behind_the_callback_and_told_in_the_record(ari, tmp_path, monkeypatch):
    async def idle(_self) -> None:
        await asyncio.Event().wait()

    # The menu's own websocket is not this server's business.
    monkeypatch.setattr(Ivr, "run", idle)
    config = config_for(ari.url, tmp_path).model_copy(
        update={
            "callback": CallbackSettings(enabled=True, regions=("RU",)),
            "rating": RatingSettings(enabled=True),
            "profiles": {"standard": Profile(rating="call", rating_delay_min=10_000)},
        }
    )
    async with running(config) as live:
        await ari.connected()
        await ari.play(capture("client_bye"))
        await live.until(lambda: len(live.feed.records) == 1)
        await ari.play(capture("netdrop"))
        await live.until(lambda: len(live.feed.records) == 2)
    told = [json.loads(record) for record in live.feed.records]
    assert [record["callback"]["decision"] for record in told] == ["not_due", "due"]
    assert [record["rating"] for record in told] == [
        {"status": "scheduled", "reason": "call", "score": None},
        {"status": "not_asked", "reason": "callback_due", "score": None},
    ]
    moved = [fact.rating for fact in live.feed.facts if isinstance(fact, RatingMoved)]
    assert [(rating.call_id, rating.state.value) for rating in moved] == [(told[0]["call_id"], "scheduled")]


async def test_a_taken_port_for_asterisk_stops_nothing_and_is_said_until_asterisk_can_dial_it(tmp_path):
    ports = [free_port(), free_port()]
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", ports[0])
    config = config_for("http://127.0.0.1:9", tmp_path)
    config = config.model_copy(
        update={
            "asterisk": Asterisk(connect="outbound", listen_port=ports[0], password=SecretStr(SECRET)),
            "agi": Agi(enabled=True, port=ports[1]),
        }
    )
    async with running(config) as live:
        await live.until(lambda: live.feed.links and live.feed.healths)
        assert f"cannot listen on 127.0.0.1 port {ports[0]} for Asterisk" in live.feed.links[-1][1]
        # The other parts are there, or will be in a moment.
        writer = await knocked(ports[1])
        writer.close()
        await writer.wait_closed()
        taken.close()
        await taken.wait_closed()
        await live.until(lambda: live.feed.links[-1][1].startswith("waiting for Asterisk to dial"))


async def test_a_taken_port_of_an_optional_part_stops_nothing_and_the_part_opens_later(ari, tmp_path):
    ports = [free_port(), free_port()]
    taken = [await asyncio.start_server(lambda *_: None, "127.0.0.1", port) for port in ports]
    config = config_for(ari.url, tmp_path).model_copy(
        update={
            "web": Web(enabled=True, port=ports[0], token=SecretStr("a token nobody guesses")),
            "agi": Agi(enabled=True, port=ports[1]),
        }
    )
    async with running(config) as live:
        await ari.connected()
        await live.until(lambda: live.feed.healths and "[agi]" in live.feed.healths[-1].parts_detail)
        health = live.feed.healths[-1]
        assert health.parts == "waiting"
        assert (
            f"[web]: cannot listen on 127.0.0.1 port {ports[0]} (Address already in use)"
            in health.parts_detail
        )
        assert f"[agi]: cannot listen for FastAGI on 127.0.0.1:{ports[1]}" in health.parts_detail
        # Calls are followed meanwhile.
        await ari.play(capture("client_bye"))
        await live.until(lambda: live.feed.records)
        for server in taken:
            server.close()
            await server.wait_closed()
        await live.until(lambda: live.feed.healths[-1].parts == "open")
        assert live.feed.healths[-1].parts_detail == ""
        for port in ports:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
