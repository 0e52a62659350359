"""A check's result: ok, a warning or a failure, and how to mend it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.config.secret_words import masked


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check. `mend` says what to do, null if nothing is to be done."""

    check: str
    status: Status
    found: str
    mend: str | None = None


def ok(check: str, found: str) -> Result:
    return Result(check, Status.OK, masked(found))


def warning(check: str, found: str, mend: str) -> Result:
    return Result(check, Status.WARNING, masked(found), masked(mend))


def failed(check: str, found: str, mend: str) -> Result:
    return Result(check, Status.FAILED, masked(found), masked(mend))
