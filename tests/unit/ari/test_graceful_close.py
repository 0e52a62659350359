"""Leaving a websocket that Asterisk opened: nothing is written to it when it ends, and no event is lost."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from callsteward.ari.graceful_close import BARRIER, SUFFIX
from callsteward.ari.recent import Recent
from tests.lab.ports import free_port
from tests.unit.ari.test_outbound import REGISTERED, listening, login

APP = "callsteward"


class Pbx:
    """Asterisk's HTTP side, and its one socket to the daemon. Sends an event as Asterisk would."""

    def __init__(self, *, refuses: str = "") -> None:
        self.port = free_port()
        self.refuses = refuses
        self.requests: list[str] = []
        self.muted = False
        self.kept: list[str] = []
        # What Asterisk has not got round to sending, by application.
        self.late: dict[str, list[str]] = {}
        self._first: aiohttp.ClientWebSocketResponse | None = None
        self._second: web.WebSocketResponse | None = None

    def event(self, channel: str, app: str = APP) -> str:
        return json.dumps(
            {
                "type": "ChannelCreated",
                "timestamp": "2026-11-22T02:00:01.000+0000",
                "channel": {"id": channel, "name": f"PJSIP/{channel}"},
                "application": app,
            }
        )

    async def happens(self, channel: str) -> None:
        """An event: to the second socket where there is one, to the first unless it is muted or gone."""
        if self._second is not None and not self._second.closed:
            await self._second.send_str(self.event(channel, APP + SUFFIX))
        if self.muted:
            return
        if self._first is not None and not self._first.closed:
            await self._first.send_str(self.event(channel))
        else:
            self.kept.append(self.event(channel))

    @asynccontextmanager
    async def http(self):
        app = web.Application()
        app.router.add_get("/ari/events", self._events)
        app.router.add_put("/ari/applications/{app}/eventFilter", self._filter)
        app.router.add_post("/ari/applications/{app}/subscription", self._subscribe)
        app.router.add_post("/ari/events/user/{event}", self._fence)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield f"http://127.0.0.1:{self.port}"
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def dialled(self, daemon):
        """Its socket to the daemon; when that ends, it dials once more."""
        url = f"http://127.0.0.1:{daemon.port}/ari"
        async with aiohttp.ClientSession() as session:
            socket = self._first = await session.ws_connect(url, protocols=("ari",), headers=login())
            await socket.send_str(REGISTERED)
            reading = asyncio.create_task(self._read(session, socket, url))
            try:
                await daemon.until(lambda: daemon.states[-1][0])
                yield
            finally:
                await socket.close()
                await asyncio.wait({reading}, timeout=60)

    async def _read(self, session, socket, url: str) -> None:
        async for message in socket:
            request = json.loads(message.data)
            answer = {"type": "RESTResponse", "transaction_id": request["transaction_id"], "status_code": 200}
            body = [] if request["method"] == "GET" else {"name": APP}
            await socket.send_json(answer | {"message_body": json.dumps(body)})
        self.requests.append("closed")
        await self.happens("closed")
        try:
            await session.ws_connect(url, protocols=("ari",), headers=login())
        except aiohttp.WSServerHandshakeError as error:
            self.requests.append(f"dialled again: {error.status}")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.refuses == "events":
            return web.Response(status=500)
        self.requests.append(f"events of {request.query['app']}")
        socket = self._second = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "ApplicationRegistered", "application": APP + SUFFIX})
        async for _ in socket:
            pass
        return socket

    async def _filter(self, request: web.Request) -> web.Response:
        app = request.match_info["app"]
        body = await request.json()
        muted = bool(body["allowed"])
        if app == APP:
            if self.refuses == "mute":
                return web.json_response({"message": "no"}, status=500)
            await self.happens(f"before mute {muted}")
            self.muted = muted
            await self.happens(f"after mute {muted}")
        self.requests.append(f"filter {app} {'muted' if muted else 'open'}")
        return web.json_response({"name": app})

    async def _fence(self, request: web.Request) -> web.Response:
        """Send the events that wait in the application's queue, then the fence."""
        app = request.query["application"]
        self.requests.append(f"fence {app}")
        socket = self._first if app == APP else self._second
        assert socket is not None
        for channel in self.late.pop(app, ()):
            await socket.send_str(self.event(channel, app))
        name = request.match_info["event"]
        await socket.send_json({"type": "ChannelUserevent", "eventname": name, "application": app})
        return web.Response(status=204)

    async def _subscribe(self, request: web.Request) -> web.Response:
        self.requests.append(f"subscribe {request.match_info['app']} {request.query['eventSource']}")
        return web.json_response({"name": request.match_info["app"]})


