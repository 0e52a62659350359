"""Checks that this machine, if Asterisk runs on it, resolves its own name quickly.

Asterisk looks its host's name up for every SIP leg. If only a name server that does not answer could know it,
each look-up blocks a SIP thread for 5 s, and at about ten calls a second the PBX stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from callsteward.config import Config
from callsteward.terminal.result import Result, warning

SLOW_S = 1.0
_WAIT_S = 2.0


def _look_up(name: str) -> None:
    # An answer that nobody knows the name comes just as fast, and does no harm.
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, None)


async def host_name(
    config: Config, look_up: Callable[[str], None] = _look_up, *, wait_s: float = _WAIT_S
) -> Result | None:
    """A warning if the look-up takes `SLOW_S`; None if all is well, or Asterisk is elsewhere."""
    if not _here(config.asterisk.url):
        return None
    name = socket.gethostname()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def ended() -> None:
        if not done.done():
            done.set_result(None)

    def work() -> None:
        look_up(name)
        # The check may be over by then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended)

    began = time.monotonic()
    # Not the loop's own executor: the end of the check would wait for it.
    threading.Thread(target=work, name="host name", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await done
    took_s = time.monotonic() - began
    if took_s < min(SLOW_S, wait_s):
        return None
    return warning(
        "host name",
        f"this machine takes {took_s:.0f} s and more to look up its own name, {name}:"
        " Asterisk does so for every SIP leg, and calls wait for it",
        f"put it into /etc/hosts: echo '127.0.1.1 {name}' >> /etc/hosts",
    )


def _here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
