"""A frame as one line of a file: of the journal, of a recording."""

from __future__ import annotations


def line(frame: bytes) -> bytes:
    """The frame without a line feed in it, and one behind it."""
    # Between JSON's tokens a carriage return is white space as well; within a string neither can stand, and
    # what was no event must not become one on its way through a file.
    return frame.replace(b"\n", b"\r") + b"\n"
