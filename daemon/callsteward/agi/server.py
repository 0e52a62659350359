"""The FastAGI server: one conversation per connection, answered at once or failed cleanly.

A dialplan waits in AGI() for as long as the server is silent, so every step here has its limit. What goes
wrong is told by the line FAILURE, which makes Asterisk set AGISTATUS=FAILURE and go on with the dialplan; a
connection that merely closes counts as SUCCESS there (measured on Asterisk 22).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping

import structlog

from callsteward.agi.request import MAX_BYTES, AgiError, Request, parse, set_variable
from callsteward.exceptions import CallstewardError

log = structlog.get_logger(__name__)

ANSWERED = "CALLSTEWARD_ANSWER"
"""Set to `ok` last: with it in place all other variables are, too."""

# More than a PBX asks at once; a crowd of silent clients must not use up the daemon's descriptors.
MAX_CONNECTIONS = 256
REQUEST_S = 2.0
ANSWER_S = 1.0
REPLY_S = 2.0

_FAILURE = b"FAILURE\n"
_REPLY = re.compile(rb"([0-9]{3})[ -]")

Answer = Callable[[Request], Awaitable[Mapping[str, str]]]
"""From a question to the channel variables that answer it. Raises AgiError where there is no answer."""


class HungUpError(AgiError):
    """The channel hung up while its question was answered: nobody waits any more."""


class Server:
    """Listens on `host`:`port` and answers by `scripts` (name → Answer)."""

    def __init__(
        self,
        host: str,
        port: int,
        scripts: Mapping[str, Answer],
        *,
        request_s: float = REQUEST_S,
        answer_s: float = ANSWER_S,
        reply_s: float = REPLY_S,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._host = host
        self._port = port
        self._scripts = scripts
        self._request_s = request_s
        self._answer_s = answer_s
        self._reply_s = reply_s
        self._max_connections = max_connections
        self._conversations: set[asyncio.Task[None]] = set()
        self.answered = 0
        self.failed = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises CallstewardError where the port cannot be had."""
        try:
            server = await asyncio.start_server(
                self._connected, self._host, self._port, limit=MAX_BYTES, backlog=self._max_connections
            )
        except OSError as error:
            message = (
                f"cannot listen for FastAGI on {self._host}:{self._port}: {error.strerror};"
                " give [agi] another port, or stop what listens there"
            )
            raise CallstewardError(message) from error
        log.info("listening for FastAGI", action="agi_listening", host=self._host, port=self._port)
        try:
            async with server:
                await server.serve_forever()
        finally:
            for conversation in self._conversations:
                conversation.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._converse(reader, writer), name="agi conversation")
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = ""
        try:
            if len(self._conversations) > self._max_connections:
                message = f"more than {self._max_connections} questions at once"
                raise AgiError(message)  # noqa: TRY301
            request = await self._request(reader)
            script = request.script
            await self._tell(reader, writer, await self._answer(request))
            self.answered += 1
        except HungUpError:
            log.info("hung up before its answer", action="agi_hung_up", script=script)
        except (AgiError, OSError) as error:
            self._fail(writer, script, str(error))
        except Exception as error:
            # A fault of ours is no reason to keep a caller waiting.
            log.exception("a question failed", action="agi_error", script=script)
            self._fail(writer, script, type(error).__name__)
        finally:
            await self._part(reader, writer)

    async def _request(self, reader: asyncio.StreamReader) -> Request:
        try:
            async with asyncio.timeout(self._request_s):
                block = await reader.readuntil(b"\n\n")
        except TimeoutError as error:
            message = f"no request within {self._request_s:g} s"
            raise AgiError(message) from error
        except asyncio.IncompleteReadError as error:
            message = "the connection closed in the middle of a request"
            raise AgiError(message) from error
        except asyncio.LimitOverrunError as error:
            message = f"a request of more than {MAX_BYTES} bytes"
            raise AgiError(message) from error
        return parse(block)

    async def _answer(self, request: Request) -> Mapping[str, str]:
        answer = self._scripts.get(request.script)
        if answer is None:
            message = f"no such script; there is {', '.join(sorted(self._scripts))}"
            raise AgiError(message)
        try:
            async with asyncio.timeout(self._answer_s):
                return await answer(request)
        except TimeoutError as error:
            message = f"no answer within {self._answer_s:g} s"
            raise AgiError(message) from error

    async def _tell(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, variables: Mapping[str, str]
    ) -> None:
        # One command at a time: Asterisk reads the next one only after it has answered.
        for name, value in (*variables.items(), (ANSWERED, "ok")):
            writer.write(set_variable(name, value))
            try:
                async with asyncio.timeout(self._reply_s):
                    await writer.drain()
                    await _done(reader, name)
            except TimeoutError as error:
                message = f"Asterisk did not answer SET VARIABLE within {self._reply_s:g} s"
                raise AgiError(message) from error

    async def _part(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close in such a way that what was said last arrives.

        A socket that closes on unread data resets the connection, and Asterisk would take that for SUCCESS.
        """
        try:
            async with asyncio.timeout(self._reply_s):
                writer.write_eof()
                while await reader.read(MAX_BYTES):
                    pass
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _fail(self, writer: asyncio.StreamWriter, script: str, reason: str) -> None:
        self.failed += 1
        log.warning("question not answered", action="agi_failed", script=script, reason=reason)
        if not writer.is_closing():
            writer.write(_FAILURE)


async def _done(reader: asyncio.StreamReader, name: str) -> None:
    """Read the reply to one command."""
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:
            message = "a reply without an end"
            raise AgiError(message) from error
        if line in {b"HANGUP\n", b""}:
            raise HungUpError
        code = _REPLY.match(line)
        if code is None:
            message = "a reply that is none of AGI's"
            raise AgiError(message)
        if code[1] == b"200":
            return
        if code[1] == b"511":
            raise HungUpError
        message = f"Asterisk refused to set {name} ({code[1].decode()})"
        raise AgiError(message)
