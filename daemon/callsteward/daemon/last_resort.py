"""The end that comes even where a disk or a library holds the orderly one up."""

from __future__ import annotations

import os
import threading

import structlog

log = structlog.get_logger(__name__)

# A stop may take 5 s; what is durable by then is safe, and what is not was waiting for a disk that hangs.
STOP_S = 4.8
EXIT_CODE = 1


def end_within(seconds: float = STOP_S) -> threading.Timer:
    """End the process, however it is caught, unless the timer is cancelled before."""

    def end() -> None:
        log.error("the stop took too long: ending now", action="daemon_stop_forced", after_s=seconds)
        # Standard error may be what hangs.
        flushing = threading.Thread(target=_flush, daemon=True)
        flushing.start()
        flushing.join(0.1)
        os._exit(EXIT_CODE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def _flush() -> None:
    import logging

    for handler in logging.getLogger().handlers:
        handler.flush()
