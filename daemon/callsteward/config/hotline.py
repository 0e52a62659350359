"""The hotline itself: its site, its phones and lines, and the people at them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from callsteward.config.section import (
    CallerId,
    DialString,
    Language,
    Name,
    OutsideNumber,
    Section,
    known_region,
    time_zone,
)

DEFAULT_PROFILE = "standard"


class Site(Section):
    """One PBX."""

    name: Name = Field("main", description="The site's level in MQTT topics.")
    timezone: str = Field("Europe/Moscow", description="IANA zone for days and calling hours.")
    region: str = Field("RU", description="ISO 3166 region in which a number without a country code is read.")

    _zone = field_validator("timezone")(time_zone)

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        return known_region(value)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Endpoints(Section):
    """Which channels are operators' phones and which are outside lines.

    Patterns as in a shell (`PJSIP/1[0-9][0-9]`, `PJSIP/trunk*`), matched against the channel's
    technology and endpoint. A trunk pattern wins. Where neither matches, an endpoint named by two to
    six digits is taken for an operator's phone and any other for an outside line. Of an ISDN channel
    (`DAHDI/i1/79031234567-3`) the span (`DAHDI/i1`) is matched as well.
    """

    operators: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()


class Operator(Section):
    """One operator, by endpoint name."""

    name: str = ""
    grade: str = Field("", description="For limits that differ by grade, such as senior.")
    numbers: tuple[OutsideNumber, ...] = Field(
        (), description="Their phones outside (mobile queue members): E.164, shell patterns allowed."
    )


class Line(Section):
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

    _zone = field_validator("timezone")(time_zone)
