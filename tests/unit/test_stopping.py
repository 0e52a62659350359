"""The end of the daemon's tasks, also of one that hangs."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from callsteward.daemon import stopping
from callsteward.daemon.stopping import Tasks
from callsteward.part import Part


class Log:
    """Notes which work ended, in order."""

    closed_gracefully = True

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.finished = asyncio.Event()

    async def works(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)

    async def pump(self) -> None:
        await self.finished.wait()
        self.ended.append("pump")

    def finish(self, *, closed_gracefully: bool) -> None:
        assert closed_gracefully
        self.finished.set()

    async def hand_over(self) -> None:
        self.ended.append("handed over")

    async def drain(self, _within_s: float) -> None:
        self.ended.append("drained")


class Talking(Part):
    """It calls clients, and waits for a database that does not answer: nothing cancels it."""

    talks_with_clients: ClassVar[bool] = True

    def __init__(self) -> None:
        self.answers = asyncio.Event()

    async def run(self) -> None:
        while not self.answers.is_set():
            try:
                await self.answers.wait()
            except asyncio.CancelledError:
                continue


class Watching(Part):
    def __init__(self, log: Log) -> None:
        self.log = log

    async def run(self) -> None:
        await self.log.works("watching")


class PartsOf:
    def __init__(self, **parts: Part) -> None:
        self.parts = parts

    def runs(self) -> dict[str, Part]:
        return self.parts


async def test_a_task_that_hangs_keeps_no_other_one_from_its_orderly_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stopping, "PARTS_STOP_S", 0.05)
    log, talking = Log(), Talking()
    tasks = Tasks(PartsOf(talking=talking, watching=Watching(log)))  # type: ignore[arg-type]
    tasks.start(link=log.works("link"), pump=log.pump(), feed=log.works("feed"))
    tasks.start_parts()
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await tasks.wind_down(log, log, log, log.hand_over)  # type: ignore[arg-type]
    assert log.ended == ["handed over", "link", "pump", "watching", "drained", "feed"]
    talking.answers.set()
