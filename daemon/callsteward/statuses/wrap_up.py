"""Wrap-up after a talk: for some seconds no new call is offered (profile `wrap_up_s`).

A queue with waiting clients rings a member the moment that their phone is free. So the member is paused while
they talk, and put back when the wrap-up is over: by time, by the code *53, or once the call is registered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import structlog

from callsteward.exceptions import StoreError
from callsteward.record.facts import CallHappened, CallTagged, Happening, OperatorStatus
from callsteward.record.tag import Tag
from callsteward.statuses.setting import Setting

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1000


class WrapUps:
    """One for a daemon. `may`: why nobody can be given a status now."""

    def __init__(
        self, config: Config, setting: Setting, *, may: Callable[[], str], now_ms: Callable[[], int]
    ) -> None:
        self._setting = setting
        self._may = may
        self._now_ms = now_ms
        self._todo: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_AT_ONCE)
        # Those who have registered their call while it was still on.
        self._registered: set[str] = set()
        # The line of each one's talk; empty where the call is registered, and nothing is left to do.
        self._lines: dict[str, str] = {}
        self._ms: dict[str, int] = {}
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """From now on go by these lines and profiles."""
        seconds = {line.name: config.profile(line.name).wrap_up_s for line in config.lines}
        self._ms = {name: int(value * 1000) for name, value in seconds.items() if value}

    def told(self, fact: object) -> None:
        """A talk began, or a call is registered. Does not wait."""
        if isinstance(fact, CallHappened):
            if fact.event is Happening.ANSWERED and fact.operator is not None and fact.line in self._ms:
                self._put(fact.operator, fact.line)
        elif isinstance(fact, CallTagged) and fact.tag is Tag.REGISTERED and not fact.refused:
            self._registered.add(fact.by)

    def look(self, talking: Collection[str]) -> None:
        """Those who have a call at this moment: the wrap-up of the others runs, or is over. Does not wait."""
        for operator in self._setting.in_status(OperatorStatus.WRAP_UP):
            if operator in talking:
                continue
            if operator in self._registered:
                self._registered.discard(operator)
                self._lines[operator] = ""
                self._put(operator, "")
            elif not self._setting.runs_out(operator):
                self._put(operator, "")
        self._registered.intersection_update(talking)

    async def run(self) -> None:
        while True:
            operator, line = await self._todo.get()
            try:
                await (self._begin(operator, line) if line else self._run_out(operator))
            except StoreError as error:
                log.warning("a wrap-up waits for the store", action="status_store", error=str(error))

    def _put(self, operator: str, line: str) -> None:
        if not self._todo.full():
            self._todo.put_nowait((operator, line))

    async def _begin(self, operator: str, line: str) -> None:
        if self._may() or self._setting.has(operator):
            return
        self._lines[operator] = line
        await self._setting.begin(
            operator, OperatorStatus.WRAP_UP, reason="", given_by=f"callsteward: a talk on {line}"
        )

    async def _run_out(self, operator: str) -> None:
        """The talk is over: the time runs. Of a talk that an earlier process saw, the longest one."""
        line = self._lines.pop(operator, None)
        left_ms = max(self._ms.values(), default=0) if line is None else self._ms.get(line, 0)
        await self._setting.run_out(operator, OperatorStatus.WRAP_UP, self._now_ms() + left_ms)
