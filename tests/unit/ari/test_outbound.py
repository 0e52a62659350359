import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog
from pydantic import SecretStr

from callsteward.ari import outbound
from callsteward.ari.census import Census
from callsteward.ari.events import Interrupted, Snapshot, decode
from callsteward.ari.frames import DEFAULT_LIMIT_BYTES, FrameQueue
from callsteward.ari.keeper import Keeper
from callsteward.ari.outbound import OutboundLink
from callsteward.ari.recent import Recent
from callsteward.ari.rest import Rest
from callsteward.config import Asterisk, Config
from callsteward.health import Counters
from callsteward.notify import Notify
from tests.lab.fd_store import FdStore
from tests.lab.ports import free_port

SECRET = "s3cret"
REGISTERED = '{"type":"ApplicationRegistered","timestamp":"2026-11-22T02:00:00.000+0000"}'


def login(password: str = SECRET) -> dict[str, str]:
    """The header with which Asterisk dials."""
    return {"Authorization": f"Basic {base64.b64encode(f'callsteward:{password}'.encode()).decode()}"}


def created(channel: str) -> str:
    return json.dumps(
        {
            "type": "ChannelCreated",
            "timestamp": "2026-11-22T02:00:01.000+0000",
            "channel": {"id": channel, "name": f"PJSIP/{channel}"},
        }
    )


class Listening:
    """A daemon in outbound mode; the test plays Asterisk."""

    def __init__(self, link: OutboundLink, port: int, frames: FrameQueue, census: Census) -> None:
        self.link, self.port, self.frames, self.census = link, port, frames, census
        self.states: list[tuple[bool, str]] = []
        self.running: asyncio.Task[None] | None = None
        self.got: list[bytes] = []
        self.channels: list[dict[str, str]] = []
        self.bridges: list[dict[str, object]] = []
        self.requests: list[str] = []
        self.refusals = 0
        self.stalled = asyncio.Event()

    async def consume(self) -> None:
        while True:
            await self.frames.wait(None)
            while self.stalled.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            batch = self.frames.take(10)
            for frame in batch:
                self.got.append(frame.raw)
                event = decode(frame.raw)
                if event is not None:
                    self.census.observe(event)
            await self.frames.done(len(batch))

    @asynccontextmanager
    async def asterisk(self, password: str = SECRET):
        """Asterisk's end of the websocket, answering REST requests."""
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(
                f"http://127.0.0.1:{self.port}/ari",
                protocols=("ari",),
                headers=login(password),
            )
            answering = asyncio.create_task(self._answer(socket))
            try:
                yield socket
            finally:
                await socket.close()
                await asyncio.wait({answering}, timeout=60)

    async def _answer(self, socket) -> None:
        async for message in socket:
            request = json.loads(message.data)
            self.requests.append(f"{request['method']} {request['uri']}")
            body: object = {"name": "callsteward"}
            status = 200
            if request["uri"] == "channels":
                body = self.channels
            elif request["uri"] == "bridges":
                body = self.bridges
            if self.refusals:
                self.refusals -= 1
                status, body = 503, {"message": "Asterisk not booted"}
            await socket.send_json(
                {
                    "type": "RESTResponse",
                    "transaction_id": request["transaction_id"],
                    "status_code": status,
                    "message_body": json.dumps(body),
                }
            )

    async def until(self, condition) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    @property
    def snapshots(self) -> list[Snapshot]:
        return [event for event in map(decode, self.got) if isinstance(event, Snapshot)]

    @property
    def interruptions(self) -> list[tuple[int, str, str]]:
        """Each with its place in the stream."""
        return [
            (place, event.since, event.timestamp)
            for place, event in enumerate(map(decode, self.got))
            if isinstance(event, Interrupted)
        ]


