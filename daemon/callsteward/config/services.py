"""Settings of what the daemon does: callbacks, ratings, intervals, tags, numbers, its log."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from callsteward.config.section import (
    Beginning,
    CallerNumber,
    DialString,
    Duration,
    Language,
    Name,
    PhoneType,
    Section,
    known_region,
    secret_from,
)


class CallbackSettings(Section):
    """The callback after a mid-dialogue drop (docs/standard.md, `one_callback`). Off unless switched on."""

    enabled: bool = Field(False, description="false: no client is called; the record only says `due`.")
    regions: tuple[str, ...] = Field(
        (),
        description="Regions that may be called; empty: the site's region. Territories and networks"
        " within a region's country code that are not plainly domestic are left out"
        " (Abkhazia's +7840 and +7940).",
    )
    types: tuple[PhoneType, ...] = Field(
        ("mobile", "fixed_line"), description="Types of numbers that may be called."
    )
    allowed_prefixes: tuple[Beginning, ...] = Field(
        (),
        description="First digits, in E.164, of numbers that may be called although they lie outside"
        " the regions.",
    )
    denied_prefixes: tuple[Beginning, ...] = Field(
        ("+7954",),
        description="First digits, in E.164, of numbers that are never called. +7954 are satellite phones.",
    )
    hours_from: time = Field(time(9), description="Start of the calling hours, in the client's time zone.")
    hours_to: time = Field(time(20), description="End of the calling hours.")
    zones: Literal["number", "line"] = Field(
        "number",
        description="The client's time zone. number: every zone that the number can be in must be"
        " within hours. line: the line's zone counts.",
    )
    exempt_s: float = Field(
        900, ge=0, le=86_400, description="Calling hours are ignored for this long after the drop."
    )
    per_number_a_day: int = Field(
        3, ge=1, le=100, description="The most callbacks to one number within 24 hours."
    )
    per_line_an_hour: int = Field(
        60, ge=1, le=100_000, description="The most callbacks of one line within an hour."
    )
    same_operator_s: float = Field(
        20, ge=0, le=3600, description="For this many seconds only the operator who had the client is rung."
    )
    expire_s: Duration = Field(
        1800, description="A callback expires when no operator has taken it within this time."
    )
    alert_s: Duration = Field(300, description="Alert when a callback waits longer than this.")
    operator_ring_s: Duration = Field(15, description="How long an operator's phone rings.")
    ask_again_s: Duration = Field(
        20, description="An operator who did not answer is rung again after this time."
    )
    ring_s: int = Field(30, ge=5, le=180, description="How long the client's phone rings.")
    sticky: bool = Field(
        False,
        description="A client who calls again before the callback can be put through to the operator"
        " they had: the dialplan is told who that was.",
    )
    press_1: bool = Field(False, description="The operator presses 1 before the client is dialled.")
    press_1_s: int = Field(8, ge=2, le=60, description="How long the operator has to press 1.")
    max_parallel: int = Field(5, ge=1, le=1000, description="The most callbacks in progress at once.")
    per_minute: int = Field(
        30, ge=1, le=10_000, description="The most operators' phones rung within a minute."
    )
    operator_dial: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9_.@/{}-]+$")] = Field(
        "PJSIP/{operator}", description="The dial string of an operator's phone."
    )
    dial: DialString = Field(
        "PJSIP/{number}@trunk",
        description="The dial string for the client. {number}: digits with country code, no plus.",
    )
    caller_id: CallerNumber | None = Field(
        None, description="The number that the client's phone shows; unset: the trunk's."
    )
    retention_days: int = Field(
        365, ge=1, le=3650, description="Days for which the ledger keeps full numbers."
    )

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


class RatingSettings(Section):
    """The rating after the call (docs/standard.md, `rating`).

    Off by default; each line's profile says how to ask.
    """

    enabled: bool = Field(False, description="false: no client is asked.")
    app: Name = Field(
        "callsteward-ivr", description="The ARI application that the dialplan names in Stasis()."
    )
    prompts_dir: str = Field(
        "/var/lib/callsteward/prompts",
        pattern=r"^/[A-Za-z0-9_./-]{1,200}$",
        description="The folder of the prompts as Asterisk sees it, with one folder for each language.",
    )
    language: Language = Field(
        "ru", description="Language of the prompts, where neither the call nor the line has one."
    )
    answer_s: float = Field(6, ge=2, le=30, description="How long the menu waits for a key after a prompt.")
    comment_max_s: int = Field(60, ge=5, le=600, description="The longest spoken comment.")
    ring_s: int = Field(30, ge=5, le=180, description="call: how long the client's phone rings.")
    expire_h: float = Field(24, gt=0, le=720, description="call: a rating call expires after this time.")
    max_parallel: int = Field(
        2, ge=1, le=1000, description="call: the most rating calls in progress at once."
    )
    per_minute: int = Field(
        10, ge=1, le=10_000, description="call: the most rating calls begun within a minute."
    )
    retention_days: int = Field(
        365, ge=1, le=3650, description="Days for which numbers and spoken comments are kept."
    )


class Intervals(Section):
    """Interval sums per line and per operator, for workforce management."""

    enabled: bool = Field(
        True, description="false: no interval is published; `callsteward report` works all the same."
    )
    minutes: Literal[15, 30] = Field(30, description="Length of an interval in minutes, aligned to UTC.")
    answer_within_s: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3600)], ...], Field(min_length=1, max_length=10)
    ] = Field(
        (10, 20, 30),
        description="Thresholds T in seconds of answered_le_T, abandoned_le_T and the service levels.",
    )
    expire_hours: int = Field(48, ge=1, le=720, description="How long the broker keeps a published interval.")

    @field_validator("answer_within_s")
    @classmethod
    def _thresholds(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(values)))


class Tags(Section):
    """Tags that operators and integrations give a call (dropped, dnc, ticket …). Off unless switched on."""

    enabled: bool = Field(False, description="false: feature codes and tag commands do nothing.")
    wrap_up_s: float = Field(
        60,
        ge=0,
        le=3600,
        description="A code dialled within this time after a call tags the operator's last call.",
    )
    late_s: float = Field(
        86_400,
        ge=0,
        le=30 * 86_400,
        description="Within this time after its end a call can be tagged, or called back, by command;"
        " each client's number is kept for as long.",
    )


class Privacy(Section):
    """How a client's number leaves the daemon: masked, or as a keyed HMAC."""

    hmac_key: SecretStr | None = Field(None, description="Key of client_ref. Unset: client_ref is null.")
    hmac_key_file: Path | None = Field(
        None, description="The file with the key; unset: systemd's credential hmac_key."
    )

    @property
    def key(self) -> bytes | None:
        secret = secret_from(self.hmac_key, self.hmac_key_file, "hmac_key")
        return secret.encode() if secret else None


class Log(Section):
    """The daemon's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are written."
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: readable lines on a terminal, JSON elsewhere."
    )
