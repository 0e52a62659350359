"""The part of Asterisk's ARI that a daemon in client mode uses, in this process.

For `callsteward demo`, which plays real captures to the real daemon, and for tests, which also make it
misbehave: refuse logins, drop sockets, go silent.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from typing import Any, Self

import msgspec
from aiohttp import web

from callsteward.ari import events
from callsteward.ari.stamp import stamp


class FakeAri:
    """An ARI server on 127.0.0.1; async context manager. `url` is the value for `asterisk.url`.

    `calls` notes each request as "METHOD path"; `channels` and `bridges` are its lists, kept up to date from
    the frames it sends.
    """

    def __init__(
        self,
        *,
        username: str = "callsteward",
        password: str = "",
        version: str = "22.10.1",
        port: int = 0,
    ) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._authorization = f"Basic {token}"
        self._version = version
        self._port = port
        self._runner: web.AppRunner | None = None
        self._sockets: list[web.WebSocketResponse] = []
        self._connected = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._disallowed: frozenset[str] = frozenset()
        self.calls: list[str] = []
        self.sources: list[str] = []
        self.channels: dict[str, dict[str, Any]] = {}
        self.bridges: dict[str, dict[str, Any]] = {}
        self.device_states: dict[str, str] = {}
        self.refuse_status: int | None = None
        """Answer every request with this status."""
        self.has_event_filter = True
        self.now_ms: int | None = None
        """The time of its clock in answers, for frames of another day; None: the present time."""
        self.on_list: Callable[[str], Any] | None = None
        """Called (and awaited, where it returns an awaitable) before a list is answered."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get("/ari/events", self._events)
        app.router.add_get("/ari/channels", self._list_channels)
        app.router.add_get("/ari/bridges", self._list_bridges)
        app.router.add_get("/ari/asterisk/info", self._info)
        app.router.add_get("/ari/asterisk/modules", self._modules)
        app.router.add_get("/ari/deviceStates/{device}", self._device_state)
        app.router.add_get("/ari/applications/{app}", self._application)
        app.router.add_put("/ari/applications/{app}/eventFilter", self._event_filter)
        app.router.add_post("/ari/applications/{app}/subscription", self._subscribe)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; `start` again takes the same port."""
        await self.drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def connected(self) -> None:
        """Return once a daemon is connected and subscribed."""
        await self._connected.wait()
        await self._subscribed.wait()

    async def send(self, frame: bytes | str) -> None:
        """Send one frame to every daemon, unless the event filter keeps it back."""
        text = frame.decode() if isinstance(frame, bytes) else frame
        self._follow(text)
        if stamp(text)[0] in self._disallowed:
            return
        for socket in list(self._sockets):
            await socket.send_str(text)

    async def play(self, frames: Iterable[bytes | str], *, speed: float | None = None) -> None:
        """Send frames with the pauses of their timestamps divided by `speed`, or at once without it."""
        loop = asyncio.get_running_loop()
        began: float | None = None
        first_ms = 0
        for frame in frames:
            ms = events.epoch_ms(stamp(frame)[1]) if speed else None
            if speed and ms is not None:
                if began is None:
                    began, first_ms = loop.time(), ms
                wait_s = began + (ms - first_ms) / 1000 / speed - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
            await self.send(frame)

    async def drop(self, *, rudely: bool = False) -> None:
        """Cut every websocket, `rudely` without a closing handshake."""
        sockets, self._sockets = self._sockets, []
        self._connected.clear()
        self._subscribed.clear()
        for socket in sockets:
            if rudely:
                _abort(socket)
            else:
                await socket.close()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        if self.refuse_status is not None:
            return web.json_response({"message": "refused"}, status=self.refuse_status)
        if request.headers.get("Authorization") != self._authorization:
            return web.json_response({"message": "Authentication required"}, status=401)
        answer: web.StreamResponse = await handler(request)
        if self.now_ms is not None and not answer.prepared:
            answer.headers["Date"] = formatdate(self.now_ms / 1000, usegmt=True)
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._disallowed = frozenset()
        self.sources = []
        self._sockets.append(socket)
        self._connected.set()
        try:
            async for _ in socket:
                pass
        finally:
            if socket in self._sockets:
                self._sockets.remove(socket)
        return socket

    async def _listed(self, kind: str, items: Sequence[dict[str, Any]]) -> web.Response:
        listed = list(items)
        if self.on_list is not None:
            waiting = self.on_list(kind)
            if asyncio.iscoroutine(waiting):
                await waiting
        return web.json_response(listed)

    async def _list_channels(self, _: web.Request) -> web.Response:
        return await self._listed("channels", list(self.channels.values()))

    async def _list_bridges(self, _: web.Request) -> web.Response:
        return await self._listed("bridges", list(self.bridges.values()))

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "system": {"version": self._version, "entity_id": "02:00:00:00:00:01"},
                "status": {"startup_time": "2026-11-22T00:00:00.000+0000"},
            }
        )

    async def _modules(self, _: web.Request) -> web.Response:
        names = ("res_ari.so", "res_ari_events.so", "res_http_websocket.so", "func_talkdetect.so")
        return web.json_response([{"name": name, "status": "Running"} for name in names])

    async def _device_state(self, request: web.Request) -> web.Response:
        device = request.match_info["device"]
        # Asterisk knows every name; the device of a name without a phone is INVALID.
        return web.json_response({"name": device, "state": self.device_states.get(device, "INVALID")})

    async def _application(self, request: web.Request) -> web.Response:
        if not self._sockets:
            return web.json_response({"message": "Application not found"}, status=404)
        return web.json_response(self._described(request))

    async def _event_filter(self, request: web.Request) -> web.Response:
        if not self.has_event_filter:
            return web.json_response({"message": "Resource not found"}, status=404)
        body = await request.json()
        self._disallowed = frozenset(item["type"] for item in body["disallowed"])
        return web.json_response(self._described(request))

    async def _subscribe(self, request: web.Request) -> web.Response:
        self.sources += request.query["eventSource"].split(",")
        self._subscribed.set()
        return web.json_response(self._described(request))

    def _described(self, request: web.Request) -> dict[str, object]:
        return {
            "name": request.match_info["app"],
            "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"] if "channel:" in self.sources else [],
            "bridge_ids": ["__AST_BRIDGE_ALL_TOPIC"] if "bridge:" in self.sources else [],
            "endpoint_ids": [],
            "device_names": [s.removeprefix("deviceState:") for s in self.sources if s.startswith("device")],
            "events_disallowed": [{"type": kind} for kind in sorted(self._disallowed)],
        }

    def _follow(self, text: str) -> None:
        """Keep the lists in step with what is sent."""
        try:
            event = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        channel, bridge = event.get("channel"), event.get("bridge")
        if isinstance(channel, dict) and "id" in channel:
            if kind == "ChannelDestroyed":
                self.channels.pop(channel["id"], None)
            else:
                self.channels[channel["id"]] = channel
        if isinstance(bridge, dict) and "id" in bridge:
            if kind == "BridgeDestroyed":
                self.bridges.pop(bridge["id"], None)
            else:
                self.bridges[bridge["id"]] = bridge


def _abort(socket: web.WebSocketResponse) -> None:
    """Reset the connection under a websocket."""
    raw = socket.get_extra_info("socket")
    if raw is not None:
        raw.shutdown(2)