@asynccontextmanager
async def listening(
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    url: str = "",
    recent: Recent | None = None,
    gap_from: str = "",
    closed_gracefully: bool = False,
    keeper: Keeper | None = None,
    port: int = 0,
):
    port = port or free_port()
    url = url or f"http://127.0.0.1:{free_port()}"
    settings = Config(
        asterisk=Asterisk(connect="outbound", url=url, listen_port=port, password=SecretStr(SECRET))
    )
    frames, census = FrameQueue(Counters(), limit_bytes), Census()
    states: list[tuple[bool, str]] = []
    keeper = keeper or Keeper(Notify(""), {})
    async with aiohttp.ClientSession() as session:
        link = OutboundLink(
            settings,
            frames,
            census,
            session=session,
            on_change=lambda up, why: states.append((up, why)),
            keeper=keeper,
            recent=recent,
            gap_from=gap_from,
            closed_gracefully=closed_gracefully,
            confirm_after_s=0.05,
        )
        running = asyncio.create_task(link.run())
        side = Listening(link, port, frames, census)
        side.running = running
        side.states = states
        consuming = asyncio.create_task(side.consume())
        await side.until(lambda: states)
        try:
            yield side
        finally:
            for task in (running, consuming):
                task.cancel()
            await asyncio.wait({running, consuming})
            keeper.close()


async def test_nothing_is_sent_before_asterisks_first_word():
    async with listening() as daemon, daemon.asterisk() as socket:
        await asyncio.sleep(0.1)
        assert daemon.requests == []
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: daemon.states[-1][0])
        await daemon.until(lambda: len(daemon.requests) == 3)
    assert daemon.requests == [
        "PUT applications/callsteward/eventFilter",
        "POST applications/callsteward/subscription",
        "GET channels",
    ]


async def test_queued_events_come_through_in_order_and_answers_are_no_events():
    async with listening() as daemon, daemon.asterisk() as socket:
        daemon.channels = [{"id": "1", "name": "PJSIP/1"}, {"id": "2", "name": "PJSIP/2"}]
        for frame in (created("1"), created("2"), REGISTERED):
            await socket.send_str(frame)
        await daemon.until(lambda: "GET channels" in daemon.requests and len(daemon.got) == 3)
        await asyncio.sleep(0.2)
    assert [raw.decode() for raw in daemon.got] == [created("1"), created("2"), REGISTERED]


async def test_a_reconnect_at_which_list_and_events_agree_makes_no_snapshot():
    async with listening() as daemon:
        daemon.channels = [{"id": "1", "name": "PJSIP/1"}]
        for frames in ((created("1"), REGISTERED), (REGISTERED,)):
            daemon.requests.clear()
            async with daemon.asterisk() as socket:
                for frame in frames:
                    await socket.send_str(frame)
                await daemon.until(lambda: "GET channels" in daemon.requests)
                await asyncio.sleep(0.2)
        assert daemon.snapshots == []
        assert daemon.frames.counters.connects == 2


async def test_a_mark_before_the_events_kept_over_a_break_says_that_some_may_be_lost():
    async with listening() as daemon:
        for frames in ((REGISTERED, created("1")), (created("2"), REGISTERED)):
            daemon.requests.clear()
            async with daemon.asterisk() as socket:
                for frame in frames:
                    await socket.send_str(frame)
                await daemon.until(lambda: "GET channels" in daemon.requests)
            await daemon.until(lambda: not daemon.states[-1][0])
    at = "2026-11-22T02:00:01.000+0000"
    assert daemon.interruptions == [(2, at, at)]
    assert daemon.got[3] == created("2").encode()


@pytest.mark.parametrize("closed_gracefully", [False, True])
async def test_a_new_process_is_in_doubt_unless_the_one_before_lost_nothing(closed_gracefully: bool):
    heard = "2026-11-22T01:59:58.000+0000"
    async with (
        listening(gap_from=heard, closed_gracefully=closed_gracefully) as daemon,
        daemon.asterisk() as socket,
    ):
        # No event, and no time.
        await socket.send_str('{"type":"Odd"}')
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: REGISTERED.encode() in daemon.got)
    until = "2026-11-22T02:00:00.000+0000"
    assert daemon.interruptions == ([] if closed_gracefully else [(1, heard, until)])


