"""A feature of a program's own: defined here, given to daemon, command line, contract, check and replay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import msgspec
import pytest
import typer
from typer.testing import CliRunner

from callsteward import check, features
from callsteward.ari.events import Event, epoch_ms
from callsteward.calls.tracker import Tracker
from callsteward.cli.app import build
from callsteward.config import Config, Mqtt
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.features import FEATURES
from callsteward.feed import contract
from callsteward.feed.envelope import BLANK, Envelope, identity
from callsteward.feed.tell import Tell, Topic
from callsteward.part import Feature, Part, Rehearsal, Site
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.facts import CallEnded, Fact
from callsteward.recording.replay import ReplayCounts, replay
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from callsteward.terminal.result import Result, ok
from tests.unit.test_app import SECRET, KeptFeed, capture, config_for

SEEN = CallbackDecision(Decision.SUPPRESSED, "toy")


class Greeted(msgspec.Struct, frozen=True):
    """A call ended while the toy was there."""

    call_id: str
    line: str
    events: int


class GreetedMessage(Envelope, frozen=True, kw_only=True):
    """`toys/LINE`: a call was greeted."""

    schema: str = "callsteward.toy/1"
    call_id: str
    events: int


def greeted(site: str, fact: Greeted) -> GreetedMessage:
    name = identity("toys", site, fact.call_id)
    return GreetedMessage(
        **{**BLANK, "message_id": name}, site=site, call_id=fact.call_id, events=fact.events
    )


def seen(fact: Fact) -> Fact:
    if not isinstance(fact, CallEnded):
        return fact
    return msgspec.structs.replace(fact, record=msgspec.structs.replace(fact.record, callback=SEEN))


class ToyPart(Part):
    def __init__(self, site: Site) -> None:
        self.site = site
        self.events = 0
        self.linked: list[bool] = []
        self.heard_of: list[object] = []
        self.running = False

    def hear(self, event: Event) -> None:
        self.events += 1

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        for fact in facts:
            if isinstance(fact, CallEnded):
                self.site.publish(Greeted(fact.record.call_id, fact.record.line, self.events))
        return [seen(fact) for fact in facts]

    def told(self, fact: object) -> None:
        self.heard_of.append(fact)

    def link(self, connected: bool, why: str) -> None:
        self.linked.append(connected)

    async def run(self) -> None:
        self.running = True
        await asyncio.Event().wait()


class ToyRehearsal(Rehearsal):
    def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return [seen(fact) for fact in facts]


class Toy(Feature):
    name = "toy"
    tells = (
        Tell(
            fact=Greeted, message=greeted, topic=lambda fact: ("toys", fact.line), line=lambda fact: fact.line
        ),
    )
    topics: ClassVar[Mapping[str, Topic]] = {"toys": Topic("toys/{line}", GreetedMessage)}

    def __init__(self) -> None:
        self.part: ToyPart | None = None

    def open(self, site: Site) -> Part:
        self.part = ToyPart(site)
        return self.part

    async def checks(self, config: Config) -> Sequence[Result]:
        return [ok("toy", f"greets the calls of {config.site.name}")]

    def rehearse(self, config: Config, tracker: Tracker) -> Rehearsal:
        return ToyRehearsal()

    def commands(self, app: typer.Typer) -> None:
        @app.command("toys", help="List the toys.")
        def _toys() -> None:
            typer.echo("a ball")


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
async def ari() -> AsyncIterator[FakeAri]:
    async with FakeAri(password=SECRET) as server:
        server.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        yield server


async def test_in_the_daemon_it_judges_hears_publishes_and_runs(
    ari: FakeAri, tmp_path: Path, toy: Toy
) -> None:
    feed = KeptFeed()
    daemon = Daemon(config_for(ari.url, tmp_path), feed=feed, features=(*FEATURES, toy))
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await ari.connected()
    await ari.play(capture("client_bye"))
    async with asyncio.timeout(20):
        while not feed.records:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    part = toy.part
    assert part is not None
    assert (part.linked, part.running) == ([True], True)
    stop.set()
    async with asyncio.timeout(10):
        await running
    (ended,) = [fact for fact in feed.facts if isinstance(fact, CallEnded)]
    assert ended.record.callback == SEEN
    (said,) = [fact for fact in feed.facts if isinstance(fact, Greeted)]
    assert said == Greeted(ended.record.call_id, ended.record.line, part.events)
    assert part.events > 10
    # It hears what others publish, and what it published itself.
    assert part.heard_of == feed.facts


async def test_a_feature_that_is_switched_off_has_no_part(ari: FakeAri, tmp_path: Path) -> None:
    class Off(Toy):
        def wanted(self, config: Config) -> bool:
            return False

    off = Off()
    feed = KeptFeed()
    daemon = Daemon(config_for(ari.url, tmp_path), feed=feed, features=(*FEATURES, off))
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await ari.connected()
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert off.part is None


async def test_its_message_is_made_by_the_one_table(toy: Toy, tmp_path: Path) -> None:
    config = Config(mqtt=Mqtt(host="127.0.0.1"))
    table = features.tells(config, (*FEATURES, toy))
    fact = Greeted("1.1", "support", 3)
    entry = table.of(fact)
    assert isinstance(entry, Tell)
    assert table.topic(entry, fact) == "callsteward/main/toys/support"
    message = table.message(entry, fact)
    assert isinstance(message, GreetedMessage)
    assert (message.call_id, message.events) == ("1.1", 3)
    # It need not arrive, so nothing of it goes into the outbox.
    assert list(table.outgoing(fact)) == []
    store = await Store.open(f"sqlite:///{tmp_path}/calls.db", table.outgoing)
    assert (await Outbox(store.engine, "main").measure()).messages == 0
    await store.close()


def test_the_features_messages_are_in_the_contract(toy: Toy) -> None:
    topics = features.topics((*FEATURES, toy))
    assert contract.asyncapi(topics)["channels"]["toys"]["address"] == "callsteward/{site}/toys/{line}"
    schema = contract.json_schemas(topics)["callsteward.toy/1"]
    sent = msgspec.json.decode(msgspec.json.encode(greeted("main", Greeted("1.1", "support", 3))))
    jsonschema.Draft202012Validator(schema).validate(sent | {"ts": "2026-11-22T02:00:00.000Z"})
    assert "toys" not in features.topics()


def test_it_has_commands(toy: Toy) -> None:
    app = build((*FEATURES, toy))
    assert "List the toys." in CliRunner().invoke(app, ["--help"]).stdout
    assert CliRunner().invoke(app, ["toys"]).stdout == "a ball\n"


async def test_the_features_checks_are_run(toy: Toy, tmp_path: Path) -> None:
    file = tmp_path / "callsteward.toml"
    file.write_text('[asterisk]\nurl = "http://127.0.0.1:1"\npassword = "x"\n[mqtt]\nenabled = false\n')
    results: list[Result] = []
    async for result in check.run(file, (*FEATURES, toy)):
        results.append(result)
        if result.check == "toy":
            break
    assert results[-1] == ok("toy", "greets the calls of main")


def test_it_takes_part_in_replay(toy: Toy) -> None:
    def broken(*_: Any) -> None:
        raise AssertionError

    def records(*more: Feature) -> list[CallRecord]:
        return list(
            replay(capture("client_bye"), Config(), ReplayCounts(), broken, features=(*FEATURES, *more))
        )

    (plain,), (judged,) = records(), records(toy)
    assert judged == msgspec.structs.replace(plain, callback=SEEN)
    assert json.loads(msgspec.json.encode(judged))["callback"]["reason"] == "toy"
