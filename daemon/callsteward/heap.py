"""Gives free memory back to the system.

Memory that a busy minute took from glibc's heap is free afterwards, in pieces between used ones: measured
after ten minutes of 56 calls a second, 7 of 118 MiB. By itself glibc gives back only the end of the heap.
"""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Give free pages back, which takes some milliseconds: call it from a thread.

    Does nothing without glibc.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
