"""The daemon's side of `callsteward status`: the readings of this moment, behind a local socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.config import Config
from callsteward.health import Health, Readings
from callsteward.status.report import Link, Report, broker_of, report
from callsteward.status.socket import StatusSocket, socket_path
from callsteward.status.work import open_work
from callsteward.store.engine import shown


def open_status(
    config: Config, readings: Readings, health: Callable[[], Health], engine: AsyncEngine, boot_id: str
) -> StatusSocket | None:
    """The socket that answers `callsteward status`; None for a database in memory."""
    path = socket_path(config)
    if path is None:
        return None
    started_s = time.time()

    async def answer() -> Report:
        connected, detail = readings.asterisk()
        return report(
            site=config.site.name,
            boot_id=boot_id,
            pid=os.getpid(),
            started_s=started_s,
            asterisk=Link(connected=connected, detail=detail),
            broker=broker_of(readings.feed(), enabled=config.mqtt.enabled),
            store=shown(config.store.url),
            journal_bytes=readings.journal_bytes(),
            open_calls=readings.open_calls(),
            event_lag_s=readings.event_lag_s(),
            health=health(),
            work=await open_work(engine, config.site.name),
        )

    return StatusSocket(path, answer)
