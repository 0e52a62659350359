"""Building blocks of the configuration's sections: types of values, and where secrets come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic.json_schema import GenerateJsonSchema

from callsteward.config import secret_files, secret_words
from callsteward.config.nearest import meant

# A name becomes a level of an MQTT topic and part of a URL.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Port = Annotated[int, Field(ge=1, le=65_535)]


def _host_alone(value: str) -> str:
    """The value, unless it is a URL or `user:password@host`: then raises ValueError."""
    if not re.fullmatch(r"[\w.-]{1,253}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%\w+)?\]?", value):
        message = (
            "give a host name or address alone; port, TLS, user name and password have keys of their own"
        )
        raise ValueError(message)
    return value


Host = Annotated[str, AfterValidator(_host_alone)]

# A duration in seconds.
Duration = Annotated[float, Field(gt=0, le=86_400)]
# A dial string with the number in it: nothing in it that Dial() reads as an option or another device.
DialString = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9_.+/-]*\{number\}[A-Za-z0-9_.@-]*$")
]
# A queue, and how it names a member. Neither has a comma: it would part two names in a request.
QueueName = Annotated[str, StringConstraints(pattern=r"^[^\s,]{1,80}$")]
Member = Annotated[
    str, StringConstraints(pattern=r"^(\{phone\}|[A-Za-z0-9]+/[\w.@/-]*\{operator\}[\w.@/-]*)$")
]
# A pause's reason goes into the dialplan: nothing in it that means something there.
PauseReason = Annotated[str, StringConstraints(pattern=r"^\w[\w .-]{0,39}$")]
PauseReasonKey = Annotated[str, StringConstraints(pattern=r"^[1-9]$")]
CallerNumber = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{2,15}$")]
# The first digits of numbers, with country code.
Beginning = Annotated[str, StringConstraints(pattern=r"^\+[0-9]{1,15}$")]
# Seven digits before a wildcard: a wider pattern would take called clients for operators.
OutsideNumber = Annotated[
    str, StringConstraints(pattern=r"^\+[0-9]{7,15}([*?]|\[[0-9-]{1,10}\]){0,8}[0-9]{0,8}$")
]
# The name of a folder, and a value of Asterisk's CHANNEL(language).
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
PhoneType = Literal["mobile", "fixed_line", "voip", "personal", "toll_free"]


def _table(section: type) -> str:
    return section.__name__.removesuffix("Settings")


class Section(BaseModel):
    """A table of the file. The schema calls it by its name there: StoreSettings is `Store`."""

    model_config = ConfigDict(extra="forbid", frozen=True, model_title_generator=_table)


class TableNames(GenerateJsonSchema):
    """Makes the configuration's schema, with the tables' names for its definitions."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name.removesuffix("Settings"))


def secret_from(value: SecretStr | None, file: Path | None, credential: str) -> str | None:
    """The secret from `file`, else from systemd's credential of this name, else the value itself."""
    if file is None:
        file = secret_files.credential(credential)
    if file is not None:
        return secret_files.read(file)
    secret = value.get_secret_value() if value is not None else None
    secret_words.keep_back(secret)
    return secret


def time_zone(value: str | None) -> str | None:
    """The value, if it is an IANA time zone or None: else raises ValueError."""
    if value is not None and value not in available_timezones():
        near = meant(value, available_timezones())
        message = f"not an IANA time zone{near or '; one such as Europe/Moscow or Asia/Yekaterinburg'}"
        raise ValueError(message)
    return value


def known_region(value: str) -> str:
    """The value, if it is a region of phonenumbers: else raises ValueError."""
    if value not in phonenumbers.SUPPORTED_REGIONS:
        message = "not a region; it has two capital letters, such as RU, KZ, DE"
        raise ValueError(message)
    return value
