"""The configuration: one TOML file, checked whole before anything starts.

`load(path)` returns a Config or raises ConfigError, which names the file, each wrong key, what is
wrong with it and what is allowed. Secrets may come from the environment
(`CALLSTEWARD_ASTERISK__PASSWORD`, `CALLSTEWARD_MQTT__PASSWORD`), from a file (`password_file`) or from
systemd's credentials (`LoadCredential=asterisk_password:…`, `mqtt_password`, `hmac_key`). A file with secrets
in it that everybody can read is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from callsteward.config import consistency, environment, places, secret_files, secret_words
from callsteward.config.consistency import DEFAULT_LINE
from callsteward.config.errors import explain, without
from callsteward.config.hotline import DEFAULT_PROFILE, Endpoints, Line, Operator, SiteSettings
from callsteward.config.links import (
    SHORTEST_TOKEN,
    Agi,
    Asterisk,
    CommandsSettings,
    Mqtt,
    Standby,
    StoreSettings,
    Web,
)
from callsteward.config.profile import Profile
from callsteward.config.section import Name
from callsteward.config.services import CallbackSettings, Intervals, Log, Privacy, RatingSettings, Tags
from callsteward.config.statuses import StatusesSettings
from callsteward.exceptions import ConfigError

__all__ = [
    "SHORTEST_TOKEN",
    "Agi",
    "Asterisk",
    "CallbackSettings",
    "CommandsSettings",
    "Config",
    "Endpoints",
    "Intervals",
    "Line",
    "Log",
    "Mqtt",
    "Operator",
    "Privacy",
    "RatingSettings",
    "SiteSettings",
    "Standby",
    "StatusesSettings",
    "StoreSettings",
    "Tags",
    "Web",
    "load",
]


class Config(BaseSettings):
    """The whole configuration. Every key has a default that works on one machine."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="CALLSTEWARD_", env_nested_delimiter="__"
    )

    site: SiteSettings = SiteSettings()
    asterisk: Asterisk = Asterisk()
    endpoints: Endpoints = Endpoints()
    lines: tuple[Line, ...] = Field(
        (), description="The hotlines. A call belongs to the first one that it matches, else to default_line."
    )
    default_line: Name = Field(
        DEFAULT_LINE, description="The line of a call that no configured line matches."
    )
    profiles: dict[Name, Profile] = Field(
        default_factory=dict,
        description="By name: service standards that lines are held to. `standard` is there without it.",
    )
    operators: dict[str, Operator] = Field(
        default_factory=dict,
        description="By endpoint, such as 101 or PJSIP/101: the operators with what is known of each.",
    )
    mqtt: Mqtt = Mqtt()
    store: StoreSettings = StoreSettings()
    standby: Standby = Standby()
    privacy: Privacy = Privacy()
    callback: CallbackSettings = CallbackSettings()
    rating: RatingSettings = RatingSettings()
    intervals: Intervals = Intervals()
    agi: Agi = Agi()
    tags: Tags = Tags()
    statuses: StatusesSettings = StatusesSettings()
    commands: CommandsSettings = CommandsSettings()
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
        return environment.Environment(settings_cls), init_settings

    @model_validator(mode="after")
    def _contradictions(self) -> Self:
        found = list(self.contradictions())
        if found:
            raise ValueError("\n".join(found))
        return self

    def contradictions(self) -> Iterator[str]:
        """Every contradiction in the configuration, in an admin's words."""
        return consistency.contradictions(self)

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

    @property
    def commands_over_http(self) -> bool:
        """True if commands are taken over HTTP."""
        return self.commands.http and self.web.enabled

    @property
    def takes_commands(self) -> bool:
        """True if commands are taken by any way."""
        return self.commands_over_http or (self.commands.mqtt and self.mqtt.enabled)

    def line(self, name: str) -> Line:
        """A line by its name. A line that is not configured has the defaults."""
        return next((item for item in self.lines if item.name == name), None) or Line(name=name)

    def profile(self, line: str) -> Profile:
        """The profile of a line. A line that is not configured has the default profile."""
        name = next((item.profile for item in self.lines if item.name == line), DEFAULT_PROFILE)
        return self.profiles.get(name) or Profile()