async def test_over_a_break_states_and_bridges_are_held_against_asterisks_lists_as_well():
    """All channels are there; that one was answered and bridged, nobody was told."""
    heard = "2026-11-22T01:59:58.000+0000"
    for broke_off in (True, False):
        async with (
            listening(gap_from=heard, closed_gracefully=not broke_off) as daemon,
            daemon.asterisk() as socket,
        ):
            daemon.channels = [{"id": "1", "name": "PJSIP/1", "state": "Up"}]
            daemon.bridges = [{"id": "b", "channels": ["1"]}]
            await socket.send_str(created("1"))
            await socket.send_str(REGISTERED)
            await daemon.until(lambda: "GET channels" in daemon.requests)
            await asyncio.sleep(0.3)
            if broke_off:
                await daemon.until(lambda: daemon.snapshots)
        assert [one.gap_from for one in daemon.snapshots] == ([heard] if broke_off else [])


async def test_a_listed_channel_without_events_makes_one_snapshot():
    async with listening() as daemon, daemon.asterisk() as socket:
        daemon.channels = [{"id": "1", "name": "PJSIP/1"}, {"id": "old", "name": "PJSIP/old"}]
        await socket.send_str(created("1"))
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: daemon.snapshots)
        await asyncio.sleep(0.1)
    assert [[channel.id for channel in one.channels] for one in daemon.snapshots] == [["1", "old"]]


async def test_an_asterisk_that_restarted_lists_nothing_and_makes_a_snapshot_from_the_last_event_on():
    async with listening() as daemon:
        daemon.channels = [{"id": "1", "name": "PJSIP/1"}]
        async with daemon.asterisk() as socket:
            await socket.send_str(REGISTERED)
            await socket.send_str(created("1"))
            await daemon.until(lambda: "GET channels" in daemon.requests)
        daemon.channels = []
        async with daemon.asterisk() as socket:
            await socket.send_str(REGISTERED)
            await daemon.until(lambda: daemon.snapshots)
    assert daemon.snapshots[0].channels == ()
    assert daemon.snapshots[0].gap_from == "2026-11-22T02:00:01.000+0000"


async def test_a_channel_whose_event_is_still_on_its_way_is_no_disagreement():
    async with listening() as daemon, daemon.asterisk() as socket:
        daemon.channels = [{"id": "1", "name": "PJSIP/1"}]
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: "GET channels" in daemon.requests)
        await socket.send_str(created("1"))
        await asyncio.sleep(0.3)
    assert daemon.snapshots == []


async def test_a_queue_that_overflows_closes_no_socket_and_goes_on_from_asterisks_lists():
    """A closed socket would have Asterisk queue up without a limit all that follows."""
    async with listening(limit_bytes=20_000) as daemon, daemon.asterisk() as socket:
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: daemon.states[-1][0])
        # The first look at Asterisk's lists is over: it must not meet the channels below.
        await daemon.until(lambda: "GET channels" in daemon.requests)
        await asyncio.sleep(0.1)
        assert daemon.census.alive == {}
        daemon.stalled.set()
        for number in range(400):
            await socket.send_str(created(str(number)))
        await daemon.until(lambda: daemon.frames.counters.shed["all"] > 0)
        assert daemon.frames.full
        daemon.channels = [{"id": "7", "name": "PJSIP/7"}]
        daemon.stalled.clear()
        await daemon.until(lambda: daemon.snapshots)
        (snapshot,) = daemon.snapshots
        assert [channel.id for channel in snapshot.channels] == ["7"]
        assert snapshot.gap_from == "2026-11-22T02:00:01.000+0000"
        await socket.send_str(created("after"))
        await daemon.until(lambda: daemon.got[-1] == created("after").encode())
        assert daemon.states[-1][0]
        counters = daemon.frames.counters
        assert (counters.overflows, counters.disconnects) == (1, 0)
        frames = sum(1 for raw in daemon.got if b"ChannelCreated" in raw)
        assert frames + counters.shed["all"] == 401


