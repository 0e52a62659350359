"""The configuration: one TOML file, checked whole before anything starts.

`load(path)` returns a Config or raises ConfigError, which names the file, each wrong key, what is
wrong with it and what is allowed. Secrets may come from the environment
(`CALLSTEWARD_ASTERISK__PASSWORD`, `CALLSTEWARD_MQTT__PASSWORD`), from a file (`password_file`) or from
systemd's credentials (`LoadCredential=asterisk_password:…`, `mqtt_password`, `hmac_key`). A file with secrets
in it that everybody can read is refused.
"""

from __future__ import annotations

import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from callsteward import secret_files
from callsteward.config_errors import explain
from callsteward.exceptions import ConfigError
from callsteward.standard.profile import Profile

# A name becomes a level of an MQTT topic and part of a URL.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
# Seconds that something may last.
Span = Annotated[float, Field(gt=0, le=86_400)]
# What a dial string may hold around the number: nothing that Dial() reads as an option or another device.
DialString = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9_.+/-]*\{number\}[A-Za-z0-9_.@-]*$")
]
CallerId = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{2,15}$")]
# A folder's name, and what Asterisk's CHANNEL(language) takes.
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
PhoneType = Literal["mobile", "fixed_line", "voip", "personal", "toll_free"]
DEFAULT_PROFILE = "standard"
DEFAULT_LINE = "default"
SHORTEST_TOKEN = 16


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _secret(value: SecretStr | None, file: Path | None, credential: str) -> str | None:
    """From the file named, else from systemd's credential of this name, else the value itself."""
    if file is None:
        file = secret_files.credential(credential)
    if file is not None:
        return secret_files.read(file)
    return value.get_secret_value() if value is not None else None


def _time_zone(value: str | None) -> str | None:
    if value is not None and value not in available_timezones():
        message = "not an IANA time zone; one such as Europe/Moscow or Asia/Yekaterinburg"
        raise ValueError(message)
    return value


def _known_region(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        message = "not a region; two capital letters such as RU, KZ, DE"
        raise ValueError(message)
    return value


class Site(_Section):
    """One PBX."""

    name: Name = Field("main", description="The site's level in MQTT topics.")
    timezone: str = Field("Europe/Moscow", description="IANA zone for days and calling hours.")
    region: str = Field("RU", description="ISO 3166 region in which a number without a country code is read.")

    _zone = field_validator("timezone")(_time_zone)

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        return _known_region(value)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Asterisk(_Section):
    """How the daemon and Asterisk find each other."""

    connect: Literal["client", "outbound"] = Field(
        "client",
        description="client: the daemon dials Asterisk (16 and later)."
        " outbound: Asterisk 20.15/22.5+ dials the daemon and keeps events while it is away,"
        " but may crash where the daemon is killed amid calls.",
    )
    url: str = Field("http://127.0.0.1:8088", description="Where Asterisk's HTTP server is.")
    username: str = "callsteward"
    password: SecretStr | None = None
    password_file: Path | None = None
    app: Name = Field("callsteward", description="The observer's ARI application.")
    ca_file: Path | None = Field(None, description="CA to trust for https.")
    listen_host: str = Field("127.0.0.1", description="outbound: where the daemon listens.")
    listen_port: Port = Field(8087, description="outbound: where the daemon listens.")
    silence_ms: int = Field(
        500, ge=10, le=10_000, description="The first number of TALK_DETECT(set)=500,256."
    )
    talk_detect: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto: a call with no talk event at all was not listened to and has speech null."
        " on: such a call was silent. off: talk events are ignored.",
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^/@\s]+(/[^\s]*)?", value):
            message = "http(s)://host:port without a user name; the password has its own key"
            raise ValueError(message)
        return value.rstrip("/").removesuffix("/ari")

    @property
    def secret(self) -> str:
        return _secret(self.password, self.password_file, "asterisk_password") or ""


