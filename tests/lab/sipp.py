"""sipp in the lab's root: many calls at once, without sound. For people there are ``phones``."""

from __future__ import annotations

import atexit
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.roots import ensure_root

STOP_S = 5.0


class Sipp:
    """The sipp processes of one test; use as a context manager. They are ended on leaving."""

    def __init__(self) -> None:
        self.root = ensure_root("22")
        self.name = f"s{secrets.token_hex(4)}"
        self.folder = self.root / "lab" / self.name
        self.folder.mkdir(parents=True)
        self._running: list[subprocess.Popen[bytes]] = []
        # They are sessions of their own: nobody else ends them.
        atexit.register(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End them all and remove their folder; safe to call again."""
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def start(
        self, name: str, scenario: str, address: str, port: int, *options: str
    ) -> subprocess.Popen[bytes]:
        """Run a scenario (XML) at a local address. `name` is of its files: NAME_.csv has its counts."""
        home = f"/lab/{self.name}"
        (self.folder / f"{name}.xml").write_text(scenario)
        with (self.folder / f"{name}.out").open("wb") as out:
            process = subprocess.Popen(
                [
                    "chroot", str(self.root), "sipp", "-sf", f"{home}/{name}.xml",
                    "-i", address, "-p", str(port), "-mi", address, "-nostdin",
                    "-trace_stat", "-stf", f"{home}/{name}.csv", "-fd", "1",
                    "-trace_err", "-error_file", f"{home}/{name}.err", *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._running.append(process)
        return process

    def file(self, name: str, text: str) -> str:
        """Write a file for a scenario's options; its path as sipp sees it."""
        (self.folder / name).write_text(text)
        return f"/lab/{self.name}/{name}"

    def counts(self, name: str) -> Mapping[str, str]:
        """The last line of a scenario's statistics, by column; empty before there is one."""
        file = self.folder / f"{name}.csv"
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) < 2:
            return {}
        return dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))

    def said(self, name: str) -> str:
        """Its errors, for a test that fails."""
        found: list[str] = []
        for ending in ("err", "out"):
            file: Path = self.folder / f"{name}.{ending}"
            if file.exists():
                found += file.read_text(errors="replace").splitlines()[-20:]
        return "\n".join(found)
