"""A site's own call centre program: an ARI application that builds calls by itself.

It listens in a thread and acts when the scenario says so; what a scenario waits for it asks of ``happened``.
"""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.lab.errors import LabError
from tests.lab.phones import Exchange


class Dialler:
    """The program, connected under one application's name; use as a context manager."""

    def __init__(self, exchange: Exchange, url: str, authorization: str, application: str) -> None:
        self._exchange = exchange
        self._url = url
        self._headers = {"Authorization": authorization}
        self.application = application
        self._events: list[dict[str, Any]] = []
        self._connected = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=application, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._connected.wait(5):
            message = f"{self.application} got no connection to ARI"
            raise LabError(message)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)

    # --- what it does ---------------------------------------------------------------------------------
    def originate(
        self,
        endpoint: str,
        *,
        channel_id: str = "",
        originator: str = "",
        timeout_s: int = 30,
        caller: str = "",
    ) -> str:
        """Call somebody into this application; the channel's id."""
        query = {"endpoint": endpoint, "app": self.application, "timeout": str(timeout_s)}
        if channel_id:
            query["channelId"] = channel_id
        if originator:
            query["originator"] = originator
        if caller:
            query["callerId"] = caller
        return str(self._ask("POST", "/channels", query)["id"])

    def bridge(self, kind: str, *channels: str) -> str:
        """Put channels into a new bridge (``mixing`` or ``holding``); its id."""
        bridge = str(self._ask("POST", "/bridges", {"type": kind})["id"])
        self.add(bridge, *channels)
        return bridge

    def add(self, bridge: str, *channels: str) -> None:
        """Into a bridge, out of the one they were in."""
        self._ask("POST", f"/bridges/{bridge}/addChannel", {"channel": ",".join(channels)})

    def music(self, bridge: str) -> None:
        self._ask("POST", f"/bridges/{bridge}/moh", {})

    def answer(self, channel: str) -> None:
        self._ask("POST", f"/channels/{channel}/answer", {})

    def hang_up(self, channel: str) -> None:
        """End a channel, if it still is there."""
        try:
            self._ask("DELETE", f"/channels/{channel}", {})
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def drop(self, bridge: str) -> None:
        self._ask("DELETE", f"/bridges/{bridge}", {})

    # --- what it hears --------------------------------------------------------------------------------
    def arrived(self, channel: str = "", *, limit_s: float = 20) -> str:
        """Wait for a channel to be in this application: the one of that id, or the next; its id."""
        return self._wait("StasisStart", channel, limit_s)

    def gone(self, channel: str, *, limit_s: float = 20) -> None:
        """Wait until a channel is no more, or has left this application."""
        self._wait(("ChannelDestroyed", "StasisEnd"), channel, limit_s)

    def _wait(self, kinds: str | tuple[str, ...], channel: str, limit_s: float) -> str:
        wanted = (kinds,) if isinstance(kinds, str) else kinds
        found: list[dict[str, Any]] = []

        def happened() -> bool:
            for event in list(self._events):
                if event["type"] in wanted and channel in {"", event["channel"]["id"]}:
                    self._events.remove(event)
                    found.append(event)
                    return True
            return False

        self._exchange.until(happened, limit_s, f"{self.application} to hear of {wanted} {channel}")
        return str(found[0]["channel"]["id"])

    # --- the wire -------------------------------------------------------------------------------------
    def _ask(self, method: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._url}{path}?{urllib.parse.urlencode(query)}", method=method, headers=self._headers
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(self._listen())
        self._loop.run_forever()
        task.cancel()
        self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    async def _listen(self) -> None:
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.ws_connect(
                self._url.replace("http://", "ws://") + "/events", params={"app": self.application}
            ) as socket,
        ):
            self._connected.set()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    event = json.loads(message.data)
                    if "channel" in event:
                        self._events.append(event)
