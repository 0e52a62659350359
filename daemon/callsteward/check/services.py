"""Checks that the broker and the database accept what callsteward writes."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from pathlib import Path

import aiomqtt

from callsteward.config import Config
from callsteward.config.secret_words import masked
from callsteward.exceptions import CallstewardError, FeedError, StoreError
from callsteward.feed import broker as mqtt_broker
from callsteward.feed.broker_client import BrokerClient
from callsteward.feed.discovery import own, probe
from callsteward.feed.topics import Topics
from callsteward.network.causes import cause
from callsteward.store.database_file import file_of, refuse_open_folder
from callsteward.store.engine import async_url, shown
from callsteward.store.records import Store
from callsteward.terminal.result import Result, failed, ok, warning

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
        async with asyncio.timeout(4 * _WAIT_S), mqtt_broker.connected(client):
            await client.subscribe(topic, qos=1)
            payload = secrets.token_hex(8)
            await client.publish(topic, payload, qos=1)
            async with asyncio.timeout(_WAIT_S):
                async for message in client.messages:
                    if message.payload == payload.encode():
                        break
            if mqtt.discovery_prefix is not None and not await _discovers(client, config):
                allowed = own(mqtt.discovery_prefix, config.site.name)
                return failed(
                    check,
                    f"{where}: what is announced below {mqtt.discovery_prefix}/ does not come back",
                    f"let the broker's user write and read {allowed} (config/mosquitto/acl)",
                )
    except TimeoutError:
        return failed(
            check,
            f"{where}: a message to {topic} did not come back",
            f"let the broker's user write and read {mqtt.root}/{config.site.name}/#",
        )
    except (aiomqtt.MqttError, FeedError, OSError, ValueError) as error:
        what, mend = cause(error, "mqtt")
        mend = (mend or "is the broker running?").replace("is it running, are", "is the broker running? Are")
        return failed(
            check,
            f"{where}: {what}",
            mend
            + ("" if mend.endswith("?") else ".")
            + " Else: compare mqtt.host, port, username, password and tls with its settings;"
            f" its user must be allowed to write {mqtt.root}/{config.site.name}/#",
        )
    return ok(check, f"{where}: a message to {topic} went out and came back")


async def _discovers(client: BrokerClient, config: Config) -> bool:
    """True if announcements reach the broker. Home Assistant ignores this one."""
    assert config.mqtt.discovery_prefix is not None
    topic = probe(config.mqtt.discovery_prefix, config.site.name, secrets.token_hex(4))
    await client.subscribe(topic, qos=1)
    await client.publish(topic, b"", qos=1)
    try:
        async with asyncio.timeout(_WAIT_S):
            async for message in client.messages:
                if message.topic.value == topic:
                    return True
    except TimeoutError:
        pass
    return False


async def store(config: Config) -> Result:
    where = masked(config.store.url, whole=True)
    try:
        where = shown(config.store.url)
        file = file_of(async_url(config.store.url))
        if file is not None and (missing := _missing_file(file)) is not None:
            return missing
        opened = await Store.open(config.store.url, create=False)
        try:
            await opened.writable()
        finally:
            await opened.close()
    except CallstewardError as error:
        return failed("store", where, str(error))
    if config.store.warning:
        return warning("store", f"{where} is writable", config.store.warning)
    return ok("store", f"{where} is writable")


def _missing_file(file: Path) -> Result | None:
    """The result for a database that does not exist yet: made by a check it might belong to root.

    Then the daemon could not reach it.
    """
    if file.exists():
        return None
    try:
        refuse_open_folder(file.parent)
    except StoreError as error:
        return failed("store", f"{file}: cannot be created", str(error))
    if _takes_files(file.parent):
        return ok("store", f"{file}: not there yet, the daemon will create it")
    return failed("store", f"{file}: cannot be created", f"make {file.parent} writable for the daemon")


def _takes_files(folder: Path) -> bool:
    """True if a file can be made in the folder. The file has no name: nothing stays behind."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as error:
        # Some file systems have no files without a name; there only the rights are checked.
        return error.errno in {errno.EOPNOTSUPP, errno.EISDIR} and os.access(folder, os.W_OK)
    return True
