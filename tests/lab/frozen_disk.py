"""A disk of its own that can be frozen: an ext4 image on a loop device and fsfreeze(8).

While it is frozen every write to it hangs in the kernel, as on a disk that no longer answers. Needs root
and loop devices; raises LabUnavailable where there are none.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.errors import LabUnavailable


class FrozenDisk:
    """Mounted at `folder` while it is used as a context manager; thawed at its end, whatever happened."""

    def __init__(self, folder: Path, megabytes: int = 512) -> None:
        self.folder = folder / "disk"
        self._image = folder / "disk.img"
        self._megabytes = megabytes
        self._frozen = False

    def __enter__(self) -> Self:
        if any(shutil.which(tool) is None for tool in ("mkfs.ext4", "mount", "umount", "fsfreeze")):
            message = "no mkfs.ext4, mount or fsfreeze here"
            raise LabUnavailable(message)
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", self._image)
        _run("mount", "-o", "loop,noatime", self._image, self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        _run("umount", "--lazy", self.folder)
        self._image.unlink()

    def freeze(self) -> None:
        _run("fsfreeze", "--freeze", self.folder)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            _run("fsfreeze", "--unfreeze", self.folder)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        message = f"{command[0]}: {done.stderr.strip()}"
        raise LabUnavailable(message)
