"""A wall clock that a test can set: Debian's libfaketime before a process, the machine's own left alone.

Only CLOCK_REALTIME is set; the monotonic clock goes on, as it does where an administrator or NTP sets the
time. The library is unpacked into the lab's cache, nothing is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.lab.errors import LabUnavailable
from tests.lab.packages import cache_folder, only_one, run_logged, say

PACKAGE = "libfaketime"
# Of the two in the package the one for programs with threads.
_NAME = "libfaketimeMT.so.1"


class SetClock:
    """A clock in a folder: processes begun with its `environment` go by it.

    `home`: the folder as they see it. Raises LabUnavailable where the library cannot be had.
    """

    def __init__(self, folder: Path, home: str | None = None) -> None:
        self._file = folder / "clock"
        self._home = str(folder) if home is None else home
        self.ahead_s = 0
        # Also for who cannot see the cache: inside a root.
        shutil.copy(library(), folder / _NAME)
        self._write()

    def step(self, seconds: int) -> float:
        """Set the clock by this much, all at once. Returns the moment, in Unix seconds."""
        self.ahead_s += seconds
        self._write()
        return time.time()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": f"{self._home}/{_NAME}",
            "FAKETIME_TIMESTAMP_FILE": f"{self._home}/clock",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
            # Inside a root there may be no shared memory; and each process is on its own.
            "FAKETIME_DISABLE_SHM": "1",
        }

    def _write(self) -> None:
        new = self._file.with_name("clock.new")
        new.write_text(f"{self.ahead_s:+d}")
        new.replace(self._file)


def library() -> Path:
    """The library's file, fetched once. Raises LabUnavailable where it cannot be."""
    folder = cache_folder() / "faketime"
    file = folder / _NAME
    folder.mkdir(parents=True, exist_ok=True)
    # apt-get suffers no second one beside it.
    with only_one(cache_folder() / "apt-get", say):
        if not file.is_file():
            _fetch(file)
    return file


def _fetch(file: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        message = f"{PACKAGE} is missing and this is no Debian"
        raise LabUnavailable(message)
    log = cache_folder() / "faketime.log"
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        fetch = ["apt-get", "download", PACKAGE]
        if _run(fetch, log, "fetching libfaketime", folder) != 0:
            # Its list may be too old, or not there at all.
            _run(["apt-get", "update"], log, "apt-get update", folder)
            if _run(fetch, log, "fetching libfaketime", folder) != 0:
                message = f"{PACKAGE} cannot be fetched, see {log}"
                raise LabUnavailable(message)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg", "-x", package, folder / "x"], check=True)
        (found,) = (folder / "x").rglob(_NAME)
        found.replace(file)


def _run(command: list[str], log: Path, what: str, folder: Path) -> int:
    return run_logged(command, log, what, say, folder=folder)
