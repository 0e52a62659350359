"""A tag and its value, read from text that anybody may have written. Pure."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

import msgspec

from callsteward.exceptions import CallstewardError


class Tag(StrEnum):
    """The tags of a call. What follows from each: docs/operator.md."""

    DROPPED = "dropped"
    DNC = "dnc"
    ATYPICAL = "atypical"
    TICKET = "ticket"
    REGISTERED = "registered"
    COMPLAINT = "complaint"
    COMMENT = "comment"


class Source(StrEnum):
    """The way by which a tag or a command came."""

    PHONE = "phone"
    """Keys during the call."""
    WRAP_UP = "wrap_up"
    """A code dialled after it."""
    MQTT = "mqtt"
    HTTP = "http"
    AGI = "agi"
    """A dialplan's question over FastAGI."""


COMMANDED = frozenset({Source.MQTT, Source.HTTP, Source.AGI})
"""The ways by which an integration commands; what comes from a phone comes as an event of Asterisk."""


class TagError(CallstewardError):
    """An unknown tag, or a value that it cannot have. The message says what is allowed."""


class Given(msgspec.Struct, frozen=True):
    """A tag as it is kept. `value` is empty for a tag that has none."""

    tag: Tag
    value: str = ""

    def __str__(self) -> str:
        return f"{self.tag.value}={self.value}" if self.value else self.tag.value


class TagOnCall(msgspec.Struct, frozen=True):
    """A tag of a call that is on."""

    given: Given
    at_ms: int
    by: str
    source: Source

    @property
    def evidence(self) -> str:
        return evidence(self.given, self.by, self.source)


def evidence(given: Given, by: str, source: Source) -> str:
    """The line of evidence that a tag adds to a decision."""
    return f"tag {given.tag.value} by {by or 'nobody named'} ({source.value})"


LONGEST_TICKET = 64
LONGEST_COMMENT = 500
_TICKET = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._/#-]{{0,{LONGEST_TICKET - 1}}}\Z")
# Unicode's classes of characters that are invisible or turn a line around: control, format, surrogate,
# private, unassigned, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def text(value: str, what: str, longest: int = LONGEST_COMMENT) -> str:
    """The text without surrounding blanks; TagError if it is empty, too long or has invisible characters."""
    bare = value.strip(" ")
    if not bare or len(bare) > longest:
        message = f"{what}: 1 to {longest} characters, not {len(bare)}"
        raise TagError(message)
    unseen = next((char for char in bare if unicodedata.category(char) in _UNSEEN), None)
    if unseen is not None:
        message = f"{what}: no control characters (there is U+{ord(unseen):04X})"
        raise TagError(message)
    return bare


def read(name: str, value: str = "") -> Given:
    """The tag with a name and a value. Raises TagError."""
    try:
        tag = Tag(name)
    except ValueError as error:
        message = f"no such tag; there is {', '.join(item.value for item in Tag)}"
        raise TagError(message) from error
    if tag is Tag.COMMENT:
        return Given(tag, text(value, "comment"))
    if tag is Tag.TICKET:
        if not _TICKET.match(value):
            message = f"ticket: 1 to {LONGEST_TICKET} letters, digits and . _ / # -, such as ticket=INC-1042"
            raise TagError(message)
        return Given(tag, value)
    if value:
        message = f"{tag.value} takes no value"
        raise TagError(message)
    return Given(tag)


def parse(written: str) -> Given:
    """The tag in `TAG` or `TAG=VALUE`. Raises TagError."""
    name, equals, value = written.partition("=")
    if equals and not value:
        message = f"nothing behind the = of {name if name in set(Tag) else 'the tag'}"
        raise TagError(message)
    return read(name, value)
