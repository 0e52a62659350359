"""`callsteward schema`: the contract of the feed, printed or written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from callsteward import config


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One message's JSON Schema, such as callsteward.call/1; without it, the AsyncAPI document.",
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Print the document with this configuration's topics."),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Print the names of the JSON Schemas.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write the document and every JSON Schema to this folder."),
    ] = None,
) -> None:
    """Print the contract of the MQTT feed: an AsyncAPI 3 document, or a message's JSON Schema.

    Made from the message types. The same files are in the package, in the folder `contract`.
    """
    from callsteward.feed import contract

    schemas = contract.json_schemas()
    if names:
        for known in sorted(schemas):
            typer.echo(known)
    elif name is not None:
        if name not in schemas:
            message = f"no message {name!r}; there is {', '.join(sorted(schemas))}"
            raise typer.BadParameter(message, param_hint="NAME")
        typer.echo(contract.text(schemas[name]), nl=False)
    elif folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = contract.shipped_files()
        for file, content in files.items():
            (folder / file).write_text(content, encoding="utf-8")
        typer.echo(f"{len(files)} files written to {folder}", err=True)
    else:
        root = contract.ROOT
        if config_file is not None:
            settings = config.load(config_file)
            root = f"{settings.mqtt.root.strip('/')}/{settings.site.name}"
        typer.echo(contract.text(contract.asyncapi(root)), nl=False)
