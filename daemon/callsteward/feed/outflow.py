"""Writes the packets of a paho client: small messages that wait together leave together.

paho hands each packet to the socket by itself. Over TLS each is then a record of its own, and each costs a
system call here and one at the broker.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from paho.mqtt import client as mqtt

# A TLS record holds no more.
_TOGETHER = 16 * 1024
_PUBLISH = 0x30
_KIND = 0xF0


class Outflow:
    """One for each client."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        # Another release of paho may have none, or other ones: then it writes them one by one.
        self._packets: object = getattr(client, "_out_packet", None)

    def write(self) -> None:
        """Write as much as the socket takes. Raises what paho raises for a broken connection."""
        if isinstance(self._packets, deque):
            join(self._packets)
        self._client.loop_write()


def join(packets: deque[Any]) -> None:
    """Make one packet of messages that wait behind each other. Each is acknowledged by itself all the same.

    Not of QoS 0, of which paho says that they are sent once they are written.
    """
    if len(packets) < 2:
        return
    waiting = list(packets)
    packets.clear()
    for packet in waiting:
        last = packets[-1] if packets else None
        if (
            last is not None
            and _may_be_joined(last)
            and _may_be_joined(packet)
            and len(last["packet"]) + len(packet["packet"]) <= _TOGETHER
        ):
            last["packet"] = last["packet"] + packet["packet"]
            last["to_process"] += packet["to_process"]
        else:
            packets.append(packet)


def _may_be_joined(packet: Any) -> bool:
    """True for a whole message that will be acknowledged."""
    try:
        return bool(packet["command"] & _KIND == _PUBLISH and packet["qos"] and not packet["pos"])
    except (KeyError, TypeError):
        return False
