"""One of a site's two daemons ([standby]): it follows every call, and acts once the site is its own.

Until then the pump holds back what it finds. Each second the store is asked which of it the other daemon has
written, and which tags commands have given. A daemon that acts and does not hear Asterisk any more hands the
site over to one that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import Rest
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.daemon.linked import Linked
from callsteward.exceptions import AriError, CallstewardError, StoreError
from callsteward.health import Health, StandbyState
from callsteward.record.call import CallRecord
from callsteward.store.pair import Pair, PairReadiness, Peer
from callsteward.store.pair_beginning import Seat
from callsteward.store.records import Store
from callsteward.stream.held import HeldBack
from callsteward.tags.elsewhere import TagsElsewhere

if TYPE_CHECKING:
    from callsteward.ari.rest import AsteriskInfo

log = structlog.get_logger(__name__)

FOLLOW_EVERY_S = 1.0
# How often Asterisk is asked, how long it has to answer, and after which silence it is not heard.
ASK_EVERY_S = 0.4
ANSWER_S = 1.5
NOT_HEARD_S = 1.6
LOOK_S = 0.1
# More events than that wait for the tracker: it is not up to date.
BEHIND_FRAMES = 2_000


class HandedOverError(CallstewardError):
    """This daemon has given its site up to the other one. Whoever started it starts it again, to stand by."""


class StandBy:
    """One of two daemons. `now_ms` is Asterisk's clock."""

    def __init__(self, config: Config, boot_id: str, now_ms: Callable[[], int]) -> None:
        instance = config.standby.instance
        assert instance is not None  # no [standby] otherwise
        seat = Seat(
            site=config.site.name,
            instance=instance,
            boot_id=boot_id,
            app=config.asterisk.app,
            host=socket.gethostname(),
        )
        self.pair = Pair(seat, self._readiness)
        self.held = HeldBack()
        self.acts = False
        """True once this daemon has begun to act."""
        self._site = config.site.name
        self._now_ms = now_ms
        self._linked: Linked | None = None
        self._tracker: Tracker | None = None
        self._frames: FrameQueue | None = None
        self._answered_s = float("-inf")
        self._recalled: set[str] = set()
        self.linked_since_ms = 0
        """Since when each event has come, by Asterisk's clock."""

    def may_act(self) -> bool:
        return self.pair.lease.holds

    def follows(self, linked: Linked, tracker: Tracker, frames: FrameQueue) -> None:
        """Of these it is ready or not."""
        self._linked, self._tracker, self._frames = linked, tracker, frames

    def link(self, connected: bool, why: str) -> None:
        """Asterisk is connected, or the connection is lost and why."""
        del why
        if connected:
            self.linked_since_ms = self._now_ms()

    async def identify(self, rest: Rest) -> None:
        """Find out which Asterisk it is, if that one answers."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self._answered(await rest.info())
        except (AriError, TimeoutError) as error:
            log.warning("Asterisk does not say which one it is", action="standby_pbx", error=str(error))

    def _answered(self, info: AsteriskInfo) -> None:
        self._answered_s = time.monotonic()
        # The first is the machine's, the second tells several Asterisks on one machine apart.
        self.pair.pbx = f"{info.entity_id} {info.started_at}"

    # --- how it does ----------------------------------------------------------------------------------

    def _readiness(self) -> PairReadiness:
        if self._linked is None or self._tracker is None or self._frames is None:
            return PairReadiness()
        partly = self._tracker.partly_seen
        connected, why = self._linked.state()
        if not connected:
            return PairReadiness(False, f"no link to Asterisk: {why}", partly)
        if time.monotonic() - self._answered_s > NOT_HEARD_S:
            return PairReadiness(False, "Asterisk does not answer", partly)
        if self._frames.depth > BEHIND_FRAMES:
            return PairReadiness(False, f"{self._frames.depth} events wait to be followed", partly)
        peer = self.pair.peer
        seen_by_peer = peer.partly if peer is not None and peer.acting else partly
        if partly > seen_by_peer:
            return PairReadiness(False, f"{partly} calls that are on were followed in part only", partly)
        return PairReadiness(True, "", partly)

    def health(self, health: Health) -> Health:
        """The health with what is known of the two daemons."""
        import msgspec

        state, detail = self._standby()
        return msgspec.structs.replace(
            health,
            role="acts" if self.acts else "stands_by",
            instance=self.pair.seat.instance,
            standby=state,
            standby_detail=detail,
        )

    def _standby(self) -> tuple[StandbyState, str]:
        """The state of the daemon that stands by: of the two, the one that does not act."""
        if not self.acts:
            own = self._readiness()
            return ("ready", "") if own.ready else ("not_ready", own.detail)
        peer = self.pair.peer
        if peer is None:
            return "absent", "no other daemon of the site has been seen"
        if peer.silent:
            return "absent", f"{peer.instance} (on {peer.host}) is not heard"
        return (
            ("ready", "") if peer.ready else ("not_ready", f"{peer.instance} (on {peer.host}): {peer.detail}")
        )

    # --- its work -------------------------------------------------------------------------------------

    def recalled(self, call_id: str) -> None:
        """This call is in today's counts already."""
        self._recalled.add(call_id)

    async def follow(
        self,
        store: Store,
        recall: Callable[[list[CallRecord]], None],
        put: Callable[[bytes], None],
        forget: Callable[[], None],
    ) -> None:
        """Keep up with what the other daemon writes, until cancelled.

        `recall` gets the records that it has stored; `put` a frame for the stream; `forget` is called for
        what the other daemon counts.
        """
        tags = TagsElsewhere(store.engine, self._site)
        while True:
            forget()
            try:
                for frame in await tags.frames():
                    put(frame)
                await self.keep_up(store, recall)
            except StoreError as error:
                log.warning(
                    "what the other daemon wrote is not known", action="standby_store", error=str(error)
                )
            await asyncio.sleep(FOLLOW_EVERY_S)

    async def keep_up(self, store: Store, recall: Callable[[list[CallRecord]], None]) -> None:
        """Let go of what the store has. Raises StoreError."""
        assert self._tracker is not None
        known = await store.having(self._site, self.held.records)
        found = self.held.stored(known, open_since_ms=self._tracker.open_since_ms)
        recall([record for record in found if record.call_id not in self._recalled])
        self._recalled.difference_update(known)

    async def hand_over(self) -> None:
        """Give the site up at once, if the other daemon could act: a stop may take longer than that one."""
        if self.acts and self._heir() is not None:
            await self.pair.release()

    def _heir(self) -> Peer | None:
        """The other daemon, if it could act."""
        peer = self.pair.peer
        return peer if peer is not None and peer.ready and not peer.silent else None

    async def ask(self, rest: Rest) -> None:
        """Ask Asterisk again and again, until cancelled: whether it is heard, and which one it is."""
        while True:
            began_s = time.monotonic()
            with contextlib.suppress(AriError, TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    self._answered(await rest.info())
            await asyncio.sleep(max(0.0, ASK_EVERY_S - (time.monotonic() - began_s)))

    async def watch(self) -> None:
        """Look whether Asterisk is heard, until cancelled.

        Raises HandedOverError once the site is handed over to a daemon that hears Asterisk, where this one
        does not.
        """
        unlinked_s: float | None = None
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            linked = self._linked is not None and self._linked.state()[0]
            unlinked_s = None if linked else unlinked_s or now_s
            # The link itself notices a silence within 10 s; a question that is not answered shows it at once.
            since_s = min(self._answered_s, now_s if unlinked_s is None else unlinked_s)
            heir = self._heir()
            if self.acts and now_s - since_s > NOT_HEARD_S and heir is not None:
                await self.pair.release()
                where = f"{heir.instance!r} (on {heir.host})"
                message = f"handed the site over to {where}: Asterisk is not heard from here"
                log.error(message, action="standby_handed_over")
                raise HandedOverError(message)
