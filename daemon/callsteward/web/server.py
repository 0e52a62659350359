"""The HTTP door to the metrics, and to commands where they are switched on. Only a token opens these.

    POST /api/v1/calls/CALL_ID/tags       {"id": …, "tag": "ticket", "value": "INC-1042"}
    POST /api/v1/calls/CALL_ID/callback   {"id": …, "action": "request"}
    POST /api/v1/calls/CALL_ID/complaint  {"id": …, "action": "acknowledge"}
    POST /api/v1/operators/OPERATOR/status  {"id": …, "action": "busy", "reason": "lunch"}
    POST /api/v1/dnc                      {"id": …, "action": "add", "number": "+7 903 123-45-67"}
    GET  /metrics
    GET  /healthz, /readyz                (no token)

`id` may be left out: then a repeat is a new command. No number ever stands in an address.
"""

from __future__ import annotations

import asyncio
import hmac
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.typedefs import Handler

from callsteward.commands.core import Commands
from callsteward.commands.reply import Reply
from callsteward.commands.request import LARGEST
from callsteward.config import SHORTEST_TOKEN
from callsteward.exceptions import NOT_JSON, ConfigError
from callsteward.metrics.scrape import Metrics
from callsteward.network.gate import CannotListenError, Guest, gate
from callsteward.network.openings import Opened
from callsteward.network.tally import RefusalTally
from callsteward.record.tag import Source
from callsteward.web import probes
from callsteward.web.connection import BODY_S, BOUNDS, HttpConnection

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

_COMMANDS = {
    "/api/v1/calls/{call_id}/tags": "tag",
    "/api/v1/calls/{call_id}/callback": "callback",
    "/api/v1/calls/{call_id}/complaint": "complaint",
    "/api/v1/dnc": "dnc",
    "/api/v1/operators/{operator}/status": "status",
}
_MALFORMED = frozenset({"malformed", "not_a_number", "too_large", "unknown_command"})
_NOT_FOUND = frozenset({"call_not_known", "no_callback", "no_complaint", "unknown_call", "unknown_operator"})


class HttpDoor:
    """Serves until cancelled. Raises ConfigError for a token that is too short."""

    def __init__(
        self,
        config: Config,
        commands: Commands | None,
        metrics: Metrics | None = None,
        *,
        ready: Callable[[], probes.Readiness],
    ) -> None:
        """Without `commands` it changes nothing; without `metrics` it shows none."""
        self._settings = config.web
        self._commands = commands
        self._metrics = metrics
        self._ready = ready
        self._token = self._settings.secret.encode()
        if len(self._token) < SHORTEST_TOKEN:
            message = (
                f"web.token_file: fewer than {SHORTEST_TOKEN} characters: make one with openssl rand -hex 24"
            )
            raise ConfigError(message)
        self.port = self._settings.port
        self._tally = RefusalTally(log)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST, middlewares=[self._timed, self._let_in])
        commands = self._commands
        for address, name in _COMMANDS.items():
            handler = _commands_off if commands is None else _taking(commands, name)
            application.router.add_post(address, handler)
        if self._metrics is not None:
            application.router.add_get("/metrics", self._scraped)
        probes.add_to(application, self._ready)
        return application

    async def run(self, opened: Opened = lambda: None) -> None:
        """Calls `opened` once it listens. Raises CannotListenError."""
        host, port = self._settings.host, self._settings.port
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        server = runner.server
        assert server is not None

        async def serve(guest: Guest) -> None:
            await HttpConnection(server, guest, self._tally).run()

        try:
            async with gate("web", host, port, serve, BOUNDS):
                opened()
                log.info(
                    "listening",
                    action="web_open",
                    host=host,
                    port=port,
                    metrics=self._metrics is not None,
                    commands=self._commands is not None,
                )
                await asyncio.Event().wait()
        except CannotListenError as error:
            message = (
                f"[web]: cannot listen on {host} port {port} ({error});"
                " give [web] another port, or stop what listens there"
            )
            raise CannotListenError(message) from error
        finally:
            await runner.cleanup()

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path not in probes.ADDRESSES and not self._has_token(request):
            answer = {"error": "a token is needed: Authorization: Bearer …"}
            return web.json_response(answer, status=401, headers={"WWW-Authenticate": "Bearer"})
        response: web.StreamResponse = await handler(request)
        return response

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        # Compared in constant time, so that the time does not tell how much of it was right.
        same = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token)
        return scheme.lower() == "bearer" and same

    @web.middleware
    async def _timed(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Tell the connection while a request is being worked on."""
        connection = request.protocol
        if not isinstance(connection, HttpConnection):
            response: web.StreamResponse = await handler(request)
            return response
        connection.begun()
        try:
            answer: web.StreamResponse = await handler(request)
            return answer
        finally:
            connection.answered()

    async def _scraped(self, request: web.Request) -> web.Response:
        assert self._metrics is not None
        body, content_type = self._metrics.scrape(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _taking(commands: Commands, name: str) -> Handler:
    """A handler that takes a command of that name over HTTP."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"error": f"a command has at most {LARGEST} bytes"}, status=413)
        except (web.RequestPayloadError, ContentEncodingError):
            # The Content-Encoding or the chunks are wrong: nothing that follows can be read either.
            return _unreadable(
                "the body cannot be read: it is not in the Content-Encoding or chunks its headers name",
                400,
            )
        except TimeoutError:
            return _unreadable(f"the body did not come within {BODY_S:g} s", 408)
        reply = await commands.handle(name, _completed(body, request), Source.HTTP, peer=request.remote or "")
        return _response(reply)

    return handle


async def _commands_off(_request: web.Request) -> web.StreamResponse:
    """An address that other configurations have: its users are told what to do."""
    return _unreadable("commands over HTTP are switched off: set http = true under [commands]", 403)


def _unreadable(why: str, status: int) -> web.Response:
    response = web.json_response({"error": why}, status=status)
    response.force_close()
    return response


def _completed(body: bytes, request: web.Request) -> bytes:
    """The command completed from the address.

    A body that is no JSON object goes on as it is, to be refused.
    """
    try:
        fields = msgspec.json.decode(body)
    except NOT_JSON:
        return body
    if not isinstance(fields, dict):
        return body
    fields.setdefault("id", uuid.uuid4().hex)
    fields |= request.match_info
    return msgspec.json.encode(fields)


def _response(reply: Reply) -> web.Response:
    status = 200
    if reply.status == "failed":
        status = 503
    elif reply.status == "pending":
        status = 202
    elif reply.status == "refused":
        status = 409
        if reply.reason in _MALFORMED:
            status = 400
        elif reply.reason in _NOT_FOUND:
            status = 404
        elif reply.reason == "rate_limited":
            status = 429
    return web.Response(body=msgspec.json.encode(reply), status=status, content_type="application/json")
