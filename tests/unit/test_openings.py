"""An optional part whose port is taken: it tries again, with growing pauses, and says so."""

from __future__ import annotations

import asyncio

import structlog

from callsteward.network.gate import CannotListenError
from callsteward.network.openings import Opened, Openings


class Part:
    """Can listen at its fourth try."""

    def __init__(self) -> None:
        self.tries: list[float] = []

    async def run(self, opened: Opened) -> None:
        self.tries.append(asyncio.get_running_loop().time())
        if len(self.tries) < 4:
            message = "[web]: port 8089 is taken"
            raise CannotListenError(message)
        opened()
        await asyncio.Event().wait()


async def test_a_part_tries_again_with_growing_pauses_until_it_listens() -> None:
    openings, part = Openings(0.04, 10.0), Part()
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(openings.keep_open("web", part.run))
        await asyncio.sleep(0.01)
        assert openings.detail == "[web]: port 8089 is taken"
        async with asyncio.timeout(60):
            while openings.detail:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
    assert [entry["action"] for entry in logs] == ["part_waits", "part_open"]
    pauses = [later - earlier for earlier, later in zip(part.tries, part.tries[1:], strict=False)]
    assert len(pauses) == 3
    # Each between half of a step and the step; steps double.
    assert [pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08), strict=True)] == [True] * 3
