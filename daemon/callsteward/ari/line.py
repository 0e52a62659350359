"""A frame as one line of a file: of the journal, or of a recording."""

from __future__ import annotations


def line(frame: bytes) -> bytes:
    """The frame without line feeds in it, and with one at its end."""
    # Between JSON's tokens a carriage return is white space, too; within a string neither may occur, and
    # bytes that were no event must not become one on their way through a file.
    return frame.replace(b"\n", b"\r") + b"\n"
