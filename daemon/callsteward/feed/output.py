"""The target of the daemon's messages: the MQTT feed, a listener in its place, or nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from callsteward.config import Config
from callsteward.health import FeedState, Health
from callsteward.record.call import CallRecord
from callsteward.record.facts import LineNow, OperatorNow


class Output(Protocol):
    """The feed, as the daemon uses it."""

    async def run(self) -> None: ...

    def publish(self, fact: object) -> None: ...

    def recall(self, records: Iterable[CallRecord]) -> None: ...

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None: ...

    def link(self, asterisk_connected: bool, detail: str) -> None: ...

    def health(self, health: Health) -> None: ...

    def reconfigure(self, config: Config) -> None: ...

    def state(self) -> FeedState: ...

    async def drain(self, timeout_s: float) -> Any: ...


class NoFeed:
    """The feed of a daemon with `mqtt.enabled = false`: records go to the store alone."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def publish(self, fact: object) -> None:
        pass

    def recall(self, records: Iterable[CallRecord]) -> None:
        pass

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        pass

    def link(self, asterisk_connected: bool, detail: str) -> None:
        pass

    def health(self, health: Health) -> None:
        pass

    def reconfigure(self, config: Config) -> None:
        pass

    def state(self) -> FeedState:
        return FeedState()

    async def drain(self, timeout_s: float) -> None:
        pass
