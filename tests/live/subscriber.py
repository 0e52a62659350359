"""A dashboard: subscribes to everything and keeps it, with the moment each message came."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiomqtt

from callsteward.feed import cloudevents
from callsteward.feed.topics import Topics
from tests.lab.broker import Mosquitto
from tests.live.daemon import wait_for
from tests.live.settings import SITE

USER = "dashboard"
PASSWORD = "for-reading"
ACL = f"""user callsteward
topic readwrite callsteward/#
user {USER}
topic read callsteward/#
user bystander
topic read elsewhere/#
"""


@dataclass(frozen=True)
class Received:
    """One message. `at`: Unix seconds."""

    topic: str
    body: dict[str, Any]
    retained: bool
    at: float


class Subscriber:
    """Collects in a thread of its own, so that nothing a test does delays the clock. Context manager."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._messages: list[Received] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the subscriber cannot reach the broker"
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def of(self, name: str, kind: str = "", *, since: int = 0, site: str = SITE) -> list[Received]:
        """The messages of the daemon `name`, in order of arrival. `kind`: such as `calls/+/ended`."""
        assert self._error is None, self._error
        base = Topics(f"callsteward/{name}", site).everything.removesuffix("#")
        wanted = kind.split("/") if kind else None
        return [
            message
            for message in list(self._messages)[since:]
            if message.topic.startswith(base) and _fits(message.topic.removeprefix(base), wanted)
        ]

    def count(self) -> int:
        """How many messages came so far."""
        return len(self._messages)

    def wait(
        self,
        name: str,
        kind: str,
        matches: Callable[[dict[str, Any]], bool] = lambda _: True,
        *,
        limit_s: float = 15,
        since: int = 0,
    ) -> Received:
        """The first message of a kind that matches; fails the test if none comes."""
        found: list[Received] = []

        def happened() -> bool:
            found[:] = [item for item in self.of(name, kind, since=since) if matches(item.body)]
            return bool(found)

        wait_for(happened, limit_s, f"{name} to publish {kind}")
        return found[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._collect())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - told to the test that waits
            self._error = error
        finally:
            self._ready.set()

    async def _collect(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        broker = self._broker
        async with aiomqtt.Client(
            broker.host,
            broker.port,
            username=USER,
            password=PASSWORD,
            identifier="dashboard",
            tls_context=ssl.create_default_context(cafile=str(broker.ca_file)),
        ) as client:
            await client.subscribe("callsteward/#", qos=1)
            self._ready.set()
            async for message in client.messages:
                at = time.time()
                topic = message.topic.value
                # What `callsteward check` writes to see whether it comes back is for nobody else.
                if topic.endswith("/check"):
                    continue
                assert isinstance(message.payload, bytes)
                body = json.loads(cloudevents.message(message.payload))
                self._messages.append(Received(topic, body, bool(message.retain), at))


def _fits(topic: str, wanted: list[str] | None) -> bool:
    if wanted is None:
        return True
    levels = topic.split("/")
    return len(levels) == len(wanted) and all(
        want in ("+", level) for want, level in zip(wanted, levels, strict=True)
    )
