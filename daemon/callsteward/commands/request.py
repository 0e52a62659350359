"""A command as somebody sent it, read from bytes that may be anything. Pure.

Five commands, each a JSON object with an `id` of the sender's choice: the same id again is the same
command again. Keys that are not listed are refused, so that a misspelt one is not passed over.
"""

from __future__ import annotations

import re
from typing import Literal, TypeVar

import msgspec

from callsteward.exceptions import NOT_JSON, CallstewardError
from callsteward.record.tag import Given, TagError, read, text

LARGEST = 8 * 1024
"""Bytes of a command's body."""
LONGEST_BY = 64

# It is a level of a topic just as it is.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_OPERATOR = re.compile(r"[!-~]{1,64}\Z")
# The same as a configured one: it goes into the dialplan.
_REASON = re.compile(r"\w[\w .-]{0,39}\Z")
_CALL_ID = re.compile(r"[!-~]{1,128}\Z")


class MalformedCommandError(CallstewardError):
    """A command that cannot be carried out as it stands. `id` is empty where none could be read."""

    def __init__(self, detail: str, command_id: str = "", *, reason: str = "malformed") -> None:
        super().__init__(detail)
        self.reason = reason
        self.id = command_id


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    by: str = ""
    """Who asks, for the books: a person's or a program's name."""


class TagCommand(_Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tag`: say something of a call, on or over."""

    call_id: str
    tag: str
    value: str = ""

    @property
    def given(self) -> Given:
        return read(self.tag, self.value)


class DncCommand(_Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dnc`: put a number, or the client of a call, on the do-not-call list, or take a number off it."""

    action: Literal["add", "remove"]
    number: str = ""
    call_id: str = ""
    comment: str = ""


class CallbackCommand(_Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`callback`: cancel the callback of a call, or ask for one."""

    action: Literal["cancel", "request"]
    call_id: str
    comment: str = ""


class ComplaintCommand(_Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`complaint`: a supervisor has seen it."""

    action: Literal["acknowledge"]
    call_id: str
    comment: str = ""


class StatusCommand(_Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: an operator is busy, away, back, or ready again after a talk."""

    operator: str
    action: Literal["busy", "away", "back", "ready"]
    reason: str = ""

    @property
    def call_id(self) -> str:
        """It is about no call."""
        return ""


Command = TagCommand | DncCommand | CallbackCommand | ComplaintCommand | StatusCommand
KINDS: dict[str, type[Command]] = {
    "tag": TagCommand,
    "dnc": DncCommand,
    "callback": CallbackCommand,
    "complaint": ComplaintCommand,
    "status": StatusCommand,
}


class _Id(msgspec.Struct):
    id: str


C = TypeVar("C", bound=Command)


def parse(name: str, body: bytes) -> Command:
    """The command of a name and a body. Raises MalformedCommandError, with the id where one can be read."""
    if len(body) > LARGEST:
        message = f"a command has at most {LARGEST} bytes, this one {len(body)}"
        raise MalformedCommandError(message, reason="too_large")
    kind = KINDS.get(name)
    if kind is None:
        message = f"no such command; there is {', '.join(KINDS)}"
        raise MalformedCommandError(message, _id_of(body), reason="unknown_command")
    try:
        command = msgspec.json.decode(body, type=kind)
    except NOT_JSON as error:
        message = f"{name}: {error}"
        raise MalformedCommandError(message, _id_of(body)) from error
    return _checked(command, name)


def _id_of(body: bytes) -> str:
    try:
        command_id = msgspec.json.decode(body, type=_Id).id
    except NOT_JSON:
        return ""
    return command_id if _ID.match(command_id) else ""


def _checked(command: Command, name: str) -> Command:
    if not _ID.match(command.id):
        message = "id: 1 to 64 letters, digits and . _ -"
        raise MalformedCommandError(message)
    try:
        if command.by:
            text(command.by, "by", LONGEST_BY)
        if isinstance(command, TagCommand):
            _ = command.given
        elif isinstance(command, StatusCommand):
            _check_status(command)
        elif command.comment:
            text(command.comment, "comment")
    except TagError as error:
        message = f"{name}: {error}"
        raise MalformedCommandError(message, command.id) from error
    if isinstance(command, DncCommand):
        _check_dnc(command)
    elif not isinstance(command, StatusCommand) and not _CALL_ID.match(command.call_id):
        message = "call_id: that of a call record"
        raise MalformedCommandError(message, command.id)
    return command


def _check_status(command: StatusCommand) -> None:
    if command.reason and (command.action != "busy" or not _REASON.match(command.reason)):
        message = "status: a reason goes with busy: up to 40 letters, digits, spaces and . _ -"
    elif not _OPERATOR.match(command.operator):
        message = "operator: the operator's name, as in operators/OPERATOR/now"
    else:
        return
    raise MalformedCommandError(message, command.id)


def _check_dnc(command: DncCommand) -> None:
    if bool(command.number) == bool(command.call_id):
        message = "dnc: either a number or a call_id"
    elif command.action == "remove" and not command.number:
        message = "dnc: remove takes a number"
    elif command.call_id and not _CALL_ID.match(command.call_id):
        message = "call_id: that of a call record"
    else:
        return
    raise MalformedCommandError(message, command.id)
