"""The start of one of a site's two daemons: it is refused where it has no place beside the other one.

Nothing is written before that is clear, not even the database's tables are looked for in vain.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from callsteward.exceptions import StoreError
from callsteward.store import pair_sql as sql
from callsteward.store.claim import LOCK, PATIENCE_S, refusal

# How long a start looks whether a row is of a daemon that runs, or was left by one.
MEET_S = 2.0
# Two Asterisks for one site: for how long, since one that was just restarted looks like another one.
ELSEWHERE_S = 10.0
_AGAIN_S = 0.5


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """Who this daemon is. `app`: its ARI application."""

    site: str
    instance: str
    boot_id: str
    app: str
    host: str


async def meet(connection: Any, seat: Seat, pbx: str) -> None:
    """Return if this daemon may be one of the site's two. Raises StoreError, whose message says why not.

    `pbx`: which Asterisk it is linked to, empty while it is not known.
    """
    if await connection.fetchval(sql.THERE) is not None:
        await _meet_daemons(connection, seat, pbx)
    await _meet_single(connection, seat.site)


async def _meet_daemons(connection: Any, seat: Seat, pbx: str) -> None:
    before = {row["instance"]: row for row in await connection.fetch(sql.DAEMONS, seat.site)}
    suspects = {name for name, row in before.items() if _against(seat, pbx, row)}
    until_s = time.monotonic() + MEET_S
    patience_s = time.monotonic() + ELSEWHERE_S
    while suspects:
        await asyncio.sleep(_AGAIN_S)
        late = time.monotonic() > patience_s
        for row in await connection.fetch(sql.DAEMONS, seat.site):
            name = row["instance"]
            if name not in suspects:
                continue
            why = _against(seat, pbx, row)
            alive = row["seen_at_ms"] != before[name]["seen_at_ms"]
            if why and alive and (late or not two_pbxs(row["pbx"], pbx)):
                raise StoreError(why)
            if not why or (not alive and time.monotonic() > until_s):
                # A restarted Asterisk, which that daemon knows by now; or a row that a daemon left.
                suspects.discard(name)


def _against(seat: Seat, pbx: str, row: Any) -> str:
    """Why this daemon must not run beside that one; empty if it may."""
    if row["instance"] == seat.instance:
        return same_name(seat, row["host"])
    if two_pbxs(row["pbx"], pbx):
        return elsewhere(seat.site, row["instance"], row["host"])
    return same_app(seat, row["instance"], row["host"]) if row["app"] == seat.app else ""


async def _meet_single(connection: Any, site: str) -> None:
    """Refuse where a daemon without a [standby] has the site; it may just be ending."""
    until_s = time.monotonic() + PATIENCE_S
    while not await connection.fetchval(sql.TRY_LOCK, LOCK, site):
        who = await connection.fetchrow(sql.HOLDER, LOCK, site)
        if who is not None and who["name"].startswith(connections_of("")):
            return
        if time.monotonic() > until_s:
            known = "it does not say which"
            if who is not None and who["since"] is not None:
                known = f"it connected from {who['address'] or 'the same machine'} at {who['since']}"
            message = f"{refusal(site, known)}. It has no [standby]"
            raise StoreError(message)
        await asyncio.sleep(_AGAIN_S)
    await connection.fetchval(sql.UNLOCK, LOCK, site)


def connections_of(boot_id: str) -> str:
    """The name of a daemon's connections, by which the other one ends them."""
    return f"callsteward {boot_id}"


def two_pbxs(one: str, other: str) -> bool:
    """True if two daemons are known to be linked to different Asterisks."""
    return bool(one and other and one != other)


def same_name(seat: Seat, host: str) -> str:
    """The message to a daemon whose name the other one has."""
    where = f" (on {host})" if host else ""
    return (
        f"another daemon runs as {seat.instance!r} of the site {seat.site!r}{where}: give each of the two a"
        " name of its own in standby.instance, or stop that one"
    )


def same_app(seat: Seat, instance: str, host: str) -> str:
    """The message to a daemon whose ARI application the other one has."""
    return (
        f"the daemon {instance!r} of the site {seat.site!r} (on {host}) has the same ARI application,"
        f" {seat.app!r}: Asterisk gives its events to one of the two only; give each a name of its own in"
        " asterisk.app (and in Asterisk's websocket_client.conf, where Asterisk dials)"
    )


def elsewhere(site: str, instance: str, host: str) -> str:
    """The message to a daemon whose Asterisk is not that of the other one."""
    return (
        f"asterisk.url leads to another Asterisk than that of the daemon {instance!r} of the site {site!r}"
        f" (on {host}): the two daemons of a site follow the same PBX. Correct asterisk.url; or, if this is"
        " another PBX, give it a name of its own in site.name"
    )
