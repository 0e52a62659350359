"""A dashboard that outlives its broker: subscribes again, in the same session, whenever it is back."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from types import TracebackType
from typing import Any, Self

import aiomqtt

from tests.lab.broker import Mosquitto
from tests.lab.errors import LabError

AGAIN_S = 0.05
# Killing the broker is the purpose here: its errors are no news.
_quiet = logging.getLogger("callsteward.tests.dashboard")
_quiet.setLevel(logging.CRITICAL)


class Dashboard:
    """Collects all that is published, in a thread of its own. Context manager."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._bodies: list[tuple[str, dict[str, Any]]] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            message = "the dashboard cannot reach the broker"
            raise LabError(message)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def ended(self, root: str) -> list[dict[str, Any]]:
        """The messages on calls/LINE/ended under a root, in order."""
        return [
            body
            for topic, body in list(self._bodies)
            if topic.startswith(f"{root}/") and "/calls/" in topic and topic.endswith("/ended")
        ]

    def _run(self) -> None:
        try:
            self._task = self._loop.create_task(self._collect())
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _collect(self) -> None:
        while True:
            try:
                await self._listen()
            except aiomqtt.MqttError:
                await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async with aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.user,
            password=self._broker.password,
            identifier="chaos-dashboard",
            clean_session=False,
            protocol=aiomqtt.ProtocolVersion.V311,
            logger=_quiet,
        ) as client:
            await client.subscribe("callsteward/#", qos=1)
            self._ready.set()
            async for message in client.messages:
                if isinstance(message.payload, bytes) and message.payload.startswith(b"{"):
                    self._bodies.append((message.topic.value, json.loads(message.payload)))