class _Merged(Config):
    """The same for values that include the environment's already. Contradictions are looked for later."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def contradictions(self) -> Iterator[str]:
        return iter(())


def load(path: Path | None, *, warn: Callable[[str], None] | None = None, daemon: bool = False) -> Config:
    """The configuration in a TOML file, or the defaults where no file is given.

    Raises ConfigError with every mistake, one line for each.

    A file that holds secrets and that everybody can read is refused; the message names the command that mends
    it. With `warn` the file is read all the same and `warn` gets that message: for programs that connect to
    nothing, such as `replay`. With `daemon`, secrets in files, prompts and the working folder are checked
    too.
    """
    file = str(path) if path is not None else "environment"
    values: dict[str, Any] = {}
    wrong: list[str] = []
    if path is not None:
        values = _toml(path)
        try:
            secret_files.refuse_open(path, values)
        except ConfigError as error:
            (warn or wrong.append)(str(error))
        values = places.beside(values, path)
    wrong += environment.unknown(Config)
    merged = environment.over(values, environment.Environment(Config)())
    secret_words.keep_back(*(secret.word for secret in secret_words.secrets(merged)))
    config, mistakes = _validated(merged, file)
    wrong += mistakes
    found = [*config.contradictions(), *consistency.mistakes(config)]
    if daemon:
        found += [*consistency.without_prompts(config), *read_secrets(config)]
    wrong += [f"{file}: {mistake}" for mistake in found]
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys(wrong)))
    store = config.store.placed(places.data_folder(path), daemon=daemon)
    return config.model_copy(update={"store": store})


# The beginnings of tomllib's messages (the same in each Python), each with what mends the usual mistake
# behind it.
_TOML_MENDS = {
    "Invalid value": ": put the text in quotes",
    "Illegal character '\\n'": ": the quote that closes the text is missing on that line",
    "Unescaped '\\'": r": in a path write / for each \, or put it between single quotes: 'C:\data'",
    "Cannot overwrite a value": ": that key is already in its section; remove one of the two",
    "Cannot declare": ": that section already exists; remove one heading and put the keys together",
}


def _toml(path: Path) -> dict[str, Any]:
    try:
        # Windows' Notepad begins a file with a byte order mark.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        message = f"{path}: no such file: name the configuration with -c FILE or $CALLSTEWARD_CONFIG"
        raise ConfigError(message) from error
    except OSError as error:
        message = f"{path}: cannot read it: {error.strerror}"
        raise ConfigError(message) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"{path}: not TOML: line {line} is not in UTF-8: save the file as UTF-8"
        raise ConfigError(message) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = next((mend for start, mend in _TOML_MENDS.items() if str(error).startswith(start)), "")
        message = f"{path}: not TOML: {error}{hint}"
        raise ConfigError(message) from error


def _validated(values: dict[str, Any], file: str) -> tuple[Config, list[str]]:
    """The configuration as far as it is right, and each mistake in it.

    pydantic checks how keys fit together only once each key by itself is right. So each wrong key is reported
    and taken out, and the rest is validated again.
    """
    wrong: list[str] = []
    left = values
    while left:
        try:
            checked = _Merged(**left)
        except ValidationError as error:
            wrong += explain(error, Config, file, values)
            less = without(left, error)
            left = less if less != left else {}
        else:
            return Config.model_construct(checked.model_fields_set, **dict(checked)), wrong
    return Config.model_construct(**dict(_Merged())), wrong


def read_secrets(config: Config) -> Iterator[str]:
    """Reads every secret, as the daemon does when it starts; yields what is wrong with their files."""
    readers: list[Callable[[], object]] = [
        lambda: config.asterisk.secret,
        lambda: config.mqtt.secret,
        lambda: config.privacy.key,
    ]
    if config.web.enabled:
        readers.append(lambda: config.web.secret)
    for read in readers:
        try:
            read()
        except ConfigError as error:
            yield str(error)
