"""Requests that change something in Asterisk, made only while this daemon may act for its site."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from callsteward.ari.rest import Answer, Transport
from callsteward.exceptions import AriError


class ActingTransport:
    """Carries requests that only ask at any time, and all others while `may_act`."""

    def __init__(self, transport: Transport, may_act: Callable[[], bool]) -> None:
        self._transport = transport
        self._may_act = may_act

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer:
        if method != "GET" and not self._may_act():
            message = "not asked of Asterisk: this daemon may not act for its site now, since another one may"
            raise AriError(message)
        return await self._transport.request(method, path, query, body)