class Endpoints(_Section):
    """Which channels are operators' phones and which are outside lines.

    Patterns as in a shell (`PJSIP/1[0-9][0-9]`, `PJSIP/trunk*`), matched against the channel's
    technology and endpoint. A trunk pattern wins. Where neither matches, an endpoint named by two to
    six digits is taken for an operator's phone and any other for an outside line.
    """

    operators: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()


class Operator(_Section):
    """One operator, by endpoint name."""

    name: str = ""
    grade: str = Field("", description="For limits that differ by grade, such as senior.")


class Line(_Section):
    """A hotline: a queue, DID or context with its own standard profile."""

    name: Name
    title: str = ""
    queues: tuple[str, ...] = Field((), description="Asterisk queues that belong to the line.")
    dids: tuple[str, ...] = Field((), description="Dialled numbers; shell patterns allowed.")
    contexts: tuple[str, ...] = Field((), description="Dialplan contexts calls arrive in.")
    profile: str = DEFAULT_PROFILE
    timezone: str | None = Field(None, description="IANA zone of its clients; unset: the site's.")
    operators: tuple[str, ...] = Field(
        (), description="Who is asked for the line's callbacks; empty: everybody in [operators]."
    )
    callback_dial: DialString | None = Field(None, description="The line's own callback.dial.")
    callback_caller_id: CallerId | None = Field(None, description="The line's own callback.caller_id.")
    language: Language | None = Field(None, description="Of its rating prompts; unset: rating.language.")

    _zone = field_validator("timezone")(_time_zone)


class Mqtt(_Section):
    """The broker."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    root: str = Field(
        "callsteward", pattern=r"^[A-Za-z0-9_./-]{1,128}$", description="First levels of every topic."
    )
    client_id: str | None = None
    version: Literal["3.1.1", "5"] = "5"
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: int = Field(15, ge=5, le=3600)
    outbox_mb: float = Field(
        256,
        gt=0,
        le=1_000_000,
        description="Megabytes of messages kept on disk for a broker that is away; then the oldest go.",
    )
    cloudevents: Literal["off", "structured", "binary"] = Field(
        "off",
        description="CloudEvents 1.0. structured: a JSON object of the attributes, the message in `data`."
        " binary: it stays as it is, the attributes are User Properties of MQTT 5.",
    )
    discovery_prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=128,
        description="Where Home Assistant looks for what there is: its own default is homeassistant."
        " Unset: nothing is announced.",
    )

    @property
    def outbox_bytes(self) -> int:
        return int(self.outbox_mb * 1_000_000)

    @property
    def secret(self) -> str | None:
        return _secret(self.password, self.password_file, "mqtt_password")

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if (self.ca_file or self.cert_file or self.key_file) and not self.tls:
            message = "ca_file, cert_file and key_file need tls = true"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _cloudevents(self) -> Self:
        if self.cloudevents == "binary" and self.version != "5":
            message = (
                'cloudevents = "binary" needs version = "5": MQTT 3.1.1 has no place for the attributes;'
                ' cloudevents = "structured" has'
            )
            raise ValueError(message)
        return self


class Store(_Section):
    """Where records are kept."""

    url: str = Field(
        "sqlite:///callsteward.db",
        description="sqlite:///relative.db, sqlite:////absolute.db or postgresql://…",
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.match(r"^(sqlite|postgresql)(\+\w+)?://", value):
            message = "sqlite:///… or postgresql://…"
            raise ValueError(message)
        return value


class Privacy(_Section):
    """How a client's number leaves the daemon: masked, or as a keyed HMAC."""

    hmac_key: SecretStr | None = Field(None, description="Key of client_ref. Unset: client_ref is null.")
    hmac_key_file: Path | None = None

    @property
    def key(self) -> bytes | None:
        secret = _secret(self.hmac_key, self.hmac_key_file, "hmac_key")
        return secret.encode() if secret else None


