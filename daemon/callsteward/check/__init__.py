"""`callsteward check`: tests the installation, one result per line, each with how to mend it.

It reads, and writes three things only: a short-lived ARI application of its own name (the daemon's name would
take the daemon's connection away), one MQTT message, and an empty transaction on the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from callsteward.check import pbx, services
from callsteward.check.heard import heard
from callsteward.check.host_name import host_name
from callsteward.check.trunks import trunks
from callsteward.config import Config, load
from callsteward.config.hotline import DEFAULT_PROFILE
from callsteward.exceptions import ConfigError
from callsteward.features import FEATURES
from callsteward.part import Feature
from callsteward.terminal.result import Result, Status, failed, ok, warning
from callsteward.terminal.visible import visible

__all__ = ["Result", "Status", "encode", "print_result", "run"]

_PLACEHOLDER = "CHANGE_ME"
_MARKS = {
    Status.OK: "[green]ok     [/]",
    Status.WARNING: "[yellow]warning[/]",
    Status.FAILED: "[bold red]failed [/]",
}


async def run(config_file: Path, features: Sequence[Feature] = FEATURES) -> AsyncIterator[Result]:
    """Each check's result as soon as it is known.

    Raises ConfigError after the result of a wrong configuration.
    """
    try:
        config = load(config_file, daemon=True)
        _ = (config.asterisk.secret, config.mqtt.secret, config.privacy.key)
    except ConfigError as error:
        yield failed("config", str(error), "correct that, then check again")
        raise
    yield _config(config, config_file)
    for feature in features:
        for result in await feature.checks(config):
            yield result
    async for result in pbx.results(config):
        yield result
    slow = await host_name(config)
    if slow is not None:
        yield slow
    yield await services.broker(config)
    yield await services.store(config)
    listened = await heard(config)
    if listened is not None:
        yield listened
    written = await trunks(config)
    if written is not None:
        yield written


def _config(config: Config, file: Path) -> Result:
    if config.asterisk.secret in {"", _PLACEHOLDER}:
        return warning(
            "config",
            f"{file} is valid, but asterisk.password is not set",
            "set asterisk.password or asterisk.password_file to what ari.conf has",
        )
    unused = sorted(set(config.profiles) - {DEFAULT_PROFILE, *(line.profile for line in config.lines)})
    if unused:
        return warning(
            "config",
            f"{file} is valid, but no line has the profile {', '.join(unused)}",
            "name it as a line's profile, or remove it",
        )
    lines = ", ".join(line.name for line in config.lines) or "none, all calls are on " + config.default_line
    return ok("config", f"{file} is valid; lines: {lines}")


def print_result(result: Result, console: Console) -> None:
    """Print one line, and a second one with how to mend it."""
    console.print(
        f"{_MARKS[result.status]}  [bold]{result.check:<15}[/] {escape(visible(result.found))}",
        soft_wrap=True,
    )
    if result.mend is not None:
        console.print(
            f"         {'':<15} [dim]mend:[/] {escape(visible(result.mend))}", soft_wrap=True, highlight=False
        )


def encode(result: Result) -> bytes:
    """The result as one line of JSON."""
    return msgspec.json.encode(result)
