"""Listening for Asterisk's connections, whose sockets are to be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callsteward.network.gate import Bounds, CannotListenError, Serve, gate

# Of Asterisk there is one, and one that it has forgotten.
BOUNDS = Bounds(most=64, most_of_one=32)


@asynccontextmanager
async def listening(host: str, port: int, serve: Serve) -> AsyncIterator[None]:
    """Serve what connects until the context ends, which cancels it.

    Raises CannotListenError if the port cannot be had.
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