class Callback(_Section):
    """The one call that follows a talk that broke (standard.md: one_callback). Off unless switched on."""

    enabled: bool = Field(False, description="false: nothing is ever dialled, the record only says `due`.")
    regions: tuple[str, ...] = Field((), description="Where may be called; empty: the site's region.")
    types: tuple[PhoneType, ...] = Field(("mobile", "fixed_line"), description="Which numbers may be called.")
    denied_prefixes: tuple[Annotated[str, StringConstraints(pattern=r"^\+[0-9]{1,15}$")], ...] = Field(
        ("+7954",), description="E.164 beginnings that are never called. +7954 is satellite phones."
    )
    hours_from: time = Field(time(9), description="From when a client may be called, in their zone.")
    hours_to: time = Field(time(20), description="Until when.")
    zones: Literal["number", "line"] = Field(
        "number", description="number: allowed in every zone the number can be in. line: in the line's zone."
    )
    exempt_s: float = Field(900, ge=0, le=86_400, description="So long after the drop the hours do not bind.")
    per_number_a_day: int = Field(3, ge=1, le=100, description="Callbacks to one number within 24 hours.")
    per_line_an_hour: int = Field(60, ge=1, le=100_000, description="Callbacks of one line within an hour.")
    same_operator_s: float = Field(20, ge=0, le=3600, description="So long only who had the client is asked.")
    expire_s: Span = Field(1800, description="Given up when nobody could be found for so long.")
    alert_s: Span = Field(300, description="Alert when a callback waits longer.")
    operator_ring_s: Span = Field(15, description="How long an operator's phone rings.")
    ask_again_s: Span = Field(20, description="Until an operator who did not answer is asked again.")
    ring_s: int = Field(30, ge=5, le=180, description="How long the client's phone rings.")
    sticky: bool = Field(
        False, description="Tell the dialplan which operator a client had, for one who calls again first."
    )
    press_1: bool = Field(False, description="The operator presses 1 before the client is dialled.")
    press_1_s: int = Field(8, ge=2, le=60, description="How long the key is waited for.")
    max_parallel: int = Field(5, ge=1, le=1000, description="Callbacks in progress at once.")
    per_minute: int = Field(30, ge=1, le=10_000, description="Operators asked within a minute.")
    operator_dial: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9_.@/{}-]+$")] = Field(
        "PJSIP/{operator}", description="An operator's phone."
    )
    dial: DialString = Field(
        "PJSIP/{number}@trunk", description="How the client is dialled: digits, no plus."
    )
    caller_id: CallerId | None = Field(None, description="What the client's phone shows; unset: the trunk's.")
    retention_days: int = Field(365, ge=1, le=3650, description="How long the ledger keeps full numbers.")

    @field_validator("regions")
    @classmethod
    def _regions(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_region(value) for value in values)

    @field_validator("operator_dial")
    @classmethod
    def _operator_dial(cls, value: str) -> str:
        if value.count("{operator}") != 1 or set("{}") & set(value.replace("{operator}", "")):
            message = "must have {operator} in it once, such as PJSIP/{operator}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _hours(self) -> Self:
        if self.hours_from >= self.hours_to:
            message = "hours_from must be before hours_to"
            raise ValueError(message)
        return self


class Rating(_Section):
    """The rating after the call (standard.md: rating). Off unless switched on, and then by line's profile."""

    enabled: bool = Field(False, description="false: nobody is asked.")
    app: Name = Field(
        "callsteward-ivr", description="The ARI application; the dialplan names it in Stasis()."
    )
    prompts_dir: str = Field(
        "/var/lib/callsteward/prompts",
        pattern=r"^/[A-Za-z0-9_./-]{1,200}$",
        description="Folder of prompts as Asterisk sees it, one folder for each language in it.",
    )
    language: Language = Field("ru", description="Of the prompts, where neither call nor line says.")
    answer_s: float = Field(6, ge=2, le=30, description="How long a key is waited for after a prompt.")
    comment_max_s: int = Field(60, ge=5, le=600, description="The longest spoken comment.")
    ring_s: int = Field(30, ge=5, le=180, description="call: how long the client's phone rings.")
    expire_h: float = Field(24, gt=0, le=720, description="call: given up when so late.")
    max_parallel: int = Field(2, ge=1, le=1000, description="call: rating calls in progress at once.")
    per_minute: int = Field(10, ge=1, le=10_000, description="call: rating calls begun within a minute.")
    retention_days: int = Field(
        365, ge=1, le=3650, description="How long numbers and spoken comments are kept."
    )


