"""Programs the lab needs on the machine itself: Debian packages, installed once with apt-get."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.errors import LabUnavailable

Progress = Callable[[str], None]


def cache_folder() -> Path:
    """The lab's folder: ``CALLSTEWARD_CACHE``, or ``~/.cache/callsteward``."""
    return Path(os.environ.get("CALLSTEWARD_CACHE") or Path.home() / ".cache" / "callsteward")


def say(line: str) -> None:
    """Progress goes to stderr: stdout belongs to whoever asked."""
    print(line, file=sys.stderr, flush=True)


def ensure_program(name: str, progress: Progress = say) -> None:
    """Have a program whose package bears its name. Raises LabUnavailable where it cannot be had."""
    if shutil.which(name):
        return
    if not shutil.which("apt-get"):
        message = f"{name} is missing and this is no Debian: install {name}"
        raise LabUnavailable(message)
    if os.geteuid() != 0:
        message = f"{name} is missing: apt-get install {name}"
        raise LabUnavailable(message)
    cache_folder().mkdir(parents=True, exist_ok=True)
    # apt-get suffers no second one beside it.
    with only_one(cache_folder() / "apt-get", progress):
        if not shutil.which(name):
            _install(name, progress)


def _install(name: str, progress: Progress) -> None:
    log = cache_folder() / "apt-get.log"
    for arguments, what in (
        (["update"], "apt-get update"),
        (["install", "-y", "--no-install-recommends", name], f"installing {name}"),
    ):
        if run_logged(["apt-get", *arguments], log, what, progress) != 0:
            message = f"{what} failed, see {log}"
            raise LabUnavailable(message)


def run_logged(
    command: list[str], log: Path, what: str, progress: Progress, folder: Path | None = None
) -> int:
    """Run a long step, in a folder of its own if one is given, and say every 10 s that it still goes on."""
    started = time.monotonic()
    progress(f"{what} …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
        )
        while True:
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                progress(f"{what} … {time.monotonic() - started:.0f} s")
            except BaseException:
                process.terminate()
                process.wait()
                raise


@contextmanager
def only_one(subject: Path, progress: Progress) -> Iterator[None]:
    """Two test sessions may start at once: the second waits for the first one's work."""
    with subject.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{subject.name}: somebody else is at it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
