"""How a command refuses what was written on the command line."""

from __future__ import annotations

from typing import NoReturn

import typer


def wrong(message: str, option: str) -> NoReturn:
    """End with exit code 2, naming the option."""
    raise typer.BadParameter(message, param_hint=option)
