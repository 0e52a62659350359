"""The command line. Results go to stdout, everything else to stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. What a command needs is imported inside it,
so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from callsteward import __version__
from callsteward.cli import backup, calls, client, dnc, feed, ratings, recordings, run, schema, trial, zones
from callsteward.daemon import crash
from callsteward.exceptions import CallstewardError
from callsteward.features import FEATURES
from callsteward.part import Feature
from callsteward.terminal.visible import visible, visible_lines

# 128 + SIGPIPE: what a tool returns whose reader (head, less) went away.
_READER_GONE = 141
# Stored records that cannot be read and are named one by one.
_NAMED = 5


class _InWords(TyperGroup):
    """Shows typer's errors about a wrong choice without the words of the library beneath it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def build(features: Sequence[Feature] = FEATURES) -> typer.Typer:
    """The command line, with the commands of these features."""
    app = typer.Typer(
        name="callsteward",
        cls=_InWords,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Of the two that colour, the one that does not keep a docstring's line breaks.
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        help="Follows every call of an Asterisk hotline, holds it against the service standard and"
        " publishes its record over MQTT.",
        epilog="Start with `callsteward demo` (needs nothing), then `callsteward check -c FILE` beside your"
        " PBX, then `callsteward run -c FILE`. `callsteward status` says how it does.",
    )
    app.callback()(_root)
    for own in (run, trial, recordings, calls, ratings):
        own.add_to(app)
    for feature in features:
        feature.commands(app)
    for own in (dnc, zones, client, backup, feed, schema):
        own.add_to(app)
    return app


def main() -> NoReturn:
    """The `callsteward` command."""
    crash.tell_scrubbed()
    try:
        app()
    except CallstewardError as error:
        from callsteward.config.secret_words import masked

        typer.echo(visible_lines(f"callsteward: {masked(str(error))}"), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Nobody reads on: say nothing, and let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
    except OSError as error:
        if error.filename is None:
            sys.stderr.write(visible_lines(crash.report(error)))
        else:  # a file or folder that a command was given
            typer.echo(f"callsteward: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # a fault of ours: Python's own report would tell numbers
        sys.stderr.write(visible_lines(crash.report(error)))
        sys.exit(1)
    finally:
        _name_unreadable()
    sys.exit(0)


def _name_unreadable() -> None:
    """Stored records that a command had to leave out; the daemon has them in its log."""
    stored = sys.modules.get("callsteward.store.stored")
    if stored is None or logging.getLogger().handlers:
        return
    for call_id, why in list(stored.UNREADABLE.calls.items())[:_NAMED]:
        told = f"warning: the stored record of call {call_id} cannot be read and is left out: {why}"
        typer.echo(visible(told), err=True)
    if stored.UNREADABLE.count > _NAMED:
        typer.echo(f"warning: and {stored.UNREADABLE.count - _NAMED} more", err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callsteward {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app = build()
