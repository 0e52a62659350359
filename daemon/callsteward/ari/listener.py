"""Listening for Asterisk's connections, with access to their sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callsteward.network.gate import Bounds, CannotListenError, Serve, gate

# There is one Asterisk, with one connection and perhaps one that it has forgotten.
BOUNDS = Bounds(most=64, most_of_one=32)


@asynccontextmanager
async def listening(host: str, port: int, serve: Serve) -> AsyncIterator[None]:
    """Serve each connection until the context ends, which cancels it.

    Raises CannotListenError if the port is not available.
    """
    try:
        async with gate("ari", host, port, serve, BOUNDS):
            yield
    except CannotListenError as error:
        message = (
            f"[asterisk]: cannot listen on {host} port {port} for Asterisk ({error});"
            " stop what listens there, such as another callsteward, or give asterisk.listen_port"
            " another port, and the uri in Asterisk's websocket_client.conf the same"
        )
        raise CannotListenError(message) from error
