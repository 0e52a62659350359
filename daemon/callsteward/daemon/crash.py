"""The traceback of a crash, without numbers and secrets."""

from __future__ import annotations

import faulthandler
import sys
import threading
import traceback


def report(error: BaseException) -> str:
    """The traceback as text, scrubbed."""
    # A command that only says what it can do needs no logging.
    from callsteward.daemon import logs

    return logs.scrubbed("".join(traceback.format_exception(error)))


def tell_scrubbed() -> None:
    """From now on an error that ends a thread is told scrubbed; a watchdog's SIGABRT tells the stacks."""

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            sys.stderr.write(report(args.exc_value))

    threading.excepthook = hook
    # It prints where each thread was, and no values.
    faulthandler.enable()
