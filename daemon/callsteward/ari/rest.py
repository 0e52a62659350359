"""Asterisk's REST interface: the requests that callsteward makes, typed.

One `Rest`, two ways to carry its requests: HTTP, or the websocket that Asterisk itself opened
(`RESTRequest`/`RESTResponse`, Asterisk 20.14/22.4). The password travels in a header, never in a URL.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from callsteward.ari.events import Bridge, Channel, DeviceState, epoch_ms
from callsteward.config import Asterisk as Settings
from callsteward.exceptions import NOT_JSON, AriError, AriUnauthorizedError, ConfigError
from callsteward.network.causes import cause

T = TypeVar("T")
REQUEST_TIMEOUT_S = 5.0
# With the path and the other words around it well below 4096.
_LONGEST_LIST = 3000
# A type that no event has: an empty list of allowed types would allow all.
_NO_EVENT = "CallstewardNothing"
_NO_RECORDING = ": Recording not found"


class AsteriskInfo(msgspec.Struct, frozen=True):
    """The version of this Asterisk, and when it started (`started_at` in Asterisk's timestamp format)."""

    version: str
    entity_id: str
    started_at: str


class Application(msgspec.Struct, frozen=True):
    """An ARI application and its subscriptions."""

    name: str
    channel_ids: tuple[str, ...] = ()
    bridge_ids: tuple[str, ...] = ()
    endpoint_ids: tuple[str, ...] = ()
    device_names: tuple[str, ...] = ()
    events_disallowed: tuple[dict[str, object], ...] = ()

    @property
    def hears_all_channels(self) -> bool:
        return "__AST_CHANNEL_ALL_TOPIC" in self.channel_ids

    @property
    def hears_all_bridges(self) -> bool:
        return "__AST_BRIDGE_ALL_TOPIC" in self.bridge_ids


class Module(msgspec.Struct, frozen=True):
    """A loaded module, `status` Running or not."""

    name: str
    status: str = ""


class _System(msgspec.Struct):
    version: str = ""
    entity_id: str = ""


class _Status(msgspec.Struct):
    startup_time: str = ""


class _Info(msgspec.Struct):
    system: _System = msgspec.field(default_factory=_System)
    status: _Status = msgspec.field(default_factory=_Status)


class _Variable(msgspec.Struct):
    value: str = ""


class _Message(msgspec.Struct):
    message: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: int
    body: bytes
    asterisk_ms: int | None = None
    """Asterisk's clock in the answer, ms since 1970."""


class Transport(Protocol):
    """Carries one request. Raises AriError if no answer came."""

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer: ...


class Rest:
    """The requests that callsteward makes to Asterisk.

    Every method raises AriError, or AriUnauthorizedError.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.ahead_ms: int | None = None
        """How far Asterisk's clock is ahead of ours, after a GET; to the second over HTTP."""

    async def info(self) -> AsteriskInfo:
        raw = await self.get("asterisk/info", _Info)
        return AsteriskInfo(raw.system.version, raw.system.entity_id, raw.status.startup_time)

    async def channels(self) -> tuple[Channel, ...]:
        return await self.get("channels", tuple[Channel, ...])

    async def bridges(self) -> tuple[Bridge, ...]:
        return await self.get("bridges", tuple[Bridge, ...])

    async def variable(self, name: str) -> str:
        """A plain global variable of the dialplan, empty if it does not exist."""
        return (await self.get("asterisk/variable", _Variable, {"variable": name})).value

    async def modules(self) -> tuple[Module, ...]:
        return await self.get("asterisk/modules", tuple[Module, ...])

    async def application(self, name: str) -> Application | None:
        """The application as Asterisk has it, None if it is not registered."""
        answer = await self._transport.request("GET", f"applications/{name}")
        if answer.status == 404:
            return None
        return _decoded(self._checked("GET", f"applications/{name}", answer), Application)

    async def set_event_filter(self, app: str, disallowed: Sequence[str]) -> bool:
        """Have all event types sent except these. False if this Asterisk has no filter (404)."""
        # Each list that is not named stays as it is: an earlier process may have left it muted.
        return await self._filter(app, allowed=(), disallowed=disallowed)

    async def mute(self, app: str) -> None:
        """Have no events sent, and none kept, until `set_event_filter`."""
        if not await self._filter(app, allowed=(_NO_EVENT,), disallowed=()):
            message = "this Asterisk has no event filter"
            raise AriError(message)

    async def _filter(self, app: str, *, allowed: Sequence[str], disallowed: Sequence[str]) -> bool:
        path = f"applications/{app}/eventFilter"
        body = {
            "allowed": [{"type": kind} for kind in allowed],
            "disallowed": [{"type": kind} for kind in disallowed],
        }
        answer = await self._transport.request("PUT", path, body=body)
        if answer.status == 404:
            return False
        self._checked("PUT", path, answer)
        return True

    async def subscribe(self, app: str, sources: Sequence[str]) -> Application:
        """Subscribe the application; `channel:` and `bridge:` without a name mean all of them.

        The names stand in the address, which has a limit: many are subscribed in several requests.
        """
        path = f"applications/{app}/subscription"
        found = Application(app)
        for together in _short(sources):
            answer = await self._transport.request("POST", path, query={"eventSource": ",".join(together)})
            found = _decoded(self._checked("POST", path, answer), Application)
        return found

    async def channel(self, channel_id: str) -> Channel | None:
        """A channel by its id, None if there is none (any more)."""
        path = f"channels/{quote(channel_id, safe='')}"
        answer = await self._transport.request("GET", path)
        if answer.status == 404:
            return None
        return _decoded(self._checked("GET", path, answer), Channel)

    async def originate(
        self, query: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> Channel:
        """Ring a phone (`endpoint`) and send whoever answers to `context`, `extension`.

        Success does not mean that it rings: the events say so. An unknown or offline phone is an AriError
        (500); so is an id in use (409), and after one of those a wrong 409 may follow: `channel` says which
        it is.
        """
        body = None if variables is None else {"variables": dict(variables)}
        answer = await self._transport.request("POST", "channels", query, body)
        return _decoded(self._checked("POST", "channels", answer), Channel)

    async def set_variable(self, name: str, value: str | None) -> None:
        """Set a global variable, or remove it (None). It goes in the body: a URL may be logged."""
        body = {"variable": name} if value is None else {"variable": name, "value": value}
        answer = await self._transport.request("POST", "asterisk/variable", None, body)
        self._checked("POST", "asterisk/variable", answer)

    async def hang_up(self, channel_id: str) -> bool:
        """End a channel; returns whether it existed."""
        path = f"channels/{quote(channel_id, safe='')}"
        answer = await self._transport.request("DELETE", path)
        if answer.status == 404:
            return False
        self._checked("DELETE", path, answer)
        return True

    async def delete_recording(self, name: str) -> bool:
        """Delete a stored recording; returns whether it existed.

        An Asterisk that has not loaded ARI's recordings (yet) knows no recording at all: that is an AriError.
        """
        path = f"recordings/stored/{quote(name, safe='')}"
        answer = await self._transport.request("DELETE", path)
        if answer.status == 404 and _reason(answer.body) == _NO_RECORDING:
            return False
        self._checked("DELETE", path, answer)
        return True

    async def device_state(self, device: str) -> str:
        """The state of a device such as PJSIP/101, NOT_INUSE, UNAVAILABLE and so on (ast_devstate_str)."""
        return (await self.get(f"deviceStates/{quote(device, safe='')}", DeviceState)).state

    async def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> bool:
        """Send a request whose answer does not matter; False if its object does not exist (404)."""
        answer = await self._transport.request(method, path, query, body)
        if answer.status == 404:
            return False
        self._checked(method, path, answer)
        return True

    async def get(self, path: str, shape: type[T], query: Mapping[str, str] | None = None) -> T:
        """Any GET, decoded to a shape."""
        answer = await self._transport.request("GET", path, query)
        if answer.asterisk_ms is not None:
            self.ahead_ms = answer.asterisk_ms - time.time_ns() // 1_000_000
        return _decoded(self._checked("GET", path, answer), shape)

    @staticmethod
    def _checked(method: str, path: str, answer: Answer) -> bytes:
        if answer.status < 400:
            return answer.body
        if answer.status in {401, 403}:
            raise unauthorized(answer.status)
        why = _reason(answer.body)
        message = f"Asterisk answered {answer.status} to {method} {path}{why}"
        if answer.status == 404:
            message += ": is res_ari loaded, ari.conf enabled = yes, is asterisk.url right?"
        raise AriError(message)


def unauthorized(status: int) -> AriUnauthorizedError:
    """The error for a refused login."""
    if status == 403:
        message = "Asterisk forbids it: the user in ari.conf needs read_only = no"
    else:
        message = (
            "Asterisk refused the ARI user or password:"
            " compare asterisk.username and asterisk.password with ari.conf, then `module reload res_ari.so`"
        )
    return AriUnauthorizedError(message)


def _short(names: Sequence[str]) -> Iterator[list[str]]:
    """The names in groups that fit into an address: Asterisk reads 4096 bytes of a request's first line."""
    together: list[str] = []
    length = 0
    for name in names:
        own = len(quote(name, safe="")) + len("%2C")
        if together and length + own > _LONGEST_LIST:
            yield together
            together, length = [], 0
        together.append(name)
        length += own
    if together:
        yield together


def _reason(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body, type=_Message)
    except NOT_JSON:
        return ""
    text = told.message or told.error
    return f": {text}" if text else ""


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except NOT_JSON as error:
        message = (
            f"an answer that callsteward does not understand ({error}): does asterisk.url"
            " name Asterisk's own HTTP server (http.conf)?"
        )
        raise AriError(message) from error


def authorization(settings: Settings) -> dict[str, str]:
    """The header with the login."""
    token = base64.b64encode(f"{settings.username}:{settings.secret}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def open_session(settings: Settings) -> aiohttp.ClientSession:
    """A session that trusts `ca_file`. Close it, or use it as a context manager."""
    context: ssl.SSLContext | bool = True
    if settings.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(settings.ca_file))
        except (OSError, ssl.SSLError) as error:
            why = "there is no certificate (PEM) in it" if isinstance(error, ssl.SSLError) else error.strerror
            message = f"asterisk.ca_file: cannot use {settings.ca_file}: {why}"
            raise ConfigError(message) from error
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


class HttpTransport:
    """Carries requests over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._settings = settings

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer:
        url = f"{self._settings.url}/ari/{path}"
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                json=body,
                headers=authorization(self._settings),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            ) as response:
                return Answer(response.status, await response.read(), _date_ms(response.headers.get("Date")))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self._settings.url, error) from error


def _date_ms(header: str | None) -> int | None:
    """The time in an HTTP date. It is cut to the second, so half a second is added."""
    try:
        return int(parsedate_to_datetime(header or "").timestamp() * 1000) + 500
    except ValueError:
        return None


def unreachable(url: str, error: BaseException) -> AriError:
    """The error for an Asterisk that does not answer."""
    what, mend = cause(error, "asterisk")
    hint = mend
    if not mend or what.startswith(("nothing listens", "it closed")):
        hint = "is it running, is http.conf enabled = yes, is asterisk.url right?"
    message = f"Asterisk does not answer at {url} ({what}): {hint}"
    return AriError(message)


class _RestResponse(msgspec.Struct):
    transaction_id: str = ""
    status_code: int = 0
    message_body: str = ""
    timestamp: str = ""


class Sender(Protocol):
    """The part of a websocket that a request needs."""

    async def send_str(self, data: str) -> None: ...


class SocketTransport:
    """Carries requests over the websocket that Asterisk opened. `answer` must get each RESTResponse."""

    def __init__(self, socket: Sender) -> None:
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        # An answer may come to another process than the one that asked.
        self._name = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer:
        number = f"{self._name}-{next(self._numbers)}"
        request: dict[str, Any] = {
            "type": "RESTRequest",
            "transaction_id": number,
            "request_id": number,
            "method": method,
            "uri": path,
        }
        if query:
            request["query_strings"] = [{"name": name, "value": value} for name, value in query.items()]
        if body is not None:
            request["content_type"] = "application/json"
            request["message_body"] = msgspec.json.encode(body).decode()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._socket.send_str(msgspec.json.encode(request).decode())
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await future
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            message = f"no answer over the websocket to {method} {path}; Asterisk 20.14, 22.4 or later?"
            raise AriError(message) from error
        finally:
            self._waiting.pop(number, None)

    def answer(self, raw: bytes | str) -> None:
        """A RESTResponse came."""
        try:
            response = msgspec.json.decode(raw, type=_RestResponse)
        except NOT_JSON:
            return
        future = self._waiting.get(response.transaction_id)
        if future is not None and not future.done():
            body = response.message_body.encode()
            future.set_result(Answer(response.status_code, body, epoch_ms(response.timestamp)))

    def close(self) -> None:
        """The socket is gone: every request without an answer fails."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the websocket closed"))
