"""`/healthz` and `/readyz`, for whoever starts and watches the daemon. They need no token and tell no secret.

`/healthz` answers as soon as the daemon's loop turns; `/readyz` says whether the daemon follows calls now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web

from callsteward.health import Readings

ADDRESSES = frozenset({"/healthz", "/readyz"})
# What is answered belongs to one moment.
_HEADERS = {"Cache-Control": "no-store"}


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/readyz`. `lacking`: what keeps the daemon from following calls.

    A broker that is away is not among it: its messages wait on disk.
    """

    ready: bool
    lacking: list[Literal["asterisk", "disk"]]


def readiness(readings: Readings) -> Readiness:
    """The daemon follows calls while Asterisk is connected and the journal's disk takes frames."""
    lacking: list[Literal["asterisk", "disk"]] = []
    if not readings.asterisk()[0]:
        lacking.append("asterisk")
    if readings.health().disk != "working":
        lacking.append("disk")
    return Readiness(ready=not lacking, lacking=lacking)


def add_to(application: web.Application, ready: Callable[[], Readiness]) -> None:
    """Open both addresses."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=_HEADERS)

    async def readyz(_request: web.Request) -> web.Response:
        found = ready()
        return web.Response(
            body=msgspec.json.encode(found),
            status=200 if found.ready else 503,
            content_type="application/json",
            headers=_HEADERS,
        )

    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