class Intervals(_Section):
    """The sums per line and per operator for workforce management."""

    enabled: bool = Field(True, description="false: no interval is published; `report` works all the same.")
    minutes: Literal[15, 30] = Field(30, description="Length of an interval, aligned to UTC.")
    answer_within_s: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3600)], ...], Field(min_length=1, max_length=10)
    ] = Field((10, 20, 30), description="Thresholds T of answered_le_T and the service levels.")
    expire_hours: int = Field(48, ge=1, le=720, description="How long the broker keeps a published interval.")

    @field_validator("answer_within_s")
    @classmethod
    def _thresholds(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(values)))


class Agi(_Section):
    """FastAGI: questions a dialplan asks. It has no password, so it listens on this machine alone."""

    enabled: bool = Field(False, description="true: answer AGI(agi://127.0.0.1:4573/…).")
    host: Literal["127.0.0.1", "::1"] = Field("127.0.0.1", description="A loopback address.")
    port: Port = 4573
    last_operator_days: int = Field(
        30, ge=1, le=3650, description="An operator who talked with the client earlier is not named."
    )


class Tags(_Section):
    """What operators and integrations say of a call (dropped, dnc, ticket …). Off unless switched on."""

    enabled: bool = Field(False, description="false: feature codes and commands that tag do nothing.")
    wrap_up_s: float = Field(
        60, ge=0, le=3600, description="So long after a call a dialled code means the operator's last call."
    )
    late_s: float = Field(
        86_400,
        ge=0,
        le=30 * 86_400,
        description="So long after its end a command may tag a call or ask to call back; the number of"
        " each client is kept as long.",
    )


class Commands(_Section):
    """Commands over MQTT and HTTP: tag, do-not-call, callback, complaint."""

    mqtt: bool = Field(False, description="true: take commands on commands/NAME, answer on replies/ID.")
    per_minute: int = Field(300, ge=1, le=100_000, description="Commands taken within a minute, by each way.")
    remember_days: int = Field(
        7, ge=1, le=365, description="A command that comes again within this gets the same answer again."
    )


class Web(_Section):
    """The HTTP server. Off unless switched on, and then it needs a token."""

    enabled: bool = False
    host: str = Field(
        "127.0.0.1", description="Where it listens; another address than loopback is for a proxy."
    )
    port: Port = 8089
    token: SecretStr | None = Field(None, description="What a client sends as `Authorization: Bearer …`.")
    token_file: Path | None = None

    @property
    def secret(self) -> str:
        return _secret(self.token, self.token_file, "web_token") or ""

    @model_validator(mode="after")
    def _token(self) -> Self:
        if self.enabled and self.token is None and self.token_file is None:
            message = "enabled = true needs a token or a token_file: at least 16 characters nobody guesses"
            raise ValueError(message)
        if self.token is not None and len(self.token.get_secret_value()) < SHORTEST_TOKEN:
            message = (
                f"the token has fewer than {SHORTEST_TOKEN} characters: make one with openssl rand -hex 24"
            )
            raise ValueError(message)
        return self


class Log(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: for people on a terminal, JSON elsewhere."
    )


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

    def line(self, name: str) -> Line:
        """A line by its name; one that is not configured has the defaults."""
        return next((item for item in self.lines if item.name == name), None) or Line(name=name)

    def profile(self, line: str) -> Profile:
        """The profile of a line, the default one for a line that is not configured."""
        name = next((item.profile for item in self.lines if item.name == line), DEFAULT_PROFILE)
        return self.profiles.get(name) or Profile()


def load(path: Path | None) -> Config:
    """The configuration in a TOML file, or the defaults where no file is given."""
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
        secret_files.refuse_open(path, values)
    file = str(path) if path is not None else "environment"
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, file, values)) from error
    except SettingsError as error:
        message = f"environment: {error}: a list or a section is given there as JSON"
        raise ConfigError(message) from error
