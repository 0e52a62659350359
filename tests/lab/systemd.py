"""A systemd of a test's own: the real one, as a user's manager, in namespaces that end with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.errors import LabError, LabUnavailable

_BINARY = Path("/lib/systemd/systemd")
_GROUPS = Path("/sys/fs/cgroup")
_START_S = 10.0
_COMMAND_S = 30.0
_RUN = "/run/user/0"
_TARGETS = ("lab", "basic", "shutdown", "sysinit")
# systemd takes /run for its own, and asks there whether it may be a user's manager; as the first process of
# its namespace it would be the system's.
_BOOT = f"""
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system {_RUN} &&
{_BINARY} --user --unit=lab.target --log-target=console --log-level=notice &
wait
"""


class Systemd:
    """Runs the units it is given, as root and unconfined. Context manager.

    `units`: name and text of each. Raises LabUnavailable where there is no systemd, or no root.
    """

    def __init__(self, units: Mapping[str, str]) -> None:
        if os.geteuid() != 0 or not _BINARY.exists():
            message = "a systemd of its own takes root, and systemd installed"
            raise LabUnavailable(message)
        self._units = dict(units)
        self._folder = tempfile.TemporaryDirectory(prefix="systemd-")
        self._process: subprocess.Popen[bytes] | None = None
        self._group = f"callsteward-lab-{os.getpid()}-{id(self):x}"

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        for target in _TARGETS:
            (folder / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        for name, text in self._units.items():
            (folder / name).write_text(text)
        group = _hierarchy() / self._group
        group.mkdir()
        log = (folder / "log").open("wb")
        # It takes the group it is in for its own.
        join = f"echo $$ > {group}/cgroup.procs"
        unshare = "unshare --mount --pid --fork --kill-child --mount-proc"
        self._process = subprocess.Popen(
            ["sh", "-c", f'{join} && exec {unshare} sh -c "$1"', "sh", _BOOT],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "XDG_RUNTIME_DIR": _RUN, "SYSTEMD_UNIT_PATH": str(folder)},
        )
        log.close()
        deadline = time.monotonic() + _START_S
        while self._ask("is-system-running").stdout.strip() not in {b"running", b"degraded"}:
            if time.monotonic() > deadline or self._process.poll() is not None:
                said = (folder / "log").read_text()[-2000:]
                self._end()
                message = f"systemd does not start:\n{said}"
                raise LabError(message)
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def control(self, *words: str) -> str:
        """The output of `systemctl`. Raises LabError if it refuses."""
        done = self._ask(*words)
        if done.returncode != 0:
            message = f"systemctl {' '.join(words)}: {done.stderr.decode()}"
            raise LabError(message)
        return done.stdout.decode().strip()

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.control("show", "--value", "-p", name, unit)

    def _ask(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        inner = self._inner()
        if inner is None:
            return subprocess.CompletedProcess(words, 1, b"", b"systemd does not run")
        return subprocess.run(
            ["nsenter", "-t", str(inner), "-m", "-p", "systemctl", "--user", "--no-pager", *words],
            env={**os.environ, "XDG_RUNTIME_DIR": _RUN},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def _inner(self) -> int | None:
        """The first process of its namespaces, the child of `unshare`."""
        assert self._process is not None
        try:
            children = (
                Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            )
        except OSError:
            return None
        return int(children[0]) if children else None

    def _end(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        # Its processes die with their namespace, which takes a moment.
        deadline = time.monotonic() + 5
        while (left := _groups(self._group)) and time.monotonic() < deadline:
            for folder in left:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            time.sleep(0.02)
        self._folder.cleanup()


def _hierarchy() -> Path:
    """Where systemd counts processes: a hierarchy of its own, unless the second version's is all there is."""
    ways = (_GROUPS / "unified", _GROUPS / "systemd", _GROUPS)
    return next(way for way in ways if (way / "cgroup.procs").exists())


def _groups(name: str) -> list[Path]:
    """The control groups below one of this name, the lowest first: it makes them in each hierarchy."""
    tops = [*_GROUPS.glob(name), *_GROUPS.glob(f"*/{name}")]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]
