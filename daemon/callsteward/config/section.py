"""What the sections of the configuration are made of: the kinds of values, and where secrets come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from callsteward.config import secret_files, secret_words
from callsteward.config.nearest import meant

# A name becomes a level of an MQTT topic and part of a URL.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Port = Annotated[int, Field(ge=1, le=65_535)]


def _host_alone(value: str) -> str:
    """The value, where it is no URL and no `user:password@host`. Raises ValueError."""
    if not re.fullmatch(r"[\w.-]{1,253}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%\w+)?\]?", value):
        message = "a host's name or address alone; port, TLS, user name and password have keys of their own"
        raise ValueError(message)
    return value


Host = Annotated[str, AfterValidator(_host_alone)]

# Seconds that something may last.
Span = Annotated[float, Field(gt=0, le=86_400)]
# What a dial string may hold around the number: nothing that Dial() reads as an option or another device.
DialString = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9_.+/-]*\{number\}[A-Za-z0-9_.@-]*$")
]
CallerId = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{2,15}$")]
# How numbers begin, with country code.
Beginning = Annotated[str, StringConstraints(pattern=r"^\+[0-9]{1,15}$")]
# Seven digits before a wildcard: a wider pattern would take clients who are called for operators.
OutsideNumber = Annotated[
    str, StringConstraints(pattern=r"^\+[0-9]{7,15}([*?]|\[[0-9-]{1,10}\]){0,8}[0-9]{0,8}$")
]
# A folder's name, and what Asterisk's CHANNEL(language) takes.
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
PhoneType = Literal["mobile", "fixed_line", "voip", "personal", "toll_free"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def secret_from(value: SecretStr | None, file: Path | None, credential: str) -> str | None:
    """From the file named, else from systemd's credential of this name, else the value itself."""
    if file is None:
        file = secret_files.credential(credential)
    if file is not None:
        return secret_files.read(file)
    secret = value.get_secret_value() if value is not None else None
    secret_words.keep_back(secret)
    return secret


def time_zone(value: str | None) -> str | None:
    """The value, where it is an IANA time zone or None. Raises ValueError."""
    if value is not None and value not in available_timezones():
        near = meant(value, available_timezones())
        message = f"not an IANA time zone{near or '; one such as Europe/Moscow or Asia/Yekaterinburg'}"
        raise ValueError(message)
    return value


def known_region(value: str) -> str:
    """The value, where phonenumbers knows such a region. Raises ValueError."""
    if value not in phonenumbers.SUPPORTED_REGIONS:
        message = "not a region; two capital letters such as RU, KZ, DE"
        raise ValueError(message)
    return value
