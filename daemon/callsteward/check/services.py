"""Whether the broker and the database take what callsteward writes."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import aiomqtt
from sqlalchemy.engine import make_url

from callsteward.check.result import Result, failed, ok
from callsteward.config import Config
from callsteward.exceptions import CallstewardError, FeedError
from callsteward.feed import broker as mqtt_broker
from callsteward.feed.topics import Topics
from callsteward.store.records import Store

_WAIT_S = 5.0


async def broker(config: Config) -> Result:
    check, mqtt = "broker", config.mqtt
    if not mqtt.enabled:
        return ok(check, "mqtt.enabled = false: nothing is published")
    where = f"{mqtt.host}:{mqtt.port}"
    topic = Topics(mqtt.root, config.site.name).check
    try:
        # The daemon's own client id would throw a running daemon off the broker.
        client = mqtt_broker.client(config, identifier=f"callsteward-check-{secrets.token_hex(4)}")
        async with asyncio.timeout(2 * _WAIT_S), mqtt_broker.connected(client):
            await client.subscribe(topic, qos=1)
            payload = secrets.token_hex(8)
            await client.publish(topic, payload, qos=1)
            async with asyncio.timeout(_WAIT_S):
                async for message in client.messages:
                    if message.payload == payload.encode():
                        break
    except TimeoutError:
        return failed(
            check,
            f"{where}: a message to {topic} did not come back",
            f"let the broker's user write and read {mqtt.root}/{config.site.name}/#",
        )
    except (aiomqtt.MqttError, FeedError, OSError, ValueError) as error:
        return failed(
            check,
            f"{where}: {error}",
            "is the broker running? compare mqtt.host, port, username, password and tls with its settings;"
            f" its user must be allowed to write {mqtt.root}/{config.site.name}/#",
        )
    return ok(check, f"{where}: a message to {topic} went out and came back")


async def store(config: Config) -> Result:
    url = make_url(config.store.url)
    where = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
        where = str(url.database)
        if (missing := _missing_file(Path(where))) is not None:
            return missing
    try:
        opened = await Store.open(config.store.url)
        try:
            await opened.writable()
        finally:
            await opened.close()
    except CallstewardError as error:
        return failed("store", where, str(error))
    return ok("store", f"{where} is writable")


def _missing_file(file: Path) -> Result | None:
    """For a database not there yet: made by a check it might belong to root, out of the daemon's reach."""
    if file.exists():
        return None
    if os.access(file.parent, os.W_OK):
        return ok("store", f"{file}: not there yet, the daemon will create it")
    return failed("store", f"{file}: cannot be created", f"make {file.parent} writable for the daemon")
