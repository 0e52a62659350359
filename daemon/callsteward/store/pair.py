"""The claim of one of the two daemons of a site (`[standby]`): one acts, the other waits for its turn.

Each says several times a second, by the server's clock, that it is there. The one that acts holds the site's
lock, as the only daemon of a site does (`claim`), and a fence number (`lease`). The other one takes the site
once that one gives it up, or has not been heard for longer than its lease can last: it ends that one's
connections, so that none of its transactions stands in the way, takes the lock, and raises the fence.

All of it is done on a connection of its own, which is dropped where the server does not answer at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.exceptions import StoreError
from callsteward.store import pair_beginning as beginning
from callsteward.store import pair_sql as sql
from callsteward.store.claim import LOCK
from callsteward.store.engine import CONNECT_S, prove
from callsteward.store.lease import Lease, steady_s, taken_over
from callsteward.store.pair_beginning import Seat, connections_of
from callsteward.store.trouble import of_database, reason

log = structlog.get_logger(__name__)

LOOK_S = 0.25
# Once the other daemon is silent.
LOOK_SILENT_S = 0.1
LOCK_TRIES, LOCK_AGAIN_S = 10, 0.02
# From the last time that the server answered. Shorter than STALE_MS: nobody else acts before its end.
LEASE_S = 1.2
# By the server's clock: a daemon that has not been heard for longer does not act any more.
STALE_MS = 1_500
# A look that is not answered by then is given up.
ANSWER_S = 1.0
# Two looks in a row must find that the other one is silent: after a server that held still, both are late.
SILENT_LOOKS = 2
# A machine that lost its power holds its lock until the server has missed these.
_KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "2"}


class PairReadiness(msgspec.Struct, frozen=True):
    """A daemon's answer whether it could act, what it waits for, and how many calls it has seen in part."""

    ready: bool = False
    detail: str = "starting"
    partly: int = 0


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The other daemon of the site, as it said last."""

    instance: str
    boot_id: str
    app: str
    host: str
    pbx: str
    acting: bool
    ready: bool
    detail: str
    partly: int
    age_ms: int

    @property
    def silent(self) -> bool:
        return self.age_ms > STALE_MS


class Pair:
    """The claim of one of a site's two daemons. `readiness` is asked with each look."""

    def __init__(self, seat: Seat, readiness: Callable[[], PairReadiness] = PairReadiness) -> None:
        self.seat = seat
        self.readiness = readiness
        self.pbx = ""
        """Which Asterisk this daemon is linked to, empty while it is not known."""
        self.lease = Lease(seat.site)
        self.taken = asyncio.Event()
        """Set once the site is this daemon's."""
        self.asked = asyncio.Event()
        """Set once it is asked to hand the site over, and the other one is ready for it."""
        self.peer: Peer | None = None
        """The other daemon, None while none has been seen."""
        self.before: Peer | None = None
        """The other daemon as it was seen last while it acted."""
        self.called = connections_of(seat.boot_id)
        self._arguments: dict[str, Any] = {}
        self._engine: AsyncEngine | None = None
        self._connection: Any = None
        # asyncpg's connection does one thing at a time.
        self._turn = asyncio.Lock()
        self._locked = False
        self._given_up = False
        self._silent = 0
        self._blocked = 0
        self._elsewhere_s: float | None = None
        self._said = ""

    # --- at the start ---------------------------------------------------------------------------------

    async def take(self, engine: AsyncEngine) -> None:
        """Return if this daemon may be one of the site's two. Raises StoreError, and nothing is written."""
        arguments = dict(engine.dialect.create_connect_args(engine.url)[1])
        for name in ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback"):
            arguments.pop(name, None)
        self._arguments = arguments
        self._engine = engine
        try:
            connection = await self._connected()
            await beginning.meet(connection, self.seat, self.pbx)
        finally:
            self._drop()

    async def join(self) -> None:
        """Say for the first time that this daemon is there: now it stands by. Raises StoreError."""
        seat = self.seat
        assert self._engine is not None
        prove(self._engine, self.lease)
        try:
            connection = await self._connected()
            await connection.execute(sql.CLAIM, seat.site)
            await connection.execute(
                sql.JOIN, seat.site, seat.instance, seat.boot_id, seat.app, seat.host, self.pbx
            )
        except Exception as error:
            self._drop()
            if not _of_server(error):
                raise
            message = f"cannot write to the database: {reason(error)}"
            raise StoreError(message) from error

    # --- while it runs --------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Stand by, take the site when it is free, and hold it, until cancelled.

        Raises StoreError where another daemon has taken it, or this one has no place in the pair.
        """
        while True:
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_S), self._turn:
                    await self._look()
                self._said = ""
            except Exception as error:
                self._drop()
                if not _of_server(error):
                    raise
                self._silent = 0
                said = reason(error) or "no answer in time"
                if said != self._said:
                    self._said = said
                    log.warning("cannot say that this daemon is there", action="standby_silent", error=said)
            if self.lease.lost:
                raise StoreError(self.lease.lost)
            pause_s = LOOK_SILENT_S if self._silent else LOOK_S
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began_s)))

    async def _look(self) -> None:
        connection = await self._connected()
        if self.lease.fence is not None:
            await self._hold(connection, self.lease.fence)
            if self.lease.fence is None:
                return
        else:
            await self._say(connection)
        row = await connection.fetchrow(sql.PEER, self.seat.site, self.seat.instance)
        self.peer = None if row is None else Peer(**dict(row))
        if self.peer is not None and self.peer.acting:
            self.before = self.peer
        if self.lease.fence is None:
            self._refuse()
            if self._free() and await self._took(connection):
                log.warning(
                    "acts for the site from now on",
                    action="standby_acts",
                    site=self.seat.site,
                    instance=self.seat.instance,
                    fence=self.lease.fence,
                    after=None if self.before is None else self.before.instance,
                )
                self.taken.set()

    async def _hold(self, connection: Any, fence: int) -> None:
        """Renew the lease, unless the site has been taken."""
        if not self._locked:
            # The connection was lost. Without the lock the site is ours as long as nobody takes it.
            self._locked = bool(await connection.fetchval(sql.TRY_LOCK, LOCK, self.seat.site))
        asked_s = steady_s()
        now = self.readiness()
        seat = self.seat
        row = await connection.fetchrow(
            sql.HOLD,
            seat.site,
            seat.instance,
            seat.boot_id,
            fence,
            now.ready,
            now.detail,
            now.partly,
            self.pbx,
        )
        if row is None:
            self.lease.end(taken_over(seat.site))
            return
        self.lease.extend(asked_s + LEASE_S)
        peer = self.peer
        if row["switch_asked"] == fence and peer is not None and peer.ready and not peer.silent:
            self.asked.set()

    async def _say(self, connection: Any) -> None:
        """Say that this daemon stands by."""
        now, seat = self.readiness(), self.seat
        found = await connection.fetchval(
            sql.SAY, seat.site, seat.instance, seat.boot_id, now.ready, now.detail, now.partly, self.pbx
        )
        if found is None:
            raise StoreError(beginning.same_name(seat, ""))

    def _refuse(self) -> None:
        """Raise StoreError where this daemon has no place beside the other one, as shows only now."""
        peer = self.peer
        if peer is None or peer.silent:
            self._elsewhere_s = None
            return
        if not beginning.two_pbxs(peer.pbx, self.pbx):
            self._elsewhere_s = None
        else:
            now_s = time.monotonic()
            self._elsewhere_s = self._elsewhere_s or now_s
            if now_s - self._elsewhere_s > beginning.ELSEWHERE_S:
                raise StoreError(beginning.elsewhere(self.seat.site, peer.instance, peer.host))
        # Two that were started together; one of them may stay.
        if peer.app == self.seat.app and (peer.acting or peer.instance < self.seat.instance):
            raise StoreError(beginning.same_app(self.seat, peer.instance, peer.host))

    def _free(self) -> bool:
        """True if nobody acts for the site, as far as two looks in a row have found."""
        peer = self.peer
        if self._given_up:
            return False
        if peer is None or not peer.acting:
            return self._elsewhere_s is None
        self._silent = self._silent + 1 if peer.silent else 0
        return self._silent >= SILENT_LOOKS

    async def _took(self, connection: Any) -> bool:
        """Take the site. False: somebody has it all the same."""
        seat, peer = self.seat, self.peer
        if peer is not None and peer.acting:
            # It hangs, or cannot reach the server: nothing that it has begun stands in the way any more.
            await connection.fetch(sql.HANG_UP, connections_of(peer.boot_id))
        if not await self._lock(connection):
            await self._free_lock(connection)
            return False
        self._blocked = 0
        asked_s = steady_s()
        # Not asyncpg's own block, which would wait for a server that does not answer.
        await connection.execute("BEGIN")
        await connection.fetchval(sql.CLOSED, seat.site)
        if await connection.fetchval(sql.ACTING, seat.site, seat.instance, STALE_MS):
            await connection.execute("ROLLBACK")
            await connection.fetchval(sql.UNLOCK, LOCK, seat.site)
            self._locked = False
            return False
        fence = await connection.fetchval(sql.TAKE, seat.site, seat.instance, seat.boot_id)
        await connection.execute("COMMIT")
        self.lease.begin(fence, asked_s + LEASE_S)
        return True

    async def _lock(self, connection: Any) -> bool:
        """Take the lock; a connection that was just ended lets go of it within moments."""
        for _ in range(LOCK_TRIES):
            if await connection.fetchval(sql.TRY_LOCK, LOCK, self.seat.site):
                self._locked = True
                return True
            await asyncio.sleep(LOCK_AGAIN_S)
        return False

    async def _free_lock(self, connection: Any) -> None:
        """Nobody acts, and the lock is held: by a daemon that starts, or by one whose machine is gone."""
        self._blocked += 1
        who = await connection.fetchrow(sql.HOLDER, LOCK, self.seat.site)
        if who is not None and self._blocked > SILENT_LOOKS and who["name"].startswith(connections_of("")):
            await connection.fetch(sql.HANG_UP, who["name"])

    # --- at the end -----------------------------------------------------------------------------------

    async def release(self) -> None:
        """Give the site up: this daemon acts no more, and the other one may at once."""
        self._given_up = True
        held = self.lease.fence is not None
        self.lease.end()
        if not held:
            return
        try:
            async with asyncio.timeout(ANSWER_S), self._turn:
                seat = self.seat
                connection = await self._connected()
                await connection.execute(sql.RELEASE, seat.site, seat.instance, seat.boot_id)
        except Exception as error:
            if not _of_server(error):
                raise
            log.warning("the site is given up without a word", action="standby_left", error=reason(error))
        finally:
            self._drop()

    async def close(self) -> None:
        """At the daemon's end."""
        await self.release()
        if self._engine is not None and not self.lease.lost:
            await self._forgotten()
        self._drop()
        self._engine = None

    async def _forgotten(self) -> None:
        """Leave no row behind: the next start need not find out whether this daemon runs."""
        seat = self.seat
        try:
            async with asyncio.timeout(ANSWER_S):
                connection = await self._connected()
                await connection.execute(sql.LEAVE, seat.site, seat.instance, seat.boot_id)
        except Exception as error:
            if not _of_server(error):
                raise

    async def _connected(self) -> Any:
        if self._connection is None:
            import asyncpg

            settings = _KEEPALIVE | {"application_name": self.called}
            self._connection = await asyncpg.connect(
                **self._arguments, timeout=CONNECT_S, server_settings=settings
            )
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._locked = False
        if connection is not None:
            connection.terminate()


def _of_server(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | OSError) or (
        not isinstance(error, StoreError) and of_database(error)
    )
