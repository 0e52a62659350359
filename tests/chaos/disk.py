"""A small disk for the daemon's database that really gets full."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.errors import LabUnavailable

SIZE_MB = 16
_CHUNK = bytes(64 * 1024)


class Disk:
    """A folder on a tmpfs of its own; use as a context manager.

    Raises LabUnavailable if this user may not mount one: then full disks cannot be tested.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "tmpfs", self.folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            message = f"no small disk here: {result.stderr.strip()}"
            raise LabUnavailable(message)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False)

    def database(self) -> Path | str:
        """A new database, as the settings of the lab take it."""
        return self.folder / "chaos.db"

    def fill(self) -> None:
        """Write until the kernel says that no space is left."""
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            chunk = _CHUNK
            while chunk:
                try:
                    os.write(file, chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    # A page may be left for less.
                    chunk = chunk[: len(chunk) // 2]
        finally:
            os.close(file)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)
