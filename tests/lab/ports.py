"""Free ports on 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import socket
import threading

# A phone or a PBX binds its port some time after it was found free, and two may bind a UDP port at once.
_given: set[int] = set()
# Test processes that run at once (pytest-xdist: gw0, gw1 …) have ports of their own.
_SHARES, _SHARE = 8, 1000
_share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_first = 11000 + _share * _SHARE
_count = _SHARE if "PYTEST_XDIST_WORKER" in os.environ else _SHARES * _SHARE
_lock = threading.Lock()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port nobody listens on now, below the range the kernel hands out itself.

    A port the kernel picked could be taken by any outgoing connection before the
    server binds it; these are taken by those who ask for them only, and given once by a process.
    """
    for _ in range(200):
        port = _first + secrets.randbelow(_count)
        with _lock:
            if port in _given:
                continue
            _given.add(port)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = "no free port on 127.0.0.1"
    raise OSError(message)
