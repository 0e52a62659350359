"""`connect = "outbound"`: Asterisk (20.15, 22.5 and later) dials the daemon with a persistent websocket.

The application stays registered while the daemon is away and Asterisk queues its events, so nothing goes
unobserved and a reconnect is no gap. Measured on 22.10.1, and what follows from it:

- After a reconnect come the queued events, in order, then ApplicationRegistered, then new events. Filter and
  subscriptions are still set. On the very first connect ApplicationRegistered comes at once.
- Requests sent right after the handshake's answer can stay unread in Asterisk until the socket closes (its
  websocket polls for bytes it has already read ahead). Hence nothing is sent before Asterisk's first frame
  has come, and an unanswered request ends the connection.
- After a graceful close the daemon misses no event. Killed (SIGKILL) it misses none either if
  somebody keeps its connection (`keeper`). If nobody does, it missed 8 of 750 (two kills amid calls): events
  that Asterisk writes until it notices the dead socket, for some milliseconds, are lost. And Asterisk itself
  may crash if a socket ends while it writes: see `graceful_close`.
- While Asterisk boots it connects already but answers 503 "Asterisk not booted": it is asked again until it
  can answer.

Whether events were missed after all (Asterisk restarted, the daemon is new or was killed with frames in its
socket's buffer) is checked against Asterisk's lists, once the queue is worked off: the listed channels are
compared with those known from events, after a break their states and bridges as well. Only if the two
disagree twice in a row with a pause in between (events and lists are not in step to the millisecond), a
Snapshot enters the stream. A loss that such lists cannot show may show in the events that follow a break:
`calls.interruption`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog
from websockets.http11 import Request

from callsteward.ari.census import Census
from callsteward.ari.frames import FrameQueue
from callsteward.ari.graceful_close import GracefulClose
from callsteward.ari.keeper import Keeper
from callsteward.ari.link import HEARTBEAT_S, MAX_MESSAGE_BYTES, OnChange, snapshot, sources, subscribe
from callsteward.ari.listener import listening
from callsteward.ari.marks import snapshot_frame
from callsteward.ari.outbound_reader import OutboundReader
from callsteward.ari.reader import LastStamp
from callsteward.ari.recent import Recent
from callsteward.ari.rest import Rest
from callsteward.ari.stamp import stamp
from callsteward.ari.websocket import Handshake, WebSocket, WebsocketRefusal
from callsteward.config import Config
from callsteward.exceptions import AriError
from callsteward.network.backoff import Backoff
from callsteward.network.causes import told
from callsteward.network.gate import CannotListenError, Guest
from callsteward.network.openings import Opened, Openings
from callsteward.network.tally import RefusalTally
from callsteward.network.waiting import cancelled

log = structlog.get_logger(__name__)

PATH = "/ari"
LISTEN_FIRST_S, LISTEN_LONGEST_S = 1.0, 10.0
SETUP_TIMEOUT_S = 60.0
CONFIRM_AFTER_S = 1.0
GOODBYE_TIMEOUT_S = 0.4
CLOSE_TIMEOUT_S = 1.2


class OutboundLink:
    """Listens for Asterisk and keeps its one websocket.

    `recent`: the last events an earlier process journalled, some of which Asterisk may have kept as well.
    `closed_gracefully`: that process closed its connection in good order and lost nothing. Otherwise, and
    after every broken connection, an Interrupted stands in the stream before the events that Asterisk kept.
    `keeper`: keeps the connection for the next process, and may have the previous process's connection, in
    which nothing is lost.
    """

    def __init__(
        self,
        config: Config,
        frames: FrameQueue,
        census: Census,
        *,
        session: aiohttp.ClientSession,
        on_change: OnChange,
        keeper: Keeper,
        gap_from: str = "",
        recent: Recent | None = None,
        closed_gracefully: bool = False,
        confirm_after_s: float = CONFIRM_AFTER_S,
    ) -> None:
        self._settings = config.asterisk
        self._sources = sources(config)
        self._frames = frames
        self._census = census
        self._session = session
        self._on_change = on_change
        self._keeper = keeper
        self._last = LastStamp(gap_from)
        self._recent = recent or Recent()
        # If the previous connection did not end in good order: the time of its last event.
        self._broke_off_at = "" if closed_gracefully else gap_from
        self.closed_gracefully = False
        self._confirm_after_s = confirm_after_s
        self._socket: WebSocket | None = None
        self._reader: OutboundReader | None = None
        self._opening = asyncio.Lock()
        self._tally = RefusalTally(log)
        self._leaving = False
        self._tried = asyncio.Event()
        self._dialled = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self._lost_ms: int | None = None

    async def run(self) -> None:
        """Listen until cancelled. A port that is not available is tried again, and the log says why."""
        resumed = asyncio.create_task(self._resume_kept(), name="ari-resumed")
        try:
            await Openings(LISTEN_FIRST_S, LISTEN_LONGEST_S).keep_open("asterisk", self._listen)
        finally:
            # The kept connection, although the port was never available.
            await self._leave()
            await cancelled(resumed)

    async def _listen(self, opened: Opened) -> None:
        """Raises CannotListenError."""
        host, port = self._settings.listen_host, self._settings.listen_port
        try:
            async with listening(host, port, self._accept):
                opened()
                log.info("waiting for Asterisk", action="ari_listening", where=f"{host}:{port}")
                self._not_connected(f"waiting for Asterisk to dial {host}:{port}{PATH}")
                self._tried.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    # The port stays open: Asterisk dials it during the graceful close.
                    await self._leave()
        except CannotListenError as error:
            self._not_connected(str(error))
            self._tried.set()
            raise

    def _not_connected(self, why: str) -> None:
        """Report that there is no connection, unless the previous process's connection is still there."""
        if self._socket is None:
            self._on_change(False, why)

    async def _leave(self) -> None:
        """Close the connection gracefully, once: Asterisk survives it and nothing is lost."""
        if self._leaving:
            return
        self._leaving = True
        # If killed from here on, the connection must end: its events go to another one.
        self._keeper.forget()
        if self._reader is None:
            return
        graceful_close = GracefulClose(self._settings, self._sources, self._frames, self._session)
        self._reader.graceful_close = graceful_close
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                self.closed_gracefully = (
                    await graceful_close.run(self._say_goodbye, self._dialled) and self._gone.is_set()
                )
        except (AriError, TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            log.warning(
                "left Asterisk without a graceful close: some events may be missed",
                action="ari_no_handover",
                error=told(error, "asterisk"),
            )
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Close so that every event Asterisk has sent is read: it stops sending, we read up to its answer."""
        socket = self._socket
        if socket is None:
            return
        try:
            socket.say_goodbye()
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await self._gone.wait()
        except TimeoutError:
            log.warning("Asterisk did not say goodbye", action="ari_goodbye")

    def _refusal(self, request: Request, peer: str) -> WebsocketRefusal | None:
        """The reason to refuse a websocket request; None if it is accepted."""
        if request.path.partition("?")[0] != PATH:
            return WebsocketRefusal(HTTPStatus.NOT_FOUND)
        if not self._allowed(request):
            self._frames.counters.refused += 1
            if self._socket is None:
                self._on_change(False, f"a websocket from {peer} had a wrong user or password")
            self._tally.note(
                "a websocket with a wrong user or password was refused: compare username and password of"
                " websocket_client.conf with asterisk.username and asterisk.password",
                "ari_unauthorized",
                kind="unauthorized",
                sender=peer,
            )
            return WebsocketRefusal(
                HTTPStatus.UNAUTHORIZED, (("WWW-Authenticate", 'Basic realm="callsteward"'),)
            )
        if self._leaving:
            self._dialled.set()
        if self._leaving or self._frames.full:
            # Asterisk keeps the events and comes again after its reconnect_interval.
            return WebsocketRefusal(HTTPStatus.SERVICE_UNAVAILABLE)
        return None

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get_all("Authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        try:
            login = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            return False
        wanted = f"{self._settings.username}:{self._settings.secret}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(login, wanted)

    async def _accept(self, guest: Guest) -> None:
        """One websocket from Asterisk, from handshake to end."""
        connection, peer = guest.connection, guest.peer
        handshake = Handshake(connection, max_bytes=MAX_MESSAGE_BYTES)
        request = await handshake.request()
        if request is None:
            return
        refusal = self._refusal(request, peer)
        if refusal is not None:
            await handshake.answer(request, refusal)
            return
        guest.busy = True
        async with self._opening:
            if self._socket is not None:
                # Asterisk has one socket: the older one is dead and nobody has noticed yet.
                await self._socket.close()
                await self._gone.wait()
            if not await handshake.answer(request):
                return
            self._keeper.begin(connection, handshake.consumed)
            websocket = WebSocket.opened(handshake, self._keeper.ring, heartbeat_s=HEARTBEAT_S)
            reader = self._reading(websocket, self._broke_off_at)
        await self._serve(websocket, reader, self._set_up(websocket, reader, whole=bool(self._broke_off_at)))

    async def _resume_kept(self) -> None:
        """Continue the previous process's connection, if there is one."""
        kept = self._keeper.resumed
        if kept is None:
            return
        # Once the port is open, Asterisk may dial as soon as a connection is announced.
        await self._tried.wait()
        log.info(
            "continued the previous process's connection",
            action="ari_resumed",
            bytes_unread=len(kept.unread),
        )
        ring = self._keeper.ring
        websocket = WebSocket.resumed(
            kept.connection, kept.unread, ring, heartbeat_s=HEARTBEAT_S, max_bytes=MAX_MESSAGE_BYTES
        )
        reader = self._reading(websocket, "", resumed_to=ring.read)
        try:
            # Nothing is missing; it is still worth checking that Asterisk's lists agree.
            await self._serve(websocket, reader, self._set_up(websocket, reader, whole=True))
        except Exception:
            # Asterisk dials again.
            log.exception("a connection failed: please report it", action="ari_connection_failed")

    def _reading(self, websocket: WebSocket, broke_off_at: str, resumed_to: int = 0) -> OutboundReader:
        self._socket = websocket
        self._gone.clear()
        self._reader = OutboundReader(
            websocket, self._frames, self._recent, broke_off_at, keeper=self._keeper, resumed_to=resumed_to
        )
        return self._reader

    async def _serve(
        self, websocket: WebSocket, reader: OutboundReader, setting_up: Coroutine[Any, Any, None]
    ) -> None:
        """Read a websocket to its end."""
        why = "ended"
        setup = asyncio.create_task(setting_up, name="ari-resume")
        try:
            why = await reader.drain()
        finally:
            websocket.abort()
            self._keeper.forget()
            reader.rest.close()
            await cancelled(setup)
            self._frames.release()
            self._last.note(reader.last)
            self._broke_off_at = self._last.value
            self._lost_ms = time.time_ns() // 1_000_000
            self._frames.counters.disconnects += 1
            self._socket = self._reader = None
            self._gone.set()
            self._on_change(False, why)
            log.warning("Asterisk's websocket ended", action="ari_disconnected", why=why)

    async def _set_up(self, websocket: WebSocket, reader: OutboundReader, *, whole: bool) -> None:
        """Set the filter, subscribe, and check whether any event was missed (`_reconcile`)."""
        try:
            await reader.registered_or_quiet()
            rest = Rest(reader.rest)
            await self._subscribed(rest)
            self._frames.counters.connects += 1
            self._on_change(True, "")
            log.info("Asterisk is connected", action="ari_connected", app=self._settings.app)
            await self._reconcile(rest, whole=whole)
            while True:
                await self._frames.overflowed.wait()
                await self._recover(rest)
        except AriError as error:
            log.warning("Asterisk is connected but refuses", action="ari_refused", error=str(error))
            # It dials again; a missing answer is the only sign of a socket that no longer reads.
            await websocket.close()

    async def _subscribed(self, rest: Rest) -> None:
        backoff = Backoff(0.2, 2.0)
        deadline = time.monotonic() + SETUP_TIMEOUT_S
        while True:
            try:
                await subscribe(rest, self._settings.app, self._sources)
            except AriError as error:
                if isinstance(error.__cause__, TimeoutError) or time.monotonic() > deadline:
                    raise
                log.info("Asterisk is not ready", action="ari_not_ready", error=str(error))
                await asyncio.sleep(backoff.next_s())
            else:
                return

    async def _reconcile(self, rest: Rest, *, whole: bool) -> None:
        """Put a Snapshot into the stream if Asterisk's lists and the events disagree.

        `whole`: compare not only which channels there are, but also their states and bridges.
        """
        first = await self._disagreement(rest, whole=whole)
        if not first:
            return
        await asyncio.sleep(self._confirm_after_s)
        missed = first & await self._disagreement(rest, whole=whole)
        if not missed:
            return
        self._frames.hold()
        found = await snapshot(rest, self._last.value, self._lost_ms)
        self._frames.release(snapshot_frame(found))
        self._frames.counters.snapshots += 1
        log.warning(
            "events were missed",
            action="ari_reconciled",
            channels=sorted(missed)[:20],
            count=len(missed),
            gap_from=found.gap_from,
        )

    async def _recover(self, rest: Rest) -> None:
        """After an overflow: once the waiting frames are worked off, continue from Asterisk's lists."""
        gap_from = stamp(self._frames.ignore())[1]
        log.error(
            "the daemon is too slow: events are left out until the waiting ones are worked off",
            action="ari_overflow",
            waiting=self._frames.depth,
            gap_from=gap_from,
        )
        await self._frames.settled()
        self._frames.hold()
        found = await snapshot(rest, gap_from)
        self._frames.release(snapshot_frame(found))
        self._frames.counters.snapshots += 1
        log.warning("continuing after an overflow", action="ari_recovered", channels=len(found.channels))

    async def _disagreement(self, rest: Rest, *, whole: bool) -> frozenset[str]:
        channels = await rest.channels()
        bridges = await rest.bridges() if whole else None
        await self._frames.settled()
        return self._census.disagreement(channels, bridges)
