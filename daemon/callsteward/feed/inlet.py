"""The largest message that is read from the broker: the rest of a larger one is read and thrown away.

MQTT 5 has a Maximum Packet Size, which a client announces when it connects: the broker then does not send
larger packets. Without it (MQTT 3.1.1, or a broker that ignores it) paho would read any packet into memory,
several times over, before it is known what it is: 250 MB cost 961 MiB. So the bound is in the function that
paho calls to read. The connection goes on: a broker sends a retained message again and again to a client that
hangs up on it.

Nearly all that a broker sends are acknowledgements, many at a time. paho makes a packet, a reason and its
properties of each; the plain ones among them are taken here instead.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode

log = structlog.get_logger(__name__)

LARGEST_PACKET = 72 * 1024
"""Bytes. A command with the longest topic that MQTT has (64 KiB), which names what is refused."""

_CHUNK = 64 * 1024
# Read at once, since acknowledgements come many at a time.
_AHEAD = 4096
# Chunks thrown away before other tasks have their turn.
_AT_ONCE = 16
# PUBACK and its length: nothing follows but the message's id, so the message was accepted (MQTT 5, 3.4.2.1).
_ACCEPTED = b"\x40\x02"


def _not_ours(_mid: int) -> bool:
    """Leaves every acknowledgement to paho."""
    return False


class Inlet:
    """Stands before a paho client's reading. One for each client.

    `accepted` is called with the packet id of each message that the broker has accepted, and returns whether
    it knows it: paho reads the acknowledgements of other messages itself, and all that say more.
    """

    def __init__(self, client: mqtt.Client, accepted: Callable[[int], bool] = _not_ours) -> None:
        self._client = client
        self._accepted = accepted
        self.known = False
        """Whether it stands there: not before another release of paho."""
        receive: Callable[[int], bytes] | None = getattr(client, "_sock_recv", None)
        self._cut = 0
        # Read off the socket, and not asked for by paho yet.
        self._ahead = b""
        self._at = 0
        if receive is None or not isinstance(getattr(client, "_in_packet", None), dict):
            log.error(
                "this release of paho-mqtt is not known: messages of any size are read; install"
                " the release that callsteward names",
                action="mqtt_unbounded",
            )
            return
        self._receive = receive
        self._read_packets = client.loop_read
        client._sock_recv = self._bounded  # type: ignore[method-assign]  # noqa: SLF001
        client.loop_read = self._read_all  # type: ignore[method-assign]
        self.known = True

    def cut(self) -> int:
        """How many bytes the packet being handled had, 0 if all of it was read."""
        return self._cut

    def _read_all(self, max_packets: int = 1) -> MQTTErrorCode:
        """Paho's reading, until nothing of what was read ahead is left: nobody would call again for that."""
        while True:
            result = self._read_packets(max_packets)
            if result != MQTTErrorCode.MQTT_ERR_SUCCESS or self._at >= len(self._ahead):
                return result

    def _take(self, bufsize: int) -> bytes:
        """Bytes for paho, which asks for each packet's first ones singly: over TLS that is slow."""
        left = len(self._ahead) - self._at
        if not left:
            if bufsize >= _AHEAD:
                return bytes(self._receive(bufsize))
            self._ahead = bytes(self._receive(_AHEAD))
            self._at = 0
            left = len(self._ahead)
        taken = self._ahead[self._at : self._at + bufsize]
        self._at += len(taken)
        return taken

    def _first(self) -> bytes:
        """The first byte of a packet that is for paho. Raises BlockingIOError if there is none."""
        if self._at >= len(self._ahead):
            self._ahead = bytes(self._receive(_AHEAD))
            self._at = 0
            if not self._ahead:
                return b""
        ahead, at = self._ahead, self._at
        while ahead.startswith(_ACCEPTED, at) and at + 4 <= len(ahead):
            if not self._accepted(ahead[at + 2] << 8 | ahead[at + 3]):
                break
            at += 4
        self._at = at
        if at >= len(ahead):
            raise BlockingIOError
        return self._take(1)

    def _bounded(self, bufsize: int) -> bytes:
        """The bytes that paho asks for, up to the bound; then only the packet's last byte.

        Raises what paho expects, BlockingIOError, if nothing is there yet or other tasks are to have a turn.
        """
        packet = self._client._in_packet  # noqa: SLF001
        if not packet["command"]:
            self._cut = 0
            return self._first()
        if not packet["have_remaining"] or packet["remaining_length"] <= LARGEST_PACKET:
            self._cut = 0
            return self._take(bufsize)
        kept = len(packet["packet"])
        if kept < LARGEST_PACKET:
            return self._take(min(bufsize, LARGEST_PACKET - kept))
        for _ in range(_AT_ONCE):
            if packet["to_process"] == 1:
                last = self._take(1)
                self._cut = packet["remaining_length"]
                return last
            gone = self._take(min(packet["to_process"] - 1, _CHUNK))
            if not gone:
                return b""
            packet["to_process"] -= len(gone)
        raise BlockingIOError
