"""The site, its endpoints and lines, and its operators."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from callsteward.config.section import (
    CallerNumber,
    DialString,
    Language,
    Name,
    OutsideNumber,
    Section,
    known_region,
    time_zone,
)
from callsteward.record.numbering import NumberFormat

DEFAULT_PROFILE = "standard"


class SiteSettings(Section):
    """One PBX."""

    name: Name = Field("main", description="The site's level in MQTT topics.")
    timezone: str = Field("Europe/Moscow", description="IANA zone for days and calling hours.")
    region: str = Field(
        "RU", description="ISO 3166 region: numbers without a country code are read as in this country."
    )

    _zone = field_validator("timezone")(time_zone)

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        return known_region(value)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class TrunkNumbers(Section):
    """How a trunk writes numbers without a plus, in both directions: "e164", "national", or a table."""

    format: Literal["e164", "national"] = Field(
        description="e164: with country code, 79031234567. national: as the site's region dials, with"
        " the trunk prefix or without, foreign ones with the international prefix: 89031234567, 9031234567,"
        " 8104740057948."
    )
    strip: str = Field(
        "", pattern=r"^[0-9]{0,8}$", description="Digits that the trunk puts before each number, such as 9."
    )
    add: str = Field(
        "",
        pattern=r"^[0-9]{0,8}$",
        description="Digits that the trunk leaves out at the beginning, such as 495.",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"format": value} if isinstance(value, str) else value

    def as_format(self) -> NumberFormat:
        return NumberFormat(self.format, self.strip, self.add)


class Endpoints(Section):
    """Which channels are operators' phones and which are outside lines.

    Patterns as in a shell (`PJSIP/1[0-9][0-9]`, `PJSIP/trunk*`), matched against the channel's technology and
    endpoint. A trunk pattern wins. Where no pattern matches, an endpoint named by two to six digits counts as
    an operator's phone and any other as an outside line. For an ISDN channel (`DAHDI/i1/79031234567-3`) the
    span (`DAHDI/i1`) is matched as well.
    """

    operators: tuple[str, ...] = Field((), description="Patterns of operators' phones, such as PJSIP/1??.")
    trunks: tuple[str, ...] = Field((), description="Patterns of outside lines, such as PJSIP/trunk*.")
    numbers: dict[str, TrunkNumbers] = Field(
        default_factory=dict,
        description="By trunk (a pattern): how it writes callers' numbers that have no plus. Without it"
        " such a number is one only where a single reading of its digits is valid. A text alone is for all"
        " trunks.",
    )

    @field_validator("numbers", mode="before")
    @classmethod
    def _all_trunks(cls, value: Any) -> Any:
        return {"*": value} if isinstance(value, str) else value


class Operator(Section):
    """One operator, named by endpoint."""

    name: str = Field("", description="The operator's name, for people who read lists and boards.")
    grade: str = Field(
        "", description="The operator's grade, such as senior, for limits that differ by grade."
    )
    numbers: tuple[OutsideNumber, ...] = Field(
        (), description="The operator's phones outside (mobile queue members): E.164, shell patterns allowed."
    )


class Line(Section):
    """A hotline: a queue, DID or context with its own standard profile."""

    name: Name = Field(description="The line's level in MQTT topics, and its name in records and reports.")
    title: str = Field("", description="The line's name for people who read lists and boards.")
    queues: tuple[str, ...] = Field((), description="Asterisk queues that belong to the line.")
    dids: tuple[str, ...] = Field(
        (), description="Dialled numbers (DIDs) of the line; shell patterns allowed."
    )
    contexts: tuple[str, ...] = Field((), description="Dialplan contexts in which the line's calls arrive.")
    profile: str = Field(
        DEFAULT_PROFILE, description="The profile in [profiles] that the line's calls are held to."
    )
    timezone: str | None = Field(None, description="IANA time zone of the line's clients; unset: the site's.")
    operators: tuple[str, ...] = Field(
        (), description="Operators who are offered the line's callbacks; empty: everybody in [operators]."
    )
    callback_dial: DialString | None = Field(None, description="callback.dial for this line.")
    callback_caller_id: CallerNumber | None = Field(None, description="callback.caller_id for this line.")
    language: Language | None = Field(
        None, description="Language of the line's rating prompts; unset: rating.language."
    )

    _zone = field_validator("timezone")(time_zone)
