"""Logging: key-value lines for people on a terminal, JSON for journald and everything else.

Logs go to stderr, stdout belongs to what a command prints. A phone number or a secret that reaches a log
by accident (an exception's text, a library's message) is taken out here, at the last step; what a secret is
tells `secret_words`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from callsteward.config.secret_words import HIDDEN, is_secret, masked
from callsteward.daemon.log_writer import LogWriter
from callsteward.terminal.visible import visible, visible_lines

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from callsteward.config import Log

# Ten to fifteen digits (E.164), but not the seconds in one of Asterisk's channel ids (1795313885.10), nor
# what is part of a hash; and seven to nine where a channel's name has its endpoint (SIP/78126060-00000012).
_NUMBER = re.compile(r"(?<![0-9A-Fa-f.])\+?\d{10,15}(?![0-9A-Fa-f]|\.\d)|(?<=/)\+?\d{7,9}(?=[@-]|$)")


def scrubbed(text: str) -> str:
    """A text without phone numbers and secrets."""
    return _NUMBER.sub(HIDDEN, masked(text))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The log entry without phone numbers and secrets (a structlog processor)."""
    for key, value in event.items():
        event[key] = HIDDEN if is_secret(key) else _clean(value)
    return event


def _clean(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            scrubbed(str(key)): HIDDEN if is_secret(str(key)) else _clean(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return scrubbed(value if isinstance(value, str) else str(value))


def _seen(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The entry without what a terminal would carry out, for people; JSON has none of that."""
    for key, value in event.items():
        if isinstance(value, str):
            # A value is one line; older releases of structlog write it as it is.
            event[key] = visible_lines(value) if key in {"event", "exception"} else visible(value)
    return event


def set_level(log: Log) -> None:
    """How much callsteward itself says."""
    logging.getLogger("callsteward").setLevel(log.level.upper())


def set_up(log: Log, *, threaded: bool = False) -> None:
    """Send structlog's and the standard library's messages to stderr in the configured form.

    `threaded`: in a thread, for a daemon that must not wait for whoever reads them.
    """
    console = log.format == "console" or (log.format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    final: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        *([_seen] if console else []),
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(),
    ]
    handler = LogWriter(sys.stderr) if threaded else logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=final, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak up from warning on; only callsteward's own detail is asked for by `level`.
    root.setLevel(logging.WARNING)
    set_level(log)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