async def test_an_asterisk_that_still_boots_is_asked_again():
    async with listening() as daemon, daemon.asterisk() as socket:
        daemon.refusals = 2
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: daemon.states[-1][0])
    assert daemon.requests[:3] == ["PUT applications/callsteward/eventFilter"] * 3


async def test_a_wrong_password_is_refused():
    async with listening() as daemon:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with daemon.asterisk("wrong"):
                pass
    assert caught.value.status == 401


async def test_a_new_socket_replaces_one_that_died_unnoticed():
    async with listening() as daemon, daemon.asterisk() as first:
        await first.send_str(REGISTERED)
        await daemon.until(lambda: daemon.states[-1][0])
        async with daemon.asterisk() as second:
            await second.send_str(REGISTERED)
            await second.send_str(created("9"))
            await daemon.until(lambda: created("9").encode() in daemon.got)
        assert first.closed


async def test_on_a_stop_events_before_asterisks_goodbye_are_kept():
    async with listening() as daemon, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(
            f"http://127.0.0.1:{daemon.port}/ari",
            protocols=("ari",),
            headers=login(),
            autoclose=False,
        )
        link = asyncio.create_task(asyncio.sleep(0))
        await link
        await daemon.until(lambda: daemon.link._socket is not None)
        goodbye = asyncio.create_task(daemon.link._say_goodbye())
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        for number in range(50):
            await socket._writer.send_frame(created(str(number)).encode(), aiohttp.WSMsgType.TEXT)
        await socket._writer.send_frame(b"\x03\xe9", aiohttp.WSMsgType.CLOSE)
        await goodbye
        await daemon.until(lambda: len(daemon.got) == 50)
        socket._response.close()


async def test_a_port_that_is_taken_is_named_and_tried_again_until_asterisk_can_dial_it(monkeypatch):
    monkeypatch.setattr(outbound, "LISTEN_FIRST_S", 0.04)
    monkeypatch.setattr(outbound, "LISTEN_LONGEST_S", 0.08)
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    taken = (
        f"[asterisk]: cannot listen on 127.0.0.1 port {port} for Asterisk (Address already in use); stop what"
        " listens there, such as another callsteward, or give asterisk.listen_port another port, and the uri"
        " in Asterisk's websocket_client.conf the same"
    )
    with structlog.testing.capture_logs() as logs:
        began = time.monotonic()
        async with listening(port=port) as daemon:
            await daemon.until(lambda: len(daemon.states) > 5)
            # Pauses of 0.04 s and more, where who spins makes thousands.
            assert len(daemon.states) <= (time.monotonic() - began) / 0.04 + 2
            assert set(daemon.states) == {(False, taken)}
            server.close()
            await server.wait_closed()
            await daemon.until(lambda: daemon.states[-1][1].startswith("waiting for Asterisk to dial"))
            async with daemon.asterisk() as socket:
                await socket.send_str(REGISTERED)
                await daemon.until(lambda: daemon.states[-1] == (True, ""))
            assert daemon.running is not None
            assert not daemon.running.done()
    # However often it was tried: one line when it began, one when it was over.
    assert [entry["action"] for entry in logs if entry["action"].startswith("part_")] == [
        "part_waits",
        "part_open",
    ]


@asynccontextmanager
async def killed_beside(journalled: int):
    """Asterisk's end of a websocket whose process is gone, that process, and what it left.

    Four events were read, and `journalled` of them kept; Asterisk sent a fifth since.
    """
    with FdStore() as store:
        notify = Notify(store.address)
        async with listening(keeper=Keeper(notify, {})) as before:
            keeper = before.link._keeper
            async with before.asterisk() as socket:
                await socket.send_str(REGISTERED)
                await before.until(lambda: before.states[-1][0])
                before.stalled.set()
                for number in range(1, 5):
                    await socket.send_str(created(str(number)))
                await before.until(lambda: before.frames.depth == 4)
                frames = before.frames.take(journalled)
                keeper.done(frames[-1].position)
                left = store.files
                # As SIGKILL would have it: nothing is said to anybody.
                before.link._leave = lambda: asyncio.sleep(0)
                before.running.cancel()
                await asyncio.wait({before.running})
                await socket.send_str(created("5"))
                yield socket, before, Keeper(notify, left)
        notify.close()


