"""One of a site's two daemons: when it is ready, what it may do, and when it hands the site over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import Answer, AsteriskInfo
from callsteward.calls.tracker import Tracker
from callsteward.commands.reply import DETAILS
from callsteward.config import Config, Mqtt, Standby, StoreSettings
from callsteward.daemon import standby as module
from callsteward.daemon.acting import ActingTransport
from callsteward.daemon.linked import Linked
from callsteward.daemon.standby import HandedOverError, StandBy
from callsteward.exceptions import AriError
from callsteward.feed import broker
from callsteward.feed.mqtt import Feed
from callsteward.health import Counters, Health
from callsteward.network.waiting import cancelled
from callsteward.store.lease import Lease
from callsteward.store.pair import Peer
from callsteward.store.records import Store
from callsteward.tags.elsewhere import TagsElsewhere
from tests.unit.calls.stream import Stream
from tests.unit.tags.desk import FrontDesk

PEER = Peer(
    instance="b", boot_id="2", app="app-b", host="two", pbx="p", acting=False, ready=True, detail="",
    partly=0, age_ms=100,
)  # fmt: skip


class Daemon:
    """A daemon `a` whose surroundings a test sets."""

    def __init__(self) -> None:
        config = Config(
            standby=Standby(instance="a"), store=StoreSettings(url="postgresql://user@host/calls")
        )
        self.standby = StandBy(config, "boot", lambda: 0)
        self.linked, self.tracker = Linked(), Tracker(config)
        self.frames = FrameQueue(Counters())
        self.standby.follows(self.linked, self.tracker, self.frames)
        self.linked.change(True, "")
        self.standby._answered(AsteriskInfo("22", "02:fc", "2026-11-30T10:00:00.000+0000"))

    @property
    def said(self) -> tuple[bool, str, int]:
        found = self.standby._readiness()
        return found.ready, found.detail, found.partly

    def acts(self, *, peer: Peer | None = PEER) -> None:
        self.standby.acts = True
        self.standby.pair.lease.begin(1, float("inf"))
        self.standby.pair.peer = peer


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


# --- ready or not -----------------------------------------------------------------------------------------


def test_a_daemon_that_hears_asterisk_and_is_up_to_date_is_ready(daemon: Daemon) -> None:
    assert daemon.said == (True, "", 0)
    assert daemon.standby.pair.pbx == "02:fc 2026-11-30T10:00:00.000+0000"


def test_without_the_link_it_is_not_ready(daemon: Daemon) -> None:
    daemon.linked.change(False, "closed with code 1006")
    assert daemon.said == (False, "no link to Asterisk: closed with code 1006", 0)


def test_where_asterisk_does_not_answer_it_is_not_ready(daemon: Daemon) -> None:
    daemon.standby._answered_s = time.monotonic() - 2 * module.NOT_HEARD_S
    assert daemon.said == (False, "Asterisk does not answer", 0)


def test_behind_with_its_events_it_is_not_ready(daemon: Daemon) -> None:
    for _ in range(module.BEHIND_FRAMES + 1):
        daemon.frames.put(b"{}")
    assert daemon.said == (False, "2001 events wait to be followed", 0)


def test_a_call_followed_in_part_keeps_it_from_being_ready_unless_the_other_one_saw_no_more(
    daemon: Daemon,
) -> None:
    s = Stream()
    s.talk()
    s.play(daemon.tracker)
    s.wait(1)
    s.snapshot(gap_from=0.5)
    s.play(daemon.tracker)
    daemon.standby.pair.peer = None
    assert daemon.said == (True, "", 1)
    daemon.standby.pair.peer = peer(acting=True, partly=0)
    assert daemon.said == (False, "1 calls that are on were followed in part only", 1)
    daemon.standby.pair.peer = peer(acting=True, partly=1)
    assert daemon.said == (True, "", 1)


def peer(**changes: object) -> Peer:
    import msgspec

    return msgspec.structs.replace(PEER, **changes)


@pytest.mark.parametrize(
    ("other", "state", "detail"),
    [
        (PEER, "ready", ""),
        (None, "absent", "no other daemon of the site has been seen"),
        (peer(age_ms=60_000), "absent", "b (on two) is not heard"),
        (peer(ready=False, detail="starting"), "not_ready", "b (on two): starting"),
    ],
)
def test_the_one_that_acts_says_whether_the_other_one_could(
    daemon: Daemon, other: Peer | None, state: str, detail: str
) -> None:
    daemon.acts(peer=other)
    health = daemon.standby.health(Health())
    assert (health.role, health.instance, health.standby, health.standby_detail) == (
        "acts",
        "a",
        state,
        detail,
    )


def test_the_one_that_stands_by_says_so_of_itself(daemon: Daemon) -> None:
    health = daemon.standby.health(Health())
    assert (health.role, health.standby, health.standby_detail) == ("stands_by", "ready", "")


# --- handing over -----------------------------------------------------------------------------------------


async def _watched(daemon: Daemon, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await daemon.standby.watch()


async def test_a_daemon_that_acts_and_does_not_hear_asterisk_hands_over(daemon: Daemon) -> None:
    daemon.acts()
    daemon.standby._answered_s = time.monotonic() - 2 * module.NOT_HEARD_S
    with pytest.raises(
        HandedOverError, match=r"handed the site over to 'b' \(on two\): Asterisk is not heard"
    ):
        await _watched(daemon, 5)
    assert not daemon.standby.may_act()


async def test_a_lost_link_is_a_reason_too_though_asterisk_answers(daemon: Daemon) -> None:
    daemon.acts()
    daemon.linked.change(False, "closed")
    keeping = asyncio.create_task(_answering(daemon))
    with pytest.raises(HandedOverError):
        await _watched(daemon, 5)
    await cancelled(keeping)


async def _answering(daemon: Daemon) -> None:
    while True:
        daemon.standby._answered_s = time.monotonic()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("other", [None, peer(ready=False), peer(age_ms=60_000)])
async def test_to_a_daemon_that_could_not_act_nothing_is_handed_over(
    daemon: Daemon, other: Peer | None
) -> None:
    daemon.acts(peer=other)
    daemon.standby._answered_s = time.monotonic() - 2 * module.NOT_HEARD_S
    with pytest.raises(TimeoutError):
        await _watched(daemon, 0.5)
    await daemon.standby.hand_over()
    assert daemon.standby.may_act()


async def test_a_daemon_that_stops_hands_over_at_once(daemon: Daemon) -> None:
    daemon.acts()
    await daemon.standby.hand_over()
    assert not daemon.standby.may_act()


# --- acting -----------------------------------------------------------------------------------------------


def test_a_lease_ends_by_itself_and_with_the_claim() -> None:
    now_s = 10.0
    lease = Lease("main", lambda: now_s)
    assert not lease.holds
    lease.begin(7, 11.0)
    assert (lease.holds, lease.fence) == (True, 7)
    lease.extend(10.5)  # an answer that came late takes nothing back
    now_s = 10.9
    assert lease.holds
    now_s = 11.0
    assert not lease.holds
    lease.extend(12.0)
    assert lease.holds
    lease.end("gone")
    lease.extend(99.0)
    assert (lease.holds, lease.fence, lease.lost) == (False, None, "gone")


class Asterisk:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer:
        del query, body
        self.asked.append(f"{method} {path}")
        return Answer(200, b"{}")


async def test_a_daemon_that_may_not_act_asks_asterisk_and_changes_nothing() -> None:
    asterisk = Asterisk()
    transport = ActingTransport(asterisk, lambda: False)
    await transport.request("GET", "channels")
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(AriError, match="may not act for its site"):
            await transport.request(method, "channels")
    assert asterisk.asked == ["GET channels"]
    await ActingTransport(asterisk, lambda: True).request("POST", "channels")
    assert asterisk.asked[1:] == ["POST channels"]


async def test_a_feed_that_may_not_publish_does_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection would end that of the daemon that acts, which has the same client id."""
    tried = []

    @asynccontextmanager
    async def connected(opened: object) -> AsyncIterator[object]:
        tried.append(opened)
        raise OSError
        yield opened

    monkeypatch.setattr(broker, "connected", connected)
    from callsteward import features

    config = Config(mqtt=Mqtt(password=SecretStr("of the tests")))
    acts = False
    feed = Feed(config, boot_id="boot", tells=features.tells(config), may_act=lambda: acts)
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0.3)
    assert tried == []
    acts = True
    async with asyncio.timeout(10):
        while not tried:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await cancelled(running)


async def test_a_command_to_a_daemon_that_may_not_act_is_not_carried_out(store: Store) -> None:
    desk = FrontDesk(store)
    desk.commands._may_act = lambda: False
    reply = await desk.send("dnc", action="add", number="+79031234567")
    assert (reply.status, reply.reason, reply.detail) == ("failed", "stands_by", DETAILS["stands_by"])
    assert not await desk.dnc.has("+79031234567")


async def test_a_tag_that_a_command_gave_at_the_other_daemon_comes_into_the_stream(store: Store) -> None:
    here = TagsElsewhere(store.engine, "main")
    assert await here.frames() == []
    desk = FrontDesk(store)
    await desk.talk()
    await desk.send("tag", call_id="1.1", tag="ticket", value="INC-1", by="crm")
    (frame,) = await here.frames()
    assert b'"call_id":"1.1"' in frame
    assert b'"tag":"ticket"' in frame
    assert b'"value":"INC-1"' in frame
    assert b'"by":"crm"' in frame
    assert await here.frames() == []
