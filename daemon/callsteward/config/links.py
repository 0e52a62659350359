"""Whom the daemon talks to, and who may talk to it: Asterisk, broker, store, HTTP, FastAGI, commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from callsteward.config import places
from callsteward.config.section import Host, Name, Port, Section, secret_from

SHORTEST_TOKEN = 16


def _port(url: str) -> None:
    """Raise ValueError where a URL's port is none."""
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        message = "the port behind the host's colon must be a number from 1 to 65535"
        raise ValueError(message) from error


class Asterisk(Section):
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
    listen_host: Host = Field("127.0.0.1", description="outbound: where the daemon listens.")
    listen_port: Port = Field(8087, description="outbound: where the daemon listens.")
    silence_ms: int = Field(
        500, ge=10, le=10_000, description="The first number of TALK_DETECT(set)=500,256."
    )
    talk_detect: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto: an endpoint counts as heard once a talk event of it was seen, on any call; what is"
        " not heard is null. on: every endpoint is heard. off: talk events are ignored.",
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^/@\s?#]+(/[^@\s?#]*)?", value):
            message = (
                "http(s)://host:port without a user name and without a question mark; the password has its"
                " own key"
            )
            raise ValueError(message)
        _port(value)
        return value.rstrip("/").removesuffix("/ari")

    @property
    def secret(self) -> str:
        return secret_from(self.password, self.password_file, "asterisk_password") or ""


class Mqtt(Section):
    """The broker."""

    enabled: bool = True
    host: Host = "127.0.0.1"
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
        return secret_from(self.password, self.password_file, "mqtt_password")

    @model_validator(mode="after")
    def _together(self) -> Self:
        found = []
        if (self.ca_file or self.cert_file or self.key_file) and not self.tls:
            found.append("ca_file, cert_file and key_file need tls = true")
        if self.cloudevents == "binary" and self.version != "5":
            found.append(
                'cloudevents = "binary" needs version = "5": MQTT 3.1.1 has no place for the attributes;'
                ' cloudevents = "structured" has'
            )
        if found:
            raise ValueError("\n".join(found))
        return self


class Store(Section):
    """Where records are kept."""

    url: str = Field(
        "sqlite:///callsteward.db",
        description="sqlite:///relative.db (to systemd's state folder, else to the configuration file),"
        " sqlite:////absolute.db or postgresql://…",
    )
    _folder: Path = PrivateAttr(default_factory=Path)
    _warning: str = PrivateAttr("")

    @property
    def folder(self) -> Path:
        """Where what has no path of its own is kept: the journal of a database on a server."""
        return self._folder

    @property
    def warning(self) -> str:
        """What is doubtful about the place, empty where nothing is."""
        return self._warning

    def placed(self, folder: Path, *, daemon: bool) -> Self:
        """With a relative path as it begins in `folder`.

        For the daemon, which creates what is missing, a database in the working folder goes on to be the one:
        before, a relative path began there.
        """
        url, warning = places.placed(self.url, folder), ""
        old = places.in_working_folder(self.url)
        if daemon and old is not None and not places.there(url):
            url = places.placed(self.url, Path.cwd())
            warning = (
                "store.url is relative, and the database is in the working folder: write its full path,"
                f" {old}, into store.url, so that other commands find it"
            )
        found = self.model_copy(update={"url": url})
        found._folder = folder  # noqa: SLF001  # its own kind
        found._warning = warning  # noqa: SLF001
        return found

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        found = re.match(r"^(sqlite|postgres(?:ql)?)(\+\w+)?://", value)
        if found is None:
            message = "sqlite:///… or postgresql://…"
            raise ValueError(message)
        if found[1] == "sqlite":
            if re.match(r"[^/?]", value[found.end() :]):
                message = (
                    "a file has three slashes in front, or four where its path is absolute: sqlite:///file.db"
                )
                raise ValueError(message)
        elif "@" in value.partition("?")[0].partition("@")[2]:
            # A driver would look for a host whose name begins with the password's end.
            message = (
                "there is more than one @: write the one in the password as %40 (and / as %2F, : as %3A)"
            )
            raise ValueError(message)
        else:
            _port(value)
        return value


class Web(Section):
    """The HTTP server, for metrics and commands. Off unless switched on, and then it needs a token."""

    enabled: bool = False
    metrics: bool = Field(True, description="true: answer GET /metrics. Commands have a key of their own.")
    host: Host = Field(
        "127.0.0.1", description="Where it listens; another address than loopback is for a proxy."
    )
    port: Port = 8089
    token: SecretStr | None = Field(None, description="What a client sends as `Authorization: Bearer …`.")
    token_file: Path | None = None

    @property
    def secret(self) -> str:
        return secret_from(self.token, self.token_file, "web_token") or ""

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


class Agi(Section):
    """FastAGI: questions a dialplan asks. It has no password, so it listens on this machine alone."""

    enabled: bool = Field(False, description="true: answer AGI(agi://127.0.0.1:4573/…).")
    host: Literal["127.0.0.1", "::1"] = Field("127.0.0.1", description="A loopback address.")
    port: Port = 4573
    last_operator_days: int = Field(
        30, ge=1, le=3650, description="An operator who talked with the client earlier is not named."
    )


class Commands(Section):
    """Commands over MQTT and HTTP: tag, do-not-call, callback, complaint."""

    http: bool = Field(
        False,
        description="true: take commands over HTTP, where [web] listens. false: no route takes any.",
    )
    mqtt: bool = Field(False, description="true: take commands on commands/NAME, answer on replies/ID.")
    per_minute: int = Field(
        300,
        ge=1,
        le=100_000,
        description="Commands taken within a minute of one sender (`by`) by each way;"
        " of all senders five times as many.",
    )
    remember_days: int = Field(
        7, ge=1, le=365, description="A command that comes again within this gets the same answer again."
    )
