"""The daemon with its own feed and outbox, and no broker: the calls flow on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from callsteward.ari.events import epoch_ms
from callsteward.config import Asterisk, CallbackSettings, Config, Mqtt, StoreSettings
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.feed import delivery
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from tests.bench.load import copy_of, recorded_calls

SECRET = "s3cret"
CALLS = 45


@asynccontextmanager
async def following(mqtt: Mqtt, folder: Path) -> AsyncIterator[tuple[Daemon, Store]]:
    """A daemon that was given CALLS calls and has stored their records."""
    async with FakeAri(password=SECRET) as ari:
        ari.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        config = Config(
            asterisk=Asterisk(url=ari.url, password=SecretStr(SECRET)),
            mqtt=mqtt,
            store=StoreSettings(url=f"sqlite:///{folder}/calls.db"),
            callback=CallbackSettings(enabled=True),
        )
        daemon = Daemon(config)
        stop = asyncio.Event()
        task = asyncio.create_task(daemon.run(stop))
        store = None
        try:
            await ari.connected()
            recorded = recorded_calls()
            for number in range(CALLS):
                await ari.play(copy_of(recorded[number % len(recorded)], number))
            store = await Store.open(config.store.url)
            async with asyncio.timeout(60):
                while len([record async for record in store.calls(CallQuery())]) < CALLS:
                    assert not task.done(), task.result()
                    await asyncio.sleep(0.05)
            yield daemon, store
        finally:
            if store is not None:
                await store.close()
            stop.set()
            async with asyncio.timeout(60):
                await task


async def test_a_dead_broker_and_a_full_outbox_leave_the_calls_flowing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(delivery, "LOOK_EVERY_S", 0.05)
    async with following(Mqtt(port=1, outbox_mb=0.02), tmp_path) as (daemon, store):
        outbox = Outbox(store.engine, "main")
        async with asyncio.timeout(60):
            while (await outbox.measure()).size > 20_000 or not await outbox.drops():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert daemon.counters.tracker_errors == daemon.counters.overflows == 0
        [drop] = await outbox.drops()
        left = (await outbox.measure()).messages
        kinds = {kind for kind, _, _ in await outbox.waiting()}
        assert left > 0
        # Records and steps of callbacks, and nothing else, are on disk.
        assert kinds <= {"record", "callback"}
        assert drop.messages + left >= CALLS


async def test_with_mqtt_off_nothing_fills_the_outbox(tmp_path: Path) -> None:
    async with following(Mqtt(enabled=False), tmp_path) as (_, store):
        assert (await Outbox(store.engine, "main").measure()).messages == 0
