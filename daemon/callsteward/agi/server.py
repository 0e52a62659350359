"""The FastAGI server: one conversation per connection, answered at once or failed cleanly.

A dialplan waits in AGI() for as long as the server is silent, so every step here has its limit. A failure is
reported by the line FAILURE, which makes Asterisk set AGISTATUS=FAILURE and go on with the dialplan; a
connection that merely closes counts as SUCCESS there (measured on Asterisk 22).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping

import structlog

from callsteward.agi.request import MAX_BYTES, AgiError, AgiRequest, parse, set_variable
from callsteward.network.causes import told
from callsteward.network.gate import Bounds, CannotListenError, Guest, gate
from callsteward.network.openings import Opened
from callsteward.network.tally import RefusalTally

log = structlog.get_logger(__name__)

ANSWERED = "CALLSTEWARD_ANSWER"
"""Set to `ok` last: once it is set, so are all other variables."""

# More questions than a PBX asks at once.
MAX_CONNECTIONS = 256
# Including those that have not asked yet, and those that are being refused.
_WAITING = 64
REQUEST_S = 2.0
ANSWER_S = 1.0
REPLY_S = 2.0

_FAILURE = b"FAILURE\n"
_REPLY = re.compile(rb"([0-9]{3})[ -]")

AnswerQuestion = Callable[[AgiRequest], Awaitable[Mapping[str, str]]]
"""From a question to the channel variables that answer it. Raises AgiError if there is no answer."""


class HungUpError(AgiError):
    """The channel hung up before its question was answered: nobody waits any more."""


class Server:
    """Listens on `host`:`port` and answers by `scripts` (name → Answer)."""

    def __init__(
        self,
        host: str,
        port: int,
        scripts: Mapping[str, AnswerQuestion],
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
        self._busy = 0
        self._tally = RefusalTally(log)
        self.answered = 0
        self.failed = 0

    async def run(self, opened: Opened = lambda: None) -> None:
        """Serve until cancelled; calls `opened` once it listens. Raises CannotListenError."""
        most = self._max_connections + _WAITING
        bounds = Bounds(most=most, most_of_one=most - most // 5, refusal=_FAILURE)
        try:
            async with gate("agi", self._host, self._port, self._converse, bounds):
                opened()
                log.info("listening for FastAGI", action="agi_listening", host=self._host, port=self._port)
                await asyncio.Event().wait()
        except CannotListenError as error:
            message = (
                f"[agi]: cannot listen for FastAGI on {self._host}:{self._port} ({error});"
                " give [agi] another port, or stop what listens there"
            )
            raise CannotListenError(message) from error

    async def _converse(self, guest: Guest) -> None:
        reader, writer = await asyncio.open_connection(sock=guest.connection, limit=MAX_BYTES)
        script = ""
        try:
            request = await self._request(reader)
            script = request.script
            if self._busy >= self._max_connections:
                message = f"more than {self._max_connections} questions at once"
                raise AgiError(message)  # noqa: TRY301
            guest.busy = True
            self._busy += 1
            try:
                await self._tell(reader, writer, await self._answer(request))
            finally:
                self._busy -= 1
            self.answered += 1
        except HungUpError:
            log.debug("hung up before its answer", action="agi_hung_up", script=script)
        except (AgiError, OSError) as error:
            self._fail(writer, script, told(error, "agi"), guest.peer)
        except Exception as error:
            # A fault of ours is no reason to keep a caller waiting.
            log.exception("a question failed", action="agi_error", script=script)
            self._fail(writer, script, type(error).__name__, guest.peer)
        finally:
            # After its answer, or without one, it keeps nobody else out.
            guest.busy = False
            await self._part(reader, writer)

    async def _request(self, reader: asyncio.StreamReader) -> AgiRequest:
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

    async def _answer(self, request: AgiRequest) -> Mapping[str, str]:
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
        """Close so that the last bytes arrive.

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

    def _fail(self, writer: asyncio.StreamWriter, script: str, reason: str, peer: str) -> None:
        self.failed += 1
        self._tally.note("question not answered", "agi_failed", kind=reason, sender=peer, script=script)
        if not writer.is_closing():
            writer.write(_FAILURE)


async def _done(reader: asyncio.StreamReader, name: str) -> None:
    """Read the reply to one command."""
    while True:
        try:
            line = await reader.readline()
        except ValueError as error:
            message = "a reply does not end"
            raise AgiError(message) from error
        if line in {b"HANGUP\n", b""}:
            raise HungUpError
        code = _REPLY.match(line)
        if code is None:
            message = "a reply is not AGI's"
            raise AgiError(message)
        if code[1] == b"200":
            return
        if code[1] == b"511":
            raise HungUpError
        message = f"Asterisk refused to set {name} ({code[1].decode()})"
        raise AgiError(message)
