"""`callsteward` as a process of its own, without the second that a new interpreter takes to import it.

A server imports all of callsteward once and forks for each command: what a test hands over (arguments,
folder, environment, standard streams) is the child's own, and so are its exit code and the interpreter's end.
What a test must not share with others' imports (another sys.path, a process that is sent signals or runs as
another user) it starts as a process itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

_LONGEST_REQUEST = 200_000


def run(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """Runs `callsteward` with these arguments; `environment` is all that it has, ours where it is None."""
    command = [str(one) for one in arguments]
    with contextlib.ExitStack() as opened:
        given, out, err = (opened.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        code = _server().run(command, cwd or Path.cwd(), environment, (given, out, err), timeout_s)
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read())
    return subprocess.CompletedProcess(["callsteward", *command], code, *said)


def run_for_text(
    *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `run`, with what is said as text."""
    done = run(*arguments, cwd=cwd, environment=environment)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@cache
def _server() -> _Server:
    return _Server()


class _Server:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Ends with us: its socket does.
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._socket = ours

    def run(
        self,
        command: list[str],
        cwd: Path,
        environment: Mapping[str, str] | None,
        streams: tuple[IO[bytes], ...],
        timeout_s: float,
    ) -> int:
        wanted = {
            "command": command,
            "cwd": str(cwd),
            "environment": dict(os.environ if environment is None else environment),
            "umask": _umask(),
        }
        asked = json.dumps(wanted).encode()
        socket.send_fds(self._socket, [asked], [stream.fileno() for stream in streams])
        process = int(self._socket.recv(100))
        until = time.monotonic() + timeout_s
        if not select.select([self._socket], [], [], max(0, until - time.monotonic()))[0]:
            os.kill(process, signal.SIGKILL)
            self._socket.recv(100)
            raise subprocess.TimeoutExpired(command, timeout_s)
        return int(self._socket.recv(100))


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _serve(asked: socket.socket) -> None:
    """Returns in each child, which is a command then; ends the server with its socket."""
    import callsteward

    for module in pkgutil.walk_packages(callsteward.__path__, "callsteward."):
        if not {"migrations", "__main__"} & set(module.name.split(".")):
            importlib.import_module(module.name)
    gc.freeze()
    while True:
        request, streams, _, _ = socket.recv_fds(asked, _LONGEST_REQUEST, 3)
        if not request:
            sys.exit()
        process = os.fork()
        if not process:
            asked.close()
            _become(json.loads(request), streams)
            return
        for stream in streams:
            os.close(stream)
        asked.send(str(process).encode())
        asked.send(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])).encode())


def _become(wanted: dict[str, object], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(wanted["environment"])  # type: ignore[call-overload]
    time.tzset()
    os.chdir(str(wanted["cwd"]))
    os.umask(int(str(wanted["umask"])))
    sys.argv = ["callsteward", *wanted["command"]]  # type: ignore[misc]


def _main() -> NoReturn:
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _serve(asked)
    from callsteward.cli import main

    main()


if __name__ == "__main__":
    _main()
