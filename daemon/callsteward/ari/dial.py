"""Opening a websocket to Asterisk for an ARI application."""

from __future__ import annotations

import asyncio

import aiohttp

from callsteward.ari.link import HEARTBEAT_S, MAX_MESSAGE_BYTES
from callsteward.ari.rest import authorization, unauthorized, unreachable
from callsteward.config import Asterisk as Settings
from callsteward.exceptions import AriError

HANDSHAKE_TIMEOUT_S = 5.0


async def dial(
    session: aiohttp.ClientSession, settings: Settings, app: str
) -> aiohttp.ClientWebSocketResponse:
    """A websocket with the events of `app`, which is registered by this.

    Raises AriError, or AriUnauthorizedError.
    """
    url = f"{settings.url}/ari/events"
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            return await session.ws_connect(
                url,
                params={"app": app},
                headers=authorization(settings),
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                max_msg_size=MAX_MESSAGE_BYTES,
            )
    except aiohttp.WSServerHandshakeError as error:
        if error.status in {401, 403}:
            raise unauthorized(error.status) from error
        message = (
            f"Asterisk answered {error.status} at {url}:"
            " are res_ari and res_ari_events loaded, ari.conf enabled = yes?"
        )
        raise AriError(message) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(settings.url, error) from error
