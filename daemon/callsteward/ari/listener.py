"""Listening for Asterisk's connections, whose sockets are to be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callsteward.exceptions import AriError
from callsteward.gate import Bounds, CannotListenError, Serve, gate

# Of Asterisk there is one, and one that it has forgotten.
BOUNDS = Bounds(most=64, most_of_one=32)


@asynccontextmanager
async def listening(host: str, port: int, serve: Serve) -> AsyncIterator[None]:
    """Serve what connects until the context ends, which cancels it.

    Raises AriError if the port cannot be had.
    """
    try:
        async with gate("ari", host, port, serve, BOUNDS):
            yield
    except CannotListenError as error:
        message = (
            f"cannot listen on {host}:{port} for Asterisk ({error}):"
            " is asterisk.listen_port taken, by another daemon?"
        )
        raise AriError(message) from error
