"""Helpers that put commands where they belong; `add_to(app)` of each module with commands calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand


def group(app: typer.Typer, name: str, text: str) -> typer.Typer:
    """The group of commands of this name: the one that is there, else a new one."""
    for known in app.registered_groups:
        if known.name == name and known.typer_instance is not None:
            return known.typer_instance
    made = typer.Typer(no_args_is_help=True, help=text)
    app.add_typer(made, name=name)
    return made


def report(app: typer.Typer) -> typer.Typer:
    """The group `report`, to which several features bring one."""
    return group(app, "report", "Reports over stored calls, for WFM tools and people.")


def renamed(names: Mapping[str, str]) -> type[TyperCommand]:
    """A command that also takes options by the names they had: scripts go on, and stderr says the new name.

    An empty new name: the option's value became an argument.
    """

    class Renamed(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, _in_new_names(args, names, quiet=ctx.resilient_parsing))

    return Renamed


def _in_new_names(args: list[str], names: Mapping[str, str], *, quiet: bool) -> list[str]:
    read: list[str] = []
    for place, arg in enumerate(args):
        if arg == "--":
            return read + args[place:]
        old, value = _split(arg, names)
        if old is None:
            read.append(arg)
            continue
        new = names[old]
        if not quiet:
            instead = f"it is called {new} now" if new else "write its value alone"
            typer.echo(f"warning: {old} is an old name: {instead}", err=True)
        read += [part for part in (new or None, value) if part is not None]
    return read


def _split(arg: str, names: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The old name in an argument and the value that is written onto it, None where there is none."""
    name, equals, value = arg.partition("=")
    if name in names:
        return name, value if equals else None
    if not arg.startswith("--") and arg[:2] in names:
        return arg[:2], arg[2:]
    return None, None
