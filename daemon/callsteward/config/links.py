"""Connections of the daemon: Asterisk, broker, store, HTTP, FastAGI, commands."""

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
    """Raise ValueError where the port in a URL is not a port."""
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        message = "the port after the host's colon must be a number from 1 to 65535"
        raise ValueError(message) from error


class Asterisk(Section):
    """How the daemon and Asterisk connect."""

    connect: Literal["client", "outbound"] = Field(
        "client",
        description="client: the daemon dials Asterisk (16 and later)."
        " outbound: Asterisk 20.15/22.5+ dials the daemon and keeps events while it is away,"
        " but may crash where the daemon is killed amid calls.",
    )
    url: str = Field("http://127.0.0.1:8088", description="The address of Asterisk's HTTP server.")
    username: str = Field("callsteward", description="The user in Asterisk's ari.conf.")
    password: SecretStr | None = Field(None, description="The user's password; better in a file of its own.")
    password_file: Path | None = Field(
        None, description="The file with the password; unset: systemd's credential asterisk_password."
    )
    app: Name = Field("callsteward", description="The observer's ARI application.")
    ca_file: Path | None = Field(None, description="The certificate of the CA to trust for https.")
    listen_host: Host = Field(
        "127.0.0.1", description="outbound: the address on which the daemon listens for Asterisk."
    )
    listen_port: Port = Field(
        8087, description="outbound: the port on which the daemon listens for Asterisk."
    )
    silence_ms: int = Field(
        500, ge=10, le=10_000, description="The first number of TALK_DETECT(set)=500,256."
    )
    talk_detect: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto: an endpoint counts as heard once one of its talk events was seen, on any"
        " call; until then what it says is null in the records. on: every endpoint is"
        " heard. off: talk events are ignored.",
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
    """The MQTT broker."""

    enabled: bool = Field(True, description="false: nothing is published, no message is kept.")
    host: Host = Field("127.0.0.1", description="The broker's host.")
    port: Port = Field(1883, description="The broker's port; with TLS usually 8883.")
    username: str | None = Field(None, description="The user at the broker; unset: nobody.")
    password: SecretStr | None = Field(None, description="The user's password; better in a file of its own.")
    password_file: Path | None = Field(
        None, description="The file with the password; unset: systemd's credential mqtt_password."
    )
    root: str = Field(
        "callsteward", pattern=r"^[A-Za-z0-9_./-]{1,128}$", description="The first levels of every topic."
    )
    client_id: str | None = Field(None, description="The client id at the broker; unset: callsteward-SITE.")
    version: Literal["3.1.1", "5"] = Field("5", description="The version of MQTT that the broker speaks.")
    tls: bool = Field(False, description="true: the connection is encrypted and the broker's name checked.")
    ca_file: Path | None = Field(
        None, description="The certificate of the CA to trust; unset: those of the system."
    )
    cert_file: Path | None = Field(None, description="The certificate that the daemon shows to the broker.")
    key_file: Path | None = Field(None, description="The key of cert_file.")
    keepalive_s: int = Field(
        15,
        ge=5,
        le=3600,
        description="Seconds of silence after which the broker is asked for an answer.",
    )
    outbox_mb: float = Field(
        256,
        gt=0,
        le=1_000_000,
        description="Megabytes of messages kept on disk while the broker is away; beyond that the"
        " oldest are dropped.",
    )
    cloudevents: Literal["off", "structured", "binary"] = Field(
        "off",
        description="CloudEvents 1.0. structured: a JSON object with the attributes, and the message in"
        " `data`. binary: the message stays as it is and the attributes are User Properties"
        " of MQTT 5.",
    )
    discovery_prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=128,
        description="Home Assistant's discovery prefix; its own default is homeassistant. Unset:"
        " nothing is announced.",
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


