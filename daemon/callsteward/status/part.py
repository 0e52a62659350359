"""The daemon's side of `callsteward status`: the readings of this moment, behind a local socket."""

from __future__ import annotations

import os
import time
from typing import ClassVar

import msgspec

from callsteward.part import Part, Site
from callsteward.record.facts import LineNow, OperatorNow
from callsteward.status.report import LinkStatus, Report, broker_of, operators_of, report
from callsteward.status.socket import StatusSocket, socket_path
from callsteward.status.work import open_work
from callsteward.store.engine import shown


class StatusPart(Part):
    stands_by: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        path = socket_path(site.config)
        assert path is not None  # wanted where there is one
        self._site = site
        self._started_s = time.time()
        self._operators: list[OperatorNow] = []
        self._socket = StatusSocket(path, self._answer)

    def shown(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        del lines, now_ms
        # Copies: the tracker goes on changing its own.
        self._operators = [msgspec.structs.replace(operator) for operator in operators]

    async def run(self) -> None:
        await self._socket.run()

    async def _answer(self) -> Report:
        site, readings = self._site, self._site.readings
        connected, detail = readings.asterisk()
        return report(
            site=site.name,
            boot_id=site.boot_id,
            pid=os.getpid(),
            started_s=self._started_s,
            asterisk=LinkStatus(connected=connected, detail=detail),
            broker=broker_of(readings.feed(), enabled=site.config.mqtt.enabled),
            store=shown(site.config.store.url),
            journal_bytes=readings.journal_bytes(),
            open_calls=readings.open_calls(),
            event_lag_s=readings.event_lag_s(),
            health=readings.health(),
            work=await open_work(site.store.engine, site.name),
            operators=operators_of(self._operators, site.now_ms()),
        )
