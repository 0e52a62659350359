"""The configuration: one TOML file, checked whole before anything starts.

`load(path)` returns a Config or raises ConfigError, which names the file, each wrong key, what is
wrong with it and what is allowed. Secrets may come from the environment
(`CALLSTEWARD_ASTERISK__PASSWORD`, `CALLSTEWARD_MQTT__PASSWORD`), from a file (`password_file`) or from
systemd's credentials (`LoadCredential=asterisk_password:…`, `mqtt_password`, `hmac_key`). A file with secrets
in it that everybody can read is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from callsteward import secret_files
from callsteward.config import places
from callsteward.config.errors import explain
from callsteward.config.hotline import DEFAULT_PROFILE, Endpoints, Line, Operator, Site
from callsteward.config.links import SHORTEST_TOKEN, Agi, Asterisk, Commands, Mqtt, Store, Web
from callsteward.config.section import Name
from callsteward.config.services import Callback, Intervals, Log, Privacy, Rating, Tags
from callsteward.exceptions import ConfigError
from callsteward.standard.profile import Profile

__all__ = [
    "SHORTEST_TOKEN",
    "Agi",
    "Asterisk",
    "Callback",
    "Commands",
    "Config",
    "Endpoints",
    "Intervals",
    "Line",
    "Log",
    "Mqtt",
    "Operator",
    "Privacy",
    "Rating",
    "Site",
    "Store",
    "Tags",
    "Web",
    "load",
]

DEFAULT_LINE = "default"


class Config(BaseSettings):
    """The whole configuration. Every key has a default that works on one machine."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="CALLSTEWARD_", env_nested_delimiter="__"
    )

    site: Site = Site()
    asterisk: Asterisk = Asterisk()
    endpoints: Endpoints = Endpoints()
    lines: tuple[Line, ...] = ()
    default_line: Name = Field(
        DEFAULT_LINE, description="The line of a call that no configured line matches."
    )
    profiles: dict[Name, Profile] = Field(default_factory=dict)
    operators: dict[str, Operator] = Field(default_factory=dict)
    mqtt: Mqtt = Mqtt()
    store: Store = Store()
    privacy: Privacy = Privacy()
    callback: Callback = Callback()
    rating: Rating = Rating()
    intervals: Intervals = Intervals()
    agi: Agi = Agi()
    tags: Tags = Tags()
    commands: Commands = Commands()
    web: Web = Web()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment wins over the file, so that a secret can be kept out of it.
        return env_settings, init_settings

    @model_validator(mode="after")
    def _applications(self) -> Self:
        if self.rating.app == self.asterisk.app:
            message = "rating.app: must not be asterisk.app, the observer owns no channels"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _references(self) -> Self:
        known = {DEFAULT_PROFILE, *self.profiles}
        names: set[str] = set()
        line_of: dict[tuple[str, str], str] = {}
        for line in self.lines:
            if line.profile not in known:
                message = (
                    f"lines.{line.name}.profile: no profile {line.profile!r};"
                    f" there is {', '.join(sorted(known))}"
                )
                raise ValueError(message)
            if line.name in names:
                message = f"lines: {line.name!r} stands twice; a line's name is unique"
                raise ValueError(message)
            names.add(line.name)
            for key in ("queues", "dids", "contexts"):
                for value in getattr(line, key):
                    other = line_of.setdefault((key, value), line.name)
                    if other != line.name:
                        message = (
                            f"lines.{line.name}.{key}: {value!r} belongs to line {other!r} already;"
                            " each belongs to one line"
                        )
                        raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        whose: dict[str, str] = {}
        for name, operator in self.operators.items():
            for number in operator.numbers:
                other = whose.setdefault(number, name)
                if other != name:
                    message = (
                        f"operators.{name}.numbers: {number!r} belongs to operator {other!r} already;"
                        " each belongs to one operator"
                    )
                    raise ValueError(message)
        return self

    def line(self, name: str) -> Line:
        """A line by its name; one that is not configured has the defaults."""
        return next((item for item in self.lines if item.name == name), None) or Line(name=name)

    def profile(self, line: str) -> Profile:
        """The profile of a line, the default one for a line that is not configured."""
        name = next((item.profile for item in self.lines if item.name == line), DEFAULT_PROFILE)
        return self.profiles.get(name) or Profile()


def load(path: Path | None, *, warn: Callable[[str], None] | None = None, daemon: bool = False) -> Config:
    """The configuration in a TOML file, or the defaults where no file is given.

    A file with secrets that everybody can read is refused, with the command that mends it. With `warn` it is
    read, and `warn` is given that message: for programs that connect to nothing, such as `replay`. `daemon`:
    for what runs as the daemon does.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{path}: cannot read it: {error.strerror}"
            raise ConfigError(message) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"{path}: not TOML: {error}"
            raise ConfigError(message) from error
        try:
            secret_files.refuse_open(path, values)
        except ConfigError as error:
            if warn is None:
                raise
            warn(str(error))
        values = places.beside(values, path)
    file = str(path) if path is not None else "environment"
    try:
        config = Config(**values)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, file, values)) from error
    except SettingsError as error:
        message = f"environment: {error}: a list or a section is given there as JSON"
        raise ConfigError(message) from error
    store = config.store.placed(places.data_folder(path), daemon=daemon)
    return config.model_copy(update={"store": store})
