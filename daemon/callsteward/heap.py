"""Memory that is free goes back to the system.

What a busy minute took from glibc's heap is free afterwards, in pieces between what is still used: measured
after ten minutes of 56 calls a second, 7 of 118 MiB. glibc itself gives back only what lies at the end.
"""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Give free pages back, which takes some milliseconds: call it from a thread. Nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
