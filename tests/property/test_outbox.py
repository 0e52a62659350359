"""The outbox under random sequences of publishing, acknowledging, losing, dropping and crashing.

The store, `Delivery` and `Post` are the real ones, stepped by hand, so that a sequence is the same each time;
the broker is a list, which gets what was sent in the order it was sent.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward import features
from callsteward.callback.states import CallbackMoved
from callsteward.config import Config
from callsteward.feed import post as post_module
from callsteward.feed.backlog import MessageKind, Waiting
from callsteward.feed.delivery import Delivery, Level
from callsteward.feed.post import Post
from callsteward.intervals.grid import topic_name
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.record.facts import CallEnded, CallHappened, Happening
from callsteward.store.engine import connect, writing
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox, Stored, enqueue
from tests.unit.feed.conftest import MOVED
from tests.unit.intervals.days import interval_rows
from tests.unit.store.samples import RECORD

NOW_MS = 1_795_348_800_000
LINES = ("support", "sales")
# Room for some eight records; and how many of the waiting messages are in memory.
LIMIT = 10_000
HELD = 4
ROW = interval_rows()[0]

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("record", "record", "foreign", "revise", "revise", "event", "resend"),
                *("look", "look", "send", "send", "ack", "ack", "lose", "tidy", "bounds", "bounds", "crash"),
                "crowd",
            ]
        ),
        st.integers(0, 5),
    ),
    min_size=5,
    max_size=80,
)


class Watched(Post):
    """A post that tells what was dropped."""

    def __init__(self, gone: set[str], **options: Any) -> None:
        super().__init__(**options)
        self.gone = gone
        self.forgotten: Collection[str] = ()

    def forget(self, names: Collection[str]) -> int:
        self.forgotten = names
        return super().forget(names)

    def dropped(self, messages: int, taken: int) -> None:
        self.gone.update(self.forgotten)
        super().dropped(messages, taken)


class Slow(Outbox):
    """An outbox whose answers come late, while others go on."""

    reading_s = looking_s = 0.0

    async def after(self, last: int, limit: int) -> list[Stored]:
        found = await super().after(last, limit)
        await asyncio.sleep(self.reading_s)
        return found

    async def oldest(self, size: int, *, spare: Collection[str] = ()) -> list[str]:
        found = await super().oldest(size, spare=spare)
        await asyncio.sleep(self.looking_s)
        return found


class World:
    """A site, its broker and who subscribes there."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self.engine = engine
        self.config = Config.model_validate({"site": {"name": site}})
        self.site = site
        self.durable = features.tells(self.config)
        self.outbox = Slow(engine, site)
        self.boots = itertools.count(1)
        self.numbers = itertools.count(1)
        # What was made: ids by topic in order; of intervals their revisions.
        self.made: dict[str, list[str]] = defaultdict(list)
        self.revisions: dict[str, int] = defaultdict(int)
        self.records: list[Outgoing] = []
        self.gone: set[str] = set()
        self.overtaken: set[str] = set()
        # Topic and body of each message the broker got.
        self.got: list[tuple[str, dict[str, Any]]] = []
        # Of each boot: how many numbers it gave out, and how many it gave up.
        self.given: dict[str, tuple[int, int]] = {}
        self.start()

    def start(self) -> None:
        self.boot_id = f"boot {next(self.boots)}"
        self.delivery = Delivery(self.outbox, limit_bytes=LIMIT)
        self.post = Watched(
            self.gone,
            site=self.site,
            boot_id=self.boot_id,
            tells=self.durable,
            expires=lambda: True,
            limit=1000,
            now_ms=lambda: NOW_MS,
            outbox=self.delivery,
        )
        self.flying: list[Waiting] = []

    def note_boot(self) -> None:
        self.given[self.boot_id] = (self.post.seq, sum(self.post.backlog.dropped.values()))

    async def do(self, step: str, number: int) -> None:
        await getattr(self, f"_{step}")(number)

    # --- what a daemon does -------------------------------------------------------------------------

    async def _record(self, number: int) -> None:
        """A call ends: stored, then published by its maker."""
        outgoing, fact = self._new_record(number)
        await self.outbox.put([outgoing])
        self.post.tell(fact)

    async def _foreign(self, number: int) -> None:
        """The command line makes a step of a callback; nobody here releases it."""
        callback = msgspec.structs.replace(
            MOVED.callback, site=self.site, line=LINES[number % 2], attempts=next(self.numbers)
        )
        [outgoing] = self.durable.outgoing(CallbackMoved(callback, MOVED.actor))
        self.made[outgoing.topic].append(outgoing.message_id)
        await self.outbox.put([outgoing])

    def _new_record(self, number: int) -> tuple[Outgoing, CallEnded]:
        line = LINES[number % 2]
        record = msgspec.structs.replace(RECORD, site=self.site, call_id=f"{next(self.numbers)}", line=line)
        # Long ago, so that it needs no release by its maker to be taken from the disk.
        fact = CallEnded(record)
        [outgoing] = self.durable.outgoing(fact, NOW_MS - 10_000_000)
        self.made[outgoing.topic].append(outgoing.message_id)
        self.records.append(outgoing)
        return outgoing, fact

    async def _revise(self, number: int) -> None:
        """An interval has a new revision."""
        row: IntervalRow = msgspec.structs.replace(
            ROW, site=self.site, start_ms=ROW.start_ms + (number % 3) * 1_800_000
        )
        above = "lines" if row.kind is IntervalKind.LINE else "operators"
        topic = self.durable.topics.of(above, row.name, "intervals", topic_name(row.start_ms))
        self.revisions[topic] += 1
        row = msgspec.structs.replace(row, revision=self.revisions[topic])
        [outgoing] = self.durable.outgoing(row, NOW_MS)
        waiting = {item.message_id for item in await self._waiting()}
        async with writing(self.engine) as connection:
            replaced = await enqueue(connection, [outgoing])
        left = {item.message_id for item in await self._waiting()}
        assert left - waiting == {outgoing.message_id}
        assert len(waiting - left) == replaced <= 1
        assert waiting - left <= {outgoing.replaces}
        self.overtaken |= waiting - left
        self.made[topic].append(outgoing.message_id)

    async def _event(self, number: int) -> None:
        fact = CallHappened(
            call_id=str(next(self.numbers)), line=LINES[number % 2], event=Happening.HOLD, at_ms=1
        )
        self.post.tell(fact)

    async def _resend(self, number: int) -> None:
        if self.records:
            await self.outbox.put([self.records[number % len(self.records)]])

    async def _look(self, number: int) -> None:
        await self.delivery._take_up(self.post)

    async def _send(self, number: int) -> None:
        self.flying += self.post.next(number + 1)

    async def _ack(self, number: int) -> None:
        answered, self.flying = self.flying[:number], self.flying[number:]
        self._arrive(answered)
        # Brokers acknowledge in order; what is handled first is another matter.
        for item in reversed(answered):
            self.post.acknowledged(item)

    async def _lose(self, number: int) -> None:
        """The connection: of what was on its way, the broker may have some."""
        self._arrive(self.flying[:number])
        self.post.unsent(self.flying)
        self.flying = []

    async def _tidy(self, number: int) -> None:
        await self.delivery._remove_sent()

    async def _bounds(self, number: int) -> None:
        before = (await self.outbox.measure()).size
        told = self.delivery.level
        await self.delivery._keep_bounds(self.post)
        after = (await self.outbox.measure()).size
        if self.delivery.level is Level.DROPPING and before > LIMIT:
            spared = sum(len(item.payload) for item in self.flying)
            assert after <= LIMIT + spared
        elif told is Level.NORMAL:
            assert after == before, "nothing is dropped before it was said that it fills"

    async def _crowd(self, number: int) -> None:
        """All at once, as it is in a daemon: what is dropped is neither taken nor sent."""
        self.outbox.reading_s, self.outbox.looking_s = (0.02, 0.0) if number % 2 else (0.0, 0.02)
        before = set(self.gone)
        looking = asyncio.create_task(self._look(number))
        bounds = asyncio.create_task(self.delivery._keep_bounds(self.post))
        for _ in range(6):
            await asyncio.sleep(0.004)
            await self._send(0)
        await asyncio.gather(looking, bounds, self._tidy(number))
        self.outbox.reading_s = self.outbox.looking_s = 0.0
        kept = {item.message_id for item in [*self.flying, *self.post.backlog._queues[MessageKind.RECORD]]}
        assert not kept & (self.gone - before)

    async def _crash(self, number: int) -> None:
        """SIGKILL: memory is gone, the broker may have some of what was on its way.

        A record may have been stored and not come to be published.
        """
        if number % 2:
            await self.outbox.put([self._new_record(number)[0]])
        self._arrive(self.flying[:number])
        self.note_boot()
        self.start()

    # --- what came of it ----------------------------------------------------------------------------

    def _arrive(self, items: Collection[Waiting]) -> None:
        self.got += [(item.topic, msgspec.json.decode(item.payload)) for item in items]

    async def _waiting(self) -> list[Any]:
        return await self.outbox.after(0, 10_000)

    async def settle(self) -> None:
        """The broker is there and takes everything."""
        await self._lose(0)
        for _ in range(100):
            await self._look(0)
            await self._send(19)
            await self._ack(20)
            await self._tidy(0)
            if not self.post.backlog.depth and not await self._waiting():
                break
        self.note_boot()
        assert self.delivery.in_step
        assert not self.delivery._taken - self.delivery._removed

    def judge(self) -> None:
        arrived = {body["message_id"] for _, body in self.got}
        lost = set().union(*self.made.values()) - arrived - self.gone
        # Every one is there, but for those dropped and those that a newer revision replaced.
        assert lost <= self.overtaken
        contents: dict[str, object] = {}
        by_boot: dict[str, list[int]] = defaultdict(list)
        for topic, body in self.got:
            # The same thing under the same id, whichever boot sends it.
            said = {key: value for key, value in body.items() if key not in {"boot_id", "seq", "ts"}}
            assert contents.setdefault(body["message_id"], said) == said
            by_boot[body["boot_id"]].append(body["seq"])
            assert topic.startswith(f"callsteward/{self.site}/")
        self._judge_order()
        for boot_id, numbers in by_boot.items():
            given, dropped = self.given[boot_id]
            seen = set(numbers)
            # First seen in order, and a gap for what was dropped and nothing else.
            assert list(dict.fromkeys(numbers)) == sorted(seen)
            last = given if boot_id == self.boot_id else max(seen)
            missing = set(range(1, last + 1)) - seen
            assert len(missing) <= dropped
            if boot_id == self.boot_id:
                assert len(missing) == dropped

    def _judge_order(self) -> None:
        firsts: dict[str, list[str]] = defaultdict(list)
        for topic, body in self.got:
            if body["message_id"] not in firsts[topic]:
                firsts[topic].append(body["message_id"])
        for topic, made in self.made.items():
            came = firsts[topic]
            assert came == [name for name in made if name in set(came)]
            if topic in self.revisions and made[-1] not in self.gone:
                # What the broker keeps in the end is the newest.
                last = [body["message_id"] for where, body in self.got if where == topic][-1]
                assert last == made[-1]


