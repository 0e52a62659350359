"""Messages to systemd: sd_notify(3)'s protocol, datagrams to the socket in $NOTIFY_SOCKET.

A few lines of our own: `sdnotify` has had no release since 2017, and `cysystemd` and `systemd-python` need
libsystemd's headers to be built.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import time
from collections.abc import MutableMapping

# sd_listen_fds(3).
_FIRST_HANDED_DOWN = 3


class Notify:
    """Nothing here waits or fails; without systemd nothing is sent."""

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
        """The watchdog's ping, to be sent only while work goes on."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " "))

    def keep(self, name: str, file: int) -> None:
        """Keep an open file beyond this process, as far as FileDescriptorStoreMax= of the unit allows."""
        self._send(f"FDSTORE=1\nFDNAME={name}", file)

    def release(self, name: str) -> None:
        """Stop keeping the file of this name."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str, *files: int) -> None:
        if self._socket is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
            with contextlib.suppress(OSError):
                self._socket.sendmsg([text.encode()], rights, 0, self._address)


def handed_down(environment: MutableMapping[str, str] = os.environ) -> dict[str, list[int]]:
    """The open files that systemd kept for this process, by their names; each is returned once."""
    told = {name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    count = told["LISTEN_FDS"]
    if told["LISTEN_PID"] != str(os.getpid()) or not count.isdecimal():
        return {}
    names = told["LISTEN_FDNAMES"].split(":")
    found: dict[str, list[int]] = {}
    for place in range(int(count)):
        file = _FIRST_HANDED_DOWN + place
        try:
            fcntl.fcntl(file, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        except OSError:
            break
        found.setdefault(names[place] if place < len(names) else "", []).append(file)
    return found