async def test_the_next_process_goes_on_with_the_connection_and_nothing_is_missing():
    async with killed_beside(journalled=2) as (_, before, keeper):
        recent = Recent()
        # Kept, and not yet said to be.
        for number in (1, 2, 3):
            recent.add(created(str(number)))
        async with listening(keeper=keeper, recent=recent, gap_from="2026-11-22T02:00:01.000+0000") as after:
            after.channels = before.channels = [{"id": str(n), "name": f"PJSIP/{n}"} for n in (4, 5)]
            await after.until(lambda: after.frames.counters.connects == 1)
            await after.until(lambda: "GET bridges" in before.requests)
            assert [raw.decode() for raw in after.got] == [created("4"), created("5")]
            # Asterisk was told to leave nothing out, as at any start.
            assert before.requests[-4:] == [
                "PUT applications/callsteward/eventFilter",
                "POST applications/callsteward/subscription",
                "GET channels",
                "GET bridges",
            ]
            assert after.interruptions == []
            assert len(recent) == 0


async def test_a_kept_connection_is_read_on_although_the_port_is_taken_and_nobody_says_otherwise():
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with (
        killed_beside(journalled=4) as (socket, before, keeper),
        listening(keeper=keeper, gap_from="2026-11-22T02:00:01.000+0000", port=port) as after,
    ):
        after.channels = before.channels = [{"id": "5", "name": "PJSIP/5"}]
        await after.until(lambda: created("5").encode() in after.got and after.states[-1] == (True, ""))
        await asyncio.sleep(1.2)
        assert after.states[-1] == (True, "")
        await socket.close()
        # What is said once it has ended is why no other one can come.
        await after.until(lambda: f"cannot listen on 127.0.0.1 port {port}" in after.states[-1][1])
    server.close()
    await server.wait_closed()


async def test_asterisk_that_dials_again_takes_the_place_of_the_connection_that_was_kept():
    async with (
        killed_beside(journalled=4) as (_, _, keeper),
        listening(keeper=keeper, gap_from="2026-11-22T02:00:01.000+0000") as after,
    ):
        await after.until(lambda: created("5").encode() in after.got)
        async with after.asterisk() as again:
            await again.send_str(created("6"))
            await after.until(lambda: created("6").encode() in after.got)
    # The connection that was kept ended, and nobody knows how much was on its way.
    assert [place for place, _, _ in after.interruptions] == [1]
    assert after.frames.counters.disconnects == 2


async def test_an_answer_is_done_with_when_all_before_it_is():
    keeper = Keeper(Notify(""), {})
    async with listening(keeper=keeper) as daemon, daemon.asterisk() as socket:
        await socket.send_str(REGISTERED)
        await daemon.until(lambda: "GET channels" in daemon.requests)
        # The answers came behind an event that is in no journal yet.
        begun = keeper.done_to
        (registered,) = daemon.got
        assert registered == REGISTERED.encode()
        await asyncio.sleep(0.1)
        assert keeper.done_to == begun
        keeper.done(keeper.ring.read - 1)
        await Rest(daemon.link._reader.rest).channels()
        await daemon.until(lambda: keeper.done_to == keeper.ring.read)


async def test_a_process_that_is_about_to_leave_has_nothing_kept():
    with FdStore() as store:
        notify = Notify(store.address)
        keeper = Keeper(notify, {})
        async with listening(keeper=keeper) as daemon, daemon.asterisk() as socket:
            await socket.send_str(REGISTERED)
            await daemon.until(lambda: daemon.states[-1][0])
            assert len(store.names) == 2
            leaving = asyncio.create_task(daemon.link._leave())
            await daemon.until(lambda: not store.names)
            await leaving
        notify.close()


@pytest.mark.parametrize("path", ["/", "/ari/events"])
async def test_another_address_is_not_found(path: str):
    async with (
        listening() as daemon,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{daemon.port}{path}", headers=login()) as answer,
    ):
        assert answer.status == 404
