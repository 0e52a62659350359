"""What systemd is told: sd_notify(3)'s protocol, datagrams to the socket in $NOTIFY_SOCKET.

A few lines of our own: `sdnotify` has had no release since 2017, `cysystemd` and `systemd-python` need
libsystemd's headers to be built.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notify:
    """Nothing here waits or fails; without systemd nothing is said."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._socket: socket.socket | None = None
        self._status = ""
        if address[:1] in {"/", "@"}:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            # An abstract socket's name begins with a zero byte.
            self._address = address.replace("@", "\0", 1) if address[0] == "@" else address

    def ready(self) -> None:
        """Started, or done with a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's ping: only who gets on with the work may say so."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " "))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
