"""One daemon a site: on PostgreSQL a lock of the server's, held for as long as the daemon's connection lives.

Two daemons of one site would each call a client back. On one machine the journal's lock keeps a second one
from starting; this one does on two machines. A name is the site's: two PBXs whose admins left the default
name are told so, too.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.exceptions import StoreError
from callsteward.store.engine import failing
from callsteward.store.trouble import reason

log = structlog.get_logger(__name__)

# Any constant will do: with the site's name it makes the advisory lock of a site.
LOCK: Final = 0x63737369
# A machine that lost its power holds its lock until the server has missed its keepalives.
PATIENCE_S = 20.0
AGAIN_S = 1.0
LOOK_EVERY_S = 5.0
# After a connection was lost, the server may hold the lock for it as long; then another daemon has it.
LOST_S = 60.0
_CLOSE_S = 0.5

_KEEPALIVE = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 2")
_TAKE = text("SELECT pg_try_advisory_lock(:lock, hashtext(:site))")
_HOLDER = text(
    "SELECT host(a.client_addr) AS address, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SSOF') AS since"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_database d ON d.oid = l.database"
    " WHERE l.locktype = 'advisory' AND l.classid = :lock AND l.granted"
    " AND l.objid::bigint = hashtext(:site)::bigint & 4294967295 AND d.datname = current_database()"
)


class Claim(Protocol):
    """A daemon's claim to its site."""

    called: str
    """The name of its connections to the database; empty: the driver's."""

    async def take(self, engine: AsyncEngine) -> None:
        """Return once this daemon may open the database. Raises StoreError, and nothing is written."""
        ...


class SiteClaim:
    """The claim of one daemon to be its site's only one. On SQLite there is nothing to claim."""

    called = ""

    def __init__(self, site: str) -> None:
        self._site = site
        self._lock = {"lock": LOCK, "site": site}
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None

    async def take(self, engine: AsyncEngine) -> None:
        """Return once the site is ours. Raises StoreError where another daemon has it, and says which."""
        if engine.dialect.name != "postgresql":
            return
        self._engine = engine
        give_up_s = time.monotonic() + PATIENCE_S
        said = False
        while not await self._taken():
            who = await self._holder()
            if time.monotonic() > give_up_s:
                raise StoreError(self._refusal(who))
            if not said:
                said = True
                log.warning("waits for another daemon of this site to end", action="site_taken", holder=who)
            await asyncio.sleep(AGAIN_S)

    async def keep(self) -> None:
        """Hold the claim until cancelled. Raises StoreError once another daemon has the site."""
        if self._engine is None:
            await asyncio.Event().wait()
        lost_s: float | None = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if self._connection is not None:
                    await self._connection.execute(text("SELECT 1"))
                    continue
                with failing("use"):
                    taken = await self._taken()
                if taken:
                    lost_s = None
                    log.info("claimed the site again", action="site_claimed", site=self._site)
                    continue
            except (StoreError, SQLAlchemyError, OSError) as error:
                # The database is away: others cannot claim the site either.
                lost_s = None
                if self._connection is not None:
                    log.warning("lost the claim to the site", action="site_lost", error=reason(error))
                await self._let_go()
                continue
            lost_s = time.monotonic() if lost_s is None else lost_s
            if time.monotonic() - lost_s > LOST_S:
                raise StoreError(self._refusal(await self._holder()))

    async def close(self) -> None:
        """Give the site up, at the daemon's end."""
        self._engine = None
        await self._let_go()

    async def _taken(self) -> bool:
        """Try to take the lock. Raises whatever the driver raises: `connect` names the database with it."""
        assert self._engine is not None
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for setting in _KEEPALIVE:
                await connection.execute(text(f"SET {setting}"))
            taken = bool(await connection.scalar(_TAKE, self._lock))
        except BaseException:
            await connection.close()
            raise
        if taken:
            self._connection = connection
        else:
            await connection.close()
        return taken

    async def _holder(self) -> str:
        """Where the daemon that has the site runs, and since when, as far as the server tells."""
        assert self._engine is not None
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(_HOLDER, self._lock)).first()
        if row is None or row.since is None:
            return "it does not say which"
        return f"it connected from {row.address or 'the same machine'} at {row.since}"

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            # Not back into the pool, where it would keep the lock.
            async with asyncio.timeout(_CLOSE_S):
                await connection.invalidate()
                await connection.close()
        except (TimeoutError, SQLAlchemyError, OSError) as error:
            log.warning("the claim's connection is left behind", action="site_left", error=reason(error))

    def _refusal(self, who: str) -> str:
        return refusal(self._site, who)


def refusal(site: str, who: str) -> str:
    """The message to a daemon whose site another one has. `who`: what is known of that one."""
    return (
        f"another daemon of the site {site!r} uses this database ({who}): a site has one daemon."
        " Stop that one; or, if this is another PBX, give it a name of its own in site.name"
    )
