"""Options that several commands share."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", help="The TOML file; config/callsteward.toml is a commented example."),
]
OptionalConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; without it every key has its default."),
]


class Form(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class ListForm(StrEnum):
    """How a list of stored calls is printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


FormOption = Annotated[Form | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")]


def chosen(output: Form | None) -> Form:
    """The form asked for, else the one that suits where the output goes."""
    return output or (Form.TABLE if sys.stdout.isatty() else Form.JSONL)
