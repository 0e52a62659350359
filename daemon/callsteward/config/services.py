"""What the daemon does with the calls: callbacks, ratings, intervals, tags, numbers, its log."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from callsteward.config.section import (
    Beginning,
    CallerId,
    DialString,
    Language,
    Name,
    PhoneType,
    Section,
    Span,
    known_region,
    secret_from,
)


class Callback(Section):
    """The one call after a talk that broke (docs/standard.md, `one_callback`). Off unless switched on."""

    enabled: bool = Field(False, description="false: nothing is ever dialled, the record only says `due`.")
    regions: tuple[str, ...] = Field(
        (),
        description="Where may be called; empty: the site's region. Territories and networks within a"
        " region's country code that are not plainly domestic are left out (Abkhazia's +7840 and +7940).",
    )
    types: tuple[PhoneType, ...] = Field(("mobile", "fixed_line"), description="Which numbers may be called.")
    allowed_prefixes: tuple[Beginning, ...] = Field(
        (), description="E.164 beginnings that may be called though they lie outside of the regions."
    )
    denied_prefixes: tuple[Beginning, ...] = Field(
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
        return tuple(known_region(value) for value in values)

    @field_validator("hours_from", "hours_to")
    @classmethod
    def _local(cls, value: time) -> time:
        if value.tzinfo is not None:  # a number, which pydantic takes for seconds in UTC
            message = "must be a time of day, such as 09:00:00"
            raise ValueError(message)
        return value

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


class Rating(Section):
    """The rating after the call (docs/standard.md, `rating`). Off by default; a line's profile says how."""

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


class Intervals(Section):
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


class Tags(Section):
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


class Privacy(Section):
    """How a client's number leaves the daemon: masked, or as a keyed HMAC."""

    hmac_key: SecretStr | None = Field(None, description="Key of client_ref. Unset: client_ref is null.")
    hmac_key_file: Path | None = None

    @property
    def key(self) -> bytes | None:
        secret = secret_from(self.hmac_key, self.hmac_key_file, "hmac_key")
        return secret.encode() if secret else None


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: for people on a terminal, JSON elsewhere."
    )
