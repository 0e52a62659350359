"""Other ARI clients for Python, on the same frames in the same run: with empty handlers, so for nothing.

Each is installed into an environment of its own, outside of the checkout and beside nothing of ours, and runs
there (`peer`). One that cannot be installed or imported is named, and the others are measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.bench.row import Row
from tests.lab.packages import cache_folder

_PROGRAM = Path(__file__).with_name("peer.py")
_INSTALL_S = 300


@dataclass(frozen=True)
class Peer:
    """A client, by its name in the package index. `goal`: how many times its rate ours is to be."""

    name: str
    version: str
    goal: float


PEERS = (Peer("aioari", "0.10.2", 2.0), Peer("ari-client", "0.9.0", 12.0))


class NoPeerError(Exception):
    """A client is not to be had here; the message says why."""


class Running:
    """A client's process. `take` lets it take all frames once."""

    def __init__(self, peer: Peer, asked: IO[str], told: IO[str]) -> None:
        self.peer = peer
        self._asked = asked
        self._told = told

    def take(self, url: str, frames: int) -> float:
        """Seconds of CPU time. Raises NoPeerError where it did not take them all."""
        self._asked.write(f"{url} {frames}\n")
        self._asked.flush()
        answer = self._told.readline().split()
        if len(answer) != 2:
            message = "it ended in the middle of the measure"
            raise NoPeerError(message)
        handled, seconds = int(answer[0]), float(answer[1])
        if handled != frames:
            message = f"it took {handled:,} of {frames:,} events"
            raise NoPeerError(message)
        return seconds


@contextmanager
def all_there_are(core: int | None) -> Iterator[tuple[list[Running], list[str]]]:
    """Those that run here, each on this core, and in words why others do not."""
    with ExitStack() as stack:
        running, said = [], []
        for peer in PEERS:
            try:
                running.append(stack.enter_context(_running(peer, core)))
            except NoPeerError as error:
                said.append(f"{peer.name} {peer.version} is not measured: {error}")
        yield running, said


def row(peer: Peer, ours: Sequence[float], theirs: Sequence[float], frames: int) -> Row:
    """Seconds of CPU time for the frames, round by round. Medians are shown."""
    ratio = _middle([other / own for own, other in zip(ours, theirs, strict=True)])
    return Row(
        f"the same beside {peer.name} {peer.version}, which makes nothing of them",
        f"{frames / _middle(ours):,.0f}",
        f"{frames / _middle(theirs):,.0f} {peer.name}",
        f"{ratio:.2f}",
        f"at least {peer.goal:.2f}",
        ratio >= peer.goal,
    )


@contextmanager
def _running(peer: Peer, core: int | None) -> Iterator[Running]:
    python = _environment(peer)
    with subprocess.Popen(
        [python, "-I", _PROGRAM, peer.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise NoPeerError(_last_line(process.stderr.read()))
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            yield Running(peer, process.stdin, process.stdout)
        finally:
            process.kill()


def _environment(peer: Peer) -> Path:
    """The interpreter of a client's environment, which is made where it is not there. Raises NoPeerError."""
    release = f"{peer.name}-{peer.version}-py{sys.version_info[0]}{sys.version_info[1]}"
    folder = cache_folder() / "peers" / release
    python, made = folder / "bin" / "python", folder / "made"
    if made.exists():
        return python
    print(f"==> {peer.name} {peer.version}, in {folder}", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", f"{peer.name}=={peer.version}"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.CalledProcessError as error:
            message = f"it cannot be installed on this Python: {_last_line(error.stderr)}"
            raise NoPeerError(message) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"it cannot be installed: {error}"
            raise NoPeerError(message) from error
    made.touch()
    return python


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it says nothing"


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
