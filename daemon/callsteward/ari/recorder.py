"""Records every frame that the daemon acts on, one per line, for `callsteward replay`."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import structlog

from callsteward.ari.line import line
from callsteward.config import secret_files
from callsteward.exceptions import ExposedStoreError, StoreError

log = structlog.get_logger(__name__)


class Recorder:
    """Appends frames to a file exactly as Asterisk sent them.

    Between them are the Snapshots that the daemon made on connecting, so a replay reconciles where the daemon
    did. A context manager; also takes an open binary stream, which it leaves open.
    """

    def __init__(self, target: Path | BinaryIO) -> None:
        self._target = target
        self._stream: BinaryIO | None = None if isinstance(target, Path) else target
        self.empty = True
        """Whether the file was empty on opening: then the journal's frames are not recorded yet."""

    def __enter__(self) -> Self:
        if isinstance(self._target, Path):
            self._stream = _opened(self._target)
            self.empty = self._stream.tell() == 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._target, Path) and self._stream is not None:
            try:
                self._stream.close()
            except OSError as failed:
                # Lost last frames of a recording are no reason to end in another way than usual.
                log.error(  # noqa: TRY400
                    "the last frames of the recording could not be written",
                    action="recording_cut",
                    error=str(failed),
                )
            self._stream = None

    def write(self, frame: bytes) -> None:
        """Append one frame. A line break inside it is legal in JSON, though Asterisk sends none."""
        if self._stream is None:
            message = "the recorder is not open: use it in a with statement"
            raise ValueError(message)
        self._stream.write(line(frame))

    def flush(self) -> None:
        """Hand the written frames to the operating system."""
        if self._stream is not None:
            self._stream.flush()


def _opened(path: Path) -> BinaryIO:
    """A file to append to, readable by its owner alone: callers' full numbers go into it."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        message = f"cannot record to {path}: {error.strerror}"
        raise StoreError(message) from error
    if secret_files.exposed(os.fstat(handle).st_mode):
        os.close(handle)
        message = (
            f"{path}: a recording holds callers' full numbers and everybody can read this file;"
            f" run: chmod o= {path}"
        )
        raise ExposedStoreError(message)
    return os.fdopen(handle, "ab")
