import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from callsteward.ari.client import ClientLink
from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import open_session
from callsteward.config import Asterisk, Config
from callsteward.demo.ari_server import FakeAri
from callsteward.health import Counters
from callsteward.network.backoff import Backoff

SECRET = "s3cret"


class Linked:
    """A client link to a fake Asterisk, and what came out of it."""

    def __init__(self, ari: FakeAri, frames: FrameQueue, states: list[tuple[bool, str]]) -> None:
        self.ari = ari
        self.frames = frames
        self.states = states
        self.got: list[bytes] = []

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await self.pull()
                await asyncio.sleep(0.005)

    async def pull(self) -> None:
        batch = self.frames.take(1000)
        self.got += [frame.raw for frame in batch]
        await self.frames.done(len(batch))

    async def count(self, number: int) -> list[bytes]:
        await self.until(lambda: len(self.got) >= number)
        return self.got


@asynccontextmanager
async def linked(
    ari: FakeAri, *, password: str = SECRET, gap_from: str = "", limit_bytes: int = 10_000_000, **config
) -> AsyncIterator[Linked]:
    settings = Config(asterisk=Asterisk(url=ari.url, password=SecretStr(password)), **config)
    frames = FrameQueue(Counters(), limit_bytes)
    states: list[tuple[bool, str]] = []
    async with open_session(settings.asterisk) as session:
        link = ClientLink(
            settings,
            frames,
            session=session,
            on_change=lambda up, why: states.append((up, why)),
            gap_from=gap_from,
            backoff=Backoff(0.02, 0.05),
        )
        task = asyncio.create_task(link.run())
        try:
            yield Linked(ari, frames, states)
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
async def ari():
    async with FakeAri(password=SECRET) as server:
        yield server
