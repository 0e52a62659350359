"""`connect = "client"`: the daemon dials Asterisk (16 and later).

Asterisk drops events while no client is connected. So each connect ends with a Snapshot, put into the stream
before the events that arrived while the lists were read. The subscription comes before the lists: an event
between the two is then seen twice, never missed.

Measured on 16.28 and 22.10: both accept the event filter and `channel:,bridge:` without subscribeAll. After a
disconnection 22 forgets the application at once and 16 keeps it with its subscriptions; setting both again is
right on either.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import aiohttp
import structlog

from callsteward.ari.dial import dial
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import OnChange, snapshot, sources, subscribe
from callsteward.ari.marks import snapshot_frame
from callsteward.ari.reader import REPLACED, LastStamp, Reader
from callsteward.ari.rest import HttpTransport, Rest
from callsteward.config import Config
from callsteward.exceptions import AriError, AriUnauthorizedError
from callsteward.network.backoff import Backoff
from callsteward.network.waiting import cancelled

log = structlog.get_logger(__name__)

# When to check whether Asterisk still has the subscriptions: soon after a connect, then now and again.
FIRST_LOOK_S = 1.0
LOOK_EVERY_S = 30.0

# For how long a daemon that took the application keeps it, and how often to check whether that one is gone.
LEFT_ALONE_S = 60.0
LOOK_AGAIN_S = 2.0

# A connection that lasted this long was good: the next attempt comes soon again.
GOOD_AFTER_S = 2.0


class ClientLink:
    """Keeps one websocket to Asterisk open."""

    closed_gracefully = False  # Asterisk keeps no events for a client

    def __init__(
        self,
        config: Config,
        frames: FrameQueue,
        *,
        session: aiohttp.ClientSession,
        on_change: OnChange,
        gap_from: str = "",
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = config.asterisk
        self._sources = sources(config)
        self._frames = frames
        self._session = session
        self._on_change = on_change
        self._last = LastStamp(gap_from)
        self._backoff = backoff or Backoff()
        self._rest = Rest(HttpTransport(session, config.asterisk))
        self._lost_ms: int | None = None

    async def run(self) -> None:
        """Keep connected until cancelled.

        A refused login is tried again, too: an admin may be correcting it.
        """
        while True:
            began = time.monotonic()
            try:
                why = await self._connection()
            except AriError as error:
                if isinstance(error, AriUnauthorizedError):
                    self._frames.counters.refused += 1
                why = str(error)
            if time.monotonic() - began > GOOD_AFTER_S:
                self._backoff.reset()
            self._on_change(False, why)
            if why == REPLACED:
                log.error(why, action="ari_replaced", app=self._settings.app)
                await self._left_alone()
                continue
            delay = self._backoff.next_s()
            log.warning("no link to Asterisk", action="ari_disconnected", why=why, retry_s=round(delay, 1))
            await asyncio.sleep(delay)
            # A queue that overflowed must be worked off first, or it would overflow again.
            await self._frames.settled()

    async def _connection(self) -> str:
        """One connection from its handshake to its end; returns why it ended."""
        socket = await dial(self._session, self._settings, self._settings.app)
        reader = Reader(socket, self._frames)
        # Events that come before the Snapshot is in place belong after it.
        self._frames.hold()
        draining = asyncio.create_task(reader.drain(), name="ari-reader")
        try:
            ready = asyncio.create_task(self._resume(), name="ari-resume")
            try:
                await asyncio.wait({draining, ready}, return_when=asyncio.FIRST_COMPLETED)
                if ready.done():
                    ready.result()
            finally:
                await cancelled(ready)
            if draining.done():
                return draining.result()
            deaf = asyncio.create_task(self._deaf(), name="ari-deaf")
            try:
                await asyncio.wait({draining, deaf}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancelled(deaf)
            return draining.result() if draining.done() else "Asterisk had lost our subscriptions"
        finally:
            await cancelled(draining)
            self._frames.release()
            self._last.note(reader.last)
            self._lost_ms = time.time_ns() // 1_000_000
            self._frames.counters.disconnects += 1
            await socket.close()

    async def _left_alone(self) -> None:
        """Return once no other daemon has the application, or after a while.

        Asterisk 16 lists it for ever. Two daemons that both stay then take it from each other, each with an
        error in its log, but not as often as they could.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFT_ALONE_S):
                found: object = True
                while found is not None:
                    await asyncio.sleep(LOOK_AGAIN_S)
                    with contextlib.suppress(AriError):
                        found = await self._rest.application(self._settings.app)

    async def _resume(self) -> None:
        """Subscribe, then put the Snapshot into the stream."""
        await subscribe(self._rest, self._settings.app, self._sources)
        found = await snapshot(self._rest, self._last.value, self._lost_ms)
        self._frames.release(snapshot_frame(found))
        self._frames.counters.snapshots += 1
        self._frames.counters.connects += 1
        self._on_change(True, "")
        log.info(
            "connected to Asterisk",
            action="ari_connected",
            app=self._settings.app,
            channels=len(found.channels),
            bridges=len(found.bridges),
            gap_from=found.gap_from,
        )

    async def _deaf(self) -> None:
        """Return once Asterisk has the application without its subscriptions.

        Seen once on a real 22.10: a reconnect under the same name, right after the old socket's end, was
        subscribed and then got no event at all; most likely the old application's shutdown came after it.
        """
        pause = FIRST_LOOK_S
        refused = False
        while True:
            await asyncio.sleep(pause)
            pause = LOOK_EVERY_S
            try:
                found = await self._rest.application(self._settings.app)
            except AriUnauthorizedError as error:
                # This socket stays open, but the next one would be refused.
                refused = True
                self._frames.counters.refused += 1
                self._on_change(True, f"still connected, but: {error}")
                log.error("Asterisk now refuses our requests", action="ari_refused", error=str(error))  # noqa: TRY400
                continue
            except AriError:
                continue  # the heartbeat judges a connection that does not answer
            if refused:
                refused = False
                self._on_change(True, "")
            if found is None or not (found.hears_all_channels and found.hears_all_bridges):
                return
