"""Parts that listen on a port: if it is not available, everything else goes on and they try again.

Another program on a port must not stop the following of calls. And systemd would not even restart a unit that
ended with the exit code for a wrong configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from callsteward.network.backoff import Backoff
from callsteward.network.gate import CannotListenError

log = structlog.get_logger(__name__)

FIRST_S, LONGEST_S = 1.0, 60.0

Opened = Callable[[], None]


Listens = Callable[[Opened], Awaitable[None]]
"""Serves until cancelled; calls `opened` once it listens. Raises CannotListenError."""


class Openings:
    """The parts that listen, and those that wait for their port."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._waiting: dict[str, str] = {}

    @property
    def detail(self) -> str:
        """For people: the parts that wait for a port, and why; empty while all are open."""
        return "; ".join(self._waiting.values())

    async def keep_open(self, name: str, listens: Listens) -> None:
        """Run a part until cancelled; if it cannot listen, try again after a pause that grows."""
        backoff = Backoff(self._first_s, self._longest_s)

        def opened() -> None:
            backoff.reset()
            if self._waiting.pop(name, None) is not None:
                log.warning("the part listens now", action="part_open", part=name)

        while True:
            try:
                await listens(opened)
            except CannotListenError as error:
                pause_s = backoff.next_s()
                if self._waiting.get(name) != str(error):
                    self._waiting[name] = str(error)
                    log.error(  # noqa: TRY400
                        "a part cannot listen: everything else goes on, and it tries again",
                        action="part_waits",
                        part=name,
                        error=str(error),
                    )
                await asyncio.sleep(pause_s)
            else:
                return
