"""A wire that can be cut, be slow, or go dead without a word: a TCP relay between the daemon and a server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.lab.ports import free_port


class Wire:
    """Relays 127.0.0.1:`port` to another port until it is cut. Context manager."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to = ("127.0.0.1", to_port)
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._delay_s = 0.0

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def mend(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="wire", daemon=True).start()

    def stall(self) -> None:
        """Half-open: every connection stands, old and new, and not a byte gets through."""
        self._flows.clear()

    def flow(self) -> None:
        """Deliver late all that was held back, as a network does that comes back."""
        self._flows.set()

    def slow(self, delay_s: float) -> None:
        """Bytes in either direction wait this long before they go on."""
        self._delay_s = delay_s

    def cut(self) -> None:
        """Every connection breaks, and no new one is taken."""
        self._flows.set()
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                # Without it the thread that accepts would keep the port open.
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._to, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                if self._listener is not listener:
                    near.close()
                    far.close()
                    return
                self._ends += [near, far]
            both = [
                threading.Thread(target=self._relay, args=ends, name="wire", daemon=True)
                for ends in ((near, far), (far, near))
            ]
            threading.Thread(target=_close_after, args=(both, near, far), name="wire", daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                time.sleep(self._delay_s)
                self._flows.wait()
                target.sendall(chunk)
        # The end of a connection gets through no sooner than its bytes.
        self._flows.wait()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _close_after(relays: list[threading.Thread], near: socket.socket, far: socket.socket) -> None:
    for relay in relays:
        relay.start()
    for relay in relays:
        relay.join()
    near.close()
    far.close()
