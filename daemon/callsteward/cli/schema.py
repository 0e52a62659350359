"""`callsteward schema` and `config-schema`: the schemas of the feed and of the configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.terminal.groups import renamed
from callsteward.terminal.options import OptionalConfigOption, OptionalFolderOption, load, words
from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from callsteward.feed.cloudevents import CloudEventsMode


def add_to(app: typer.Typer) -> None:
    app.command("schema", cls=renamed({"--to": "--folder"}))(schema)
    app.command("config-schema")(config_schema)


class EventMode(StrEnum):
    """The values of `mqtt.cloudevents`."""

    OFF = "off"
    STRUCTURED = "structured"
    BINARY = "binary"


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One message's JSON Schema, such as callsteward.call/1; without it, the AsyncAPI document.",
        ),
    ] = None,
    config_file: OptionalConfigOption = None,
    as_events: Annotated[
        EventMode | None,
        typer.Option(
            "--cloudevents",
            metavar="MODE",
            help=f"As mqtt.cloudevents: {words(EventMode)}. Default: as --config has it, or off.",
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Print the names of the JSON Schemas.")] = False,
    folder: OptionalFolderOption = None,
) -> None:
    """Print the contract of the MQTT feed: an AsyncAPI 3 document, or a message's JSON Schema.

    Made from the message types, with the topics and CloudEvents of the configuration. The document and all
    schemas are in the package, in the folder `contract`; --folder writes them to another one.
    """
    from callsteward import features
    from callsteward.feed import contract

    settings = None if config_file is None else load(config_file)
    mode: CloudEventsMode = "off" if settings is None else settings.mqtt.cloudevents
    if as_events is not None:
        mode = as_events.value
    schemas = contract.json_schemas(features.topics(), mode)
    if names:
        for known in sorted(schemas):
            typer.echo(known)
    elif name is not None:
        if name not in schemas:
            wrong(f"no message {name!r}; there is {', '.join(sorted(schemas))}", "NAME")
        typer.echo(contract.text(schemas[name]), nl=False)
    elif folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = contract.shipped_files(features.topics())
        for file, content in files.items():
            (folder / file).write_text(content, encoding="utf-8")
        typer.echo(f"{len(files)} files written to {folder}", err=True)
    else:
        root = contract.ROOT
        if settings is not None:
            root = f"{settings.mqtt.root.strip('/')}/{settings.site.name}"
        typer.echo(contract.text(contract.asyncapi(features.topics(), root, mode)), nl=False)


def config_schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and validators."""
    import json

    from callsteward.config import Config
    from callsteward.config.section import TableNames

    schema = {
        "$schema": TableNames.schema_dialect,
        "$id": "urn:callsteward:configuration",
        **Config.model_json_schema(schema_generator=TableNames),
    }
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))