def channels(daemon) -> list[str]:
    events = [json.loads(raw) for raw in daemon.got]
    return [event["channel"]["id"] for event in events if event["type"] == "ChannelCreated"]


async def leave(daemon) -> None:
    daemon.running.cancel()
    await asyncio.wait({daemon.running}, timeout=60)
    assert daemon.running.done()
    await daemon.until(lambda: daemon.frames.depth == 0)


async def test_nothing_may_be_sent_when_the_socket_ends_and_every_event_comes_once():
    pbx = Pbx()
    async with pbx.http() as url, listening(url=url) as daemon, pbx.dialled(daemon):
        await pbx.happens("first")
        # Asterisk is behind on both: with one from before the second socket, and one from before its end.
        pbx.late = {APP: [f"late, named {BARRIER}"], APP + SUFFIX: ["late on the second"]}
        await leave(daemon)
    assert pbx.requests == [
        f"events of {APP}{SUFFIX}",
        f"filter {APP}{SUFFIX} open",
        f"subscribe {APP}{SUFFIX} channel:,bridge:",
        f"fence {APP}",
        f"filter {APP} muted",
        "closed",
        "dialled again: 503",
        f"filter {APP} open",
        f"fence {APP}{SUFFIX}",
    ]
    assert channels(daemon) == [
        "first",
        f"late, named {BARRIER}",
        "before mute True",
        # What the first socket did not bring any more:
        "after mute True",
        "closed",
        "before mute False",
        "after mute False",
        "late on the second",
    ]
    assert not [raw for raw in daemon.got if b"ChannelUserevent" in raw]
    # Asterisk kept what came after: the next process gets it again, and knows it by its journal.
    assert pbx.kept == [pbx.event("after mute False")]
    assert pbx.kept[0].encode() in daemon.got


async def test_the_next_process_takes_no_event_twice():
    pbx = Pbx()
    before = Recent()
    before.add(pbx.event("known"))
    async with listening(recent=before) as daemon, daemon.asterisk() as socket:
        for frame in (pbx.event("known"), pbx.event("new"), REGISTERED, pbx.event("known")):
            await socket.send_str(frame)
        await daemon.until(lambda: len(daemon.got) == 3)
    # Asterisk says that it is registered behind what it had kept.
    assert channels(daemon) == ["new", "known"]


async def test_an_asterisk_that_takes_no_second_socket_is_left_all_the_same():
    for refuses in ("events", "mute"):
        pbx = Pbx(refuses=refuses)
        async with pbx.http() as url, listening(url=url) as daemon, pbx.dialled(daemon):
            await pbx.happens("first")
            await leave(daemon)
        assert "closed" in pbx.requests, refuses
        assert f"filter {APP} muted" not in pbx.requests, refuses
        assert channels(daemon)[0] == "first", refuses
        assert not pbx.muted, refuses


async def test_a_daemon_without_a_connection_leaves_nothing():
    pbx = Pbx()
    async with pbx.http() as url, listening(url=url) as daemon:
        await leave(daemon)
    assert pbx.requests == []


def test_an_event_is_recognised_once_and_the_oldest_is_forgotten():
    recent = Recent(limit=2)
    for raw in (b"1", b"2", b"3"):
        recent.add(raw)
    assert [recent.take(raw) for raw in ("1", "2", "2", "3")] == [False, True, False, True]
    assert len(recent) == 0
