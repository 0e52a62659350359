"""Free ports on 127.0.0.1."""

from __future__ import annotations

import secrets
import socket
import threading

# A phone or a PBX binds its port some time after it was found free, and two may bind a UDP port at once.
_given: set[int] = set()
_lock = threading.Lock()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port nobody listens on now, below the range the kernel hands out itself.

    A port the kernel picked could be taken by any outgoing connection before the
    server binds it; these are taken by those who ask for them only, and given once by a process.
    """
    for _ in range(200):
        port = 11000 + secrets.randbelow(8000)
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
