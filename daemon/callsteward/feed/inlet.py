"""The largest message that is read from the broker: the rest of a larger one is read and thrown away.

MQTT 5 has a Maximum Packet Size, which a client announces when it connects: the broker then does not send
larger packets. Without it (MQTT 3.1.1, or a broker that ignores it) paho would read any packet into memory,
several times over, before it is known what it is: 250 MB cost 961 MiB. So the bound is in the function that
paho calls to read. The connection goes on: a broker sends a retained message again and again to a client that
hangs up on it.
"""

from __future__ import annotations

import structlog
from paho.mqtt import client as mqtt

log = structlog.get_logger(__name__)

LARGEST_PACKET = 72 * 1024
"""Bytes. A command with the longest topic that MQTT has (64 KiB), which names what is refused."""

_CHUNK = 64 * 1024
# Chunks thrown away before other tasks have their turn.
_AT_ONCE = 16


class Inlet:
    """Stands before a paho client's reading. One for each client."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self._receive = getattr(client, "_sock_recv", None)
        self._cut = 0
        if self._receive is None or not isinstance(getattr(client, "_in_packet", None), dict):
            log.error(
                "this release of paho-mqtt is not known: messages of any size are read; install"
                " the release that callsteward names",
                action="mqtt_unbounded",
            )
            return
        client._sock_recv = self._bounded  # type: ignore[method-assign]  # noqa: SLF001

    def cut(self) -> int:
        """How many bytes the packet being handled had, 0 if all of it was read."""
        return self._cut

    def _bounded(self, bufsize: int) -> bytes:
        """The bytes that paho asks for, up to the bound; then only the packet's last byte.

        Raises what paho expects, BlockingIOError, if nothing is there yet or other tasks are to have a turn.
        """
        assert self._receive is not None
        packet = self._client._in_packet  # noqa: SLF001
        if not packet["have_remaining"] or packet["remaining_length"] <= LARGEST_PACKET:
            self._cut = 0
            return bytes(self._receive(bufsize))
        kept = len(packet["packet"])
        if kept < LARGEST_PACKET:
            return bytes(self._receive(min(bufsize, LARGEST_PACKET - kept)))
        for _ in range(_AT_ONCE):
            if packet["to_process"] == 1:
                last = bytes(self._receive(1))
                self._cut = packet["remaining_length"]
                return last
            gone = self._receive(min(packet["to_process"] - 1, _CHUNK))
            if not gone:
                return b""
            packet["to_process"] -= len(gone)
        raise BlockingIOError