class Lab:
    """One database for all examples, each with a site of its own; one loop: connections belong to one."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = self.loop.run_until_complete(connect(f"sqlite:///{folder}/calls.db"))
        self.sites = itertools.count(1)

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.dispose())
        self.loop.close()

    def play(self, steps: Sequence[Step]) -> World:
        world = World(self.engine, f"site-{next(self.sites)}")

        async def play() -> None:
            for step, number in steps:
                await world.do(step, number)
            await world.settle()

        self.loop.run_until_complete(play())
        world.judge()
        return world


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("outbox"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(post_module, "HELD", HELD)
        yield made
    made.close()


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
@example(steps=[("revise", 0), ("look", 0), ("send", 0), ("revise", 0), ("crash", 1), ("revise", 0)])
@example(steps=[("revise", 0), ("look", 0), ("revise", 0), ("lose", 0), ("revise", 0), ("tidy", 0)])
@example(steps=[*[("record", 0)] * 30, ("look", 0), ("send", 3), *[("bounds", 0)] * 3, ("ack", 2)])
@example(steps=[*[*[("record", 0)] * 9, ("crowd", 0), ("ack", 2)] * 8])
@example(steps=[*[*[("record", 0)] * 9, ("crowd", 1), ("ack", 2)] * 8])
def test_nothing_is_lost_doubled_under_another_id_or_out_of_order(lab: Lab, steps: list[Step]) -> None:
    lab.play(steps)


def test_revisions_that_wait_are_replaced_without_a_gap(lab: Lab) -> None:
    world = lab.play([("revise", 0)] * 5 + [("record", 0), ("revise", 0), ("revise", 1)])
    assert len(world.overtaken) == 5
    assert world.given == {"boot 1": (3, 0)}
    assert [body.get("revision") for _, body in world.got] == [None, 6, 1]
    assert [body["seq"] for _, body in world.got] == [1, 2, 3]


def test_a_revision_on_its_way_is_sent_and_the_newer_one_after_it(lab: Lab) -> None:
    world = lab.play([("revise", 0), ("look", 0), ("revise", 0), ("send", 0), ("revise", 0)])
    assert [body["revision"] for _, body in world.got] == [1, 3]
    assert [body["seq"] for _, body in world.got] == [1, 2]


def test_dropped_messages_leave_a_gap_and_the_newest_is_kept(lab: Lab) -> None:
    """30 records, of which 4 have a number, then room for some 8; two alerts say so."""
    world = lab.play([*[("record", 0)] * 30, ("look", 0), ("send", 1), *[("bounds", 0)] * 3])
    ids = world.made["callsteward/" + world.site + "/calls/support/ended"]
    assert len(world.gone) > 15
    # The two that were on their way stay.
    assert world.gone == set(ids[2 : 2 + len(world.gone)])
    [(given, dropped)] = world.given.values()
    assert (given, dropped) == (30 + 2, len(world.gone))
    seen = {body["seq"] for _, body in world.got}
    assert len(set(range(1, given + 1)) - seen) == dropped


def test_a_full_outbox_of_revisions_drops_none(lab: Lab) -> None:
    """A day without a broker: each interval revised a hundred times is as much as once."""
    steps: list[Step] = [("revise", number) for number in range(3)] * 100
    world = lab.play([*steps, ("bounds", 0), ("bounds", 0), ("bounds", 0)])
    assert world.gone == set()
    assert [body["revision"] for _, body in world.got] == [100, 100, 100]
    assert len(world.overtaken) == 3 * 99
