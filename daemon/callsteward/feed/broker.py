"""A connection to the broker: how it is built from the configuration, opened and closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator

import aiomqtt
import structlog
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from callsteward.config import Config, Mqtt
from callsteward.exceptions import FeedError
from callsteward.feed import broker_client
from callsteward.feed.broker_client import Admit, BrokerClient, TooLarge, UnansweredError
from callsteward.feed.inlet import LARGEST_PACKET

# MQTT 5 "Unsupported Protocol Version", MQTT 3.1.1 "unacceptable protocol version".
_WRONG_VERSION = {132, 1}

log = structlog.get_logger(__name__)
# paho's own message about a broken socket also comes as an exception, which is logged in an admin's words.
_UNHEARD = logging.getLogger(f"{__name__}.paho")
_UNHEARD.setLevel(logging.CRITICAL)

# Connections given up while they were being made: the thread that makes one cannot be interrupted.
_abandoned: set[asyncio.Task[None]] = set()


def _everything(_opened: BrokerClient, _message: aiomqtt.Message) -> bool:
    return True


def _nobody(_opened: BrokerClient, _topic: str, _retained: bool) -> None:
    pass


def client(
    config: Config,
    *,
    identifier: str,
    version: str | None = None,
    will: aiomqtt.Will | None = None,
    incoming: int | None = None,
    plain: bool = False,
    admit: Admit = _everything,
    on_too_large: TooLarge = _nobody,
) -> BrokerClient:
    """A client for the configured broker, not connected yet. `version`: "5" or "3.1.1".

    `admit` is called for each message before it is queued, and says whether it is needed. `on_too_large` is
    called with the topic of a message that was not read because it is too large, and whether it is retained.
    Neither may wait.

    `plain`: without properties in CONNECT (MQTT 5). `incoming`: how many received messages may wait to be
    read; more are dropped. Raises FeedError if a certificate or key file cannot be used, ConfigError if the
    password's file cannot.
    """
    mqtt = config.mqtt
    v5 = (version or mqtt.version) == "5"
    return BrokerClient(
        mqtt.host,
        mqtt.port,
        username=mqtt.username,
        password=mqtt.secret,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
        # The daemon keeps waiting messages, so the broker need not remember the session between connections.
        clean_session=None if v5 else True,
        # Only MQTT 5 has a clean start; this default of aiomqtt is what it accepts for 3.1.1.
        clean_start=True if v5 else MQTT_CLEAN_START_FIRST_ONLY,
        keepalive=mqtt.keepalive_s,
        tls_context=_tls(mqtt),
        timeout=broker_client.ANSWER_S,
        will=will,
        # Without it a small message waits for the previous one's acknowledgement, up to 40 ms (Nagle).
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        max_queued_incoming_messages=incoming,
        properties=_bounded() if v5 and not plain else None,
        logger=_UNHEARD,
        admit=admit,
        on_too_large=on_too_large,
    )


def _bounded() -> Properties:
    """The largest packet that the broker may send (MQTT 5, 3.1.2.11.4)."""
    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.MaximumPacketSize = LARGEST_PACKET
    return made


@contextlib.asynccontextmanager
async def connected(opened: BrokerClient) -> AsyncIterator[None]:
    """The client connected, and at the end disconnected in good order if there is still a connection.

    Unlike aiomqtt's own context manager it can be cancelled while it connects, at once and without leaving a
    socket behind, and a broker that does not answer the goodbye hides no other exception. Raises
    aiomqtt.MqttError.
    """
    entering = asyncio.create_task(_enter(opened), name="mqtt connect")
    try:
        await asyncio.shield(entering)
    except aiomqtt.MqttError as error:
        if opened.hang_up() and not isinstance(error, MqttConnectError):
            raise UnansweredError(str(error)) from error
        raise
    except asyncio.CancelledError:
        giving_up = asyncio.create_task(_give_up(opened, entering), name="mqtt give up")
        _abandoned.add(giving_up)
        giving_up.add_done_callback(_abandoned.discard)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(aiomqtt.MqttError):
            await opened.__aexit__(None, None, None)


class Dialect:
    """The variant of MQTT that a broker understands: its version, with or without properties in CONNECT."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.plain = False

    def changes(self, error: Exception) -> bool:
        """True if the broker may be reached in another variant, which is worth an attempt at once."""
        if self.version != "5":
            return False
        if refuses_version(error):
            self.version = "3.1.1"
            log.warning("the broker does not speak MQTT 5, continuing with 3.1.1", action="mqtt_version")
            return True
        # A broker without MQTT 5 may take properties for a client's name.
        self.plain = isinstance(error, UnansweredError) and not self.plain
        return self.plain


def refuses_version(error: Exception) -> bool:
    """True if the broker said that it does not speak this version of MQTT."""
    if not isinstance(error, MqttConnectError):
        return False
    return getattr(error.rc, "value", error.rc) in _WRONG_VERSION


async def _enter(opened: aiomqtt.Client) -> None:
    await opened.__aenter__()


async def _give_up(opened: BrokerClient, entering: asyncio.Task[None]) -> None:
    """End a connection that is being made, once the thread that makes it has a socket to close."""
    while not entering.done() and not opened.hang_up():
        await asyncio.wait({entering}, timeout=0.05)
    opened.hang_up()
    entering.cancel()
    with contextlib.suppress(aiomqtt.MqttError, asyncio.CancelledError):
        await entering


def _tls(mqtt: Mqtt) -> ssl.SSLContext | None:
    if not mqtt.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=None if mqtt.ca_file is None else str(mqtt.ca_file))
        if mqtt.cert_file is not None:
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(file) for file in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file) if file)
        # OpenSSL gives the place in its source where it failed.
        why = (
            ("one of them is not a certificate or key in PEM, or key and certificate do not belong together")
            if isinstance(error, ssl.SSLError)
            else error.strerror
        )
        message = f"cannot use the certificates of [mqtt] ({files}): {why}"
        raise FeedError(message) from error
    return context