class StoreSettings(Section):
    """The database for records, ledgers and outbox."""

    url: str = Field(
        "sqlite:///callsteward.db",
        description="sqlite:///relative.db (relative to systemd's state folder, else to the"
        " configuration file), sqlite:////absolute.db or postgresql://…",
    )
    retention_days: int | None = Field(
        None,
        ge=40,
        le=36_500,
        description="Days for which call records are kept, with their tags and settled work; unset: for ever."
        " At least 40, since intervals of the last 35 days may still be summed again.",
    )
    compress_records: bool | None = Field(
        None,
        description="true: call records are stored compressed, in an eighth of the space. Unset: true with"
        " SQLite, false with PostgreSQL, where a daemon of an earlier version, which cannot read them, may"
        " still be running at another site: set it to true there when all daemons of the database are"
        " upgraded.",
    )
    _folder: Path = PrivateAttr(default_factory=Path)
    _warning: str = PrivateAttr("")

    @property
    def compresses(self) -> bool:
        """True if records are stored compressed."""
        return self.url.startswith("sqlite") if self.compress_records is None else self.compress_records

    @property
    def folder(self) -> Path:
        """The folder for files without a path of their own: the journal, where the store is a server."""
        return self._folder

    @property
    def warning(self) -> str:
        """A warning about the place of the database, empty where there is none."""
        return self._warning

    def placed(self, folder: Path, *, daemon: bool) -> Self:
        """The same settings, with a relative path resolved against `folder`.

        Earlier versions resolved it against the working folder. The daemon, which creates a missing database,
        goes on with one that is there.
        """
        url, warning = places.placed(self.url, folder), ""
        old = places.in_working_folder(self.url)
        if daemon and old is not None and not places.there(url):
            url = places.placed(self.url, Path.cwd())
            warning = (
                "store.url is relative, and the database is in the working folder: write"
                f" its full path, {old}, into store.url, so that other commands find it"
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
            # A driver would look for a host whose name begins with the end of the password.
            message = (
                "there is more than one @: write the one in the password as %40 (and / as %2F, : as %3A)"
            )
            raise ValueError(message)
        else:
            _port(value)
        return value


class Standby(Section):
    """A second daemon for the same PBX: both follow every call, one acts, the other takes over within 3 s."""

    instance: Name | None = Field(
        None,
        description="This daemon's name among the two of its site, such as a and b. Each has a machine or a"
        " state folder of its own and an asterisk.app of its own; site, store (PostgreSQL), broker and"
        " rating.app are the same. Unset: the site has one daemon.",
    )


class Web(Section):
    """The HTTP server for metrics and commands. Off unless switched on; it needs a token."""

    enabled: bool = Field(False, description="true: listen on host and port.")
    metrics: bool = Field(
        True, description="true: answer GET /metrics. Commands are switched on by commands.http."
    )
    host: Host = Field(
        "127.0.0.1",
        description="The address on which the server listens. Any other than loopback belongs behind a"
        " proxy.",
    )
    # None of Asterisk's or FreePBX's.
    port: Port = Field(8470, description="The port on which the server listens.")
    token: SecretStr | None = Field(
        None, description="The token that an HTTP client sends as `Authorization: Bearer …`."
    )
    token_file: Path | None = Field(
        None, description="The file with the token; unset: systemd's credential web_token."
    )

    @property
    def secret(self) -> str:
        return secret_from(self.token, self.token_file, "web_token") or ""

    @model_validator(mode="after")
    def _token(self) -> Self:
        if self.enabled and self.token is None and self.token_file is None:
            message = (
                "enabled = true needs a token or a token_file: at least 16 characters that nobody can guess"
            )
            raise ValueError(message)
        if self.token is not None and len(self.token.get_secret_value()) < SHORTEST_TOKEN:
            message = (
                f"the token has fewer than {SHORTEST_TOKEN} characters: make one with openssl rand -hex 24"
            )
            raise ValueError(message)
        return self


class Agi(Section):
    """FastAGI: questions that a dialplan asks. It has no password, so it listens on this machine alone."""

    enabled: bool = Field(False, description="true: answer AGI(agi://127.0.0.1:4573/…).")
    host: Literal["127.0.0.1", "::1"] = Field(
        "127.0.0.1", description="The loopback address on which the daemon listens."
    )
    port: Port = Field(4573, description="The port on which the daemon listens for FastAGI.")
    last_operator_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="An operator who talked with the client longer ago than this is not named.",
    )


class CommandsSettings(Section):
    """Commands over MQTT and HTTP: tag, do-not-call, callback, complaint."""

    http: bool = Field(
        False,
        description="true: take commands over HTTP, on the server of [web]. false: refuse them there.",
    )
    mqtt: bool = Field(False, description="true: take commands on commands/NAME and answer on replies/ID.")
    per_minute: int = Field(
        300,
        ge=1,
        le=100_000,
        description="Commands accepted from one sender (`by`) within a minute, counted apart for MQTT"
        " and HTTP; from all senders together five times as many.",
    )
    remember_days: int = Field(
        7,
        ge=1,
        le=365,
        description="A command repeated within this time gets the same answer and is not carried out again.",
    )
