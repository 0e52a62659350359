"""Asterisk's request when a dialplan runs AGI(agi://…): parsed, bounded, not trusted. Pure.

A request is a block of `agi_name: value` lines that an empty line ends. The caller id in it may be an
attacker's. A name that occurs twice could be a line that somebody smuggled into their caller name, so such a
block is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

from callsteward.exceptions import CallstewardError

MAX_BYTES = 16 * 1024
"""Asterisk's own block has about 700 bytes; the rest is room for arguments."""
MAX_PARAMS = 16

_LINE = re.compile(r"(agi_[a-z0-9_]{1,32}):(?: (.*))?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCRIPT = re.compile(r"[a-z][a-z-]{0,31}\Z")
_UNIQUE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,150}\Z")
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z")
# Asterisk's word for a missing value.
_NONE = frozenset({"", "unknown"})


class AgiError(CallstewardError):
    """A request that cannot be answered: the dialplan reads AGISTATUS=FAILURE and goes on."""


class AgiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question. `caller`, `args` and `params` are as they came: hostile until parsed.

    `channel` is the channel's name, `channel_id` its id. `params` are those of the URL
    (agi://127.0.0.1:4573/tag?tag=dropped), `args` those of AGI(…,one,two).
    """

    script: str
    channel_id: str
    channel: str = ""
    caller: str | None = None
    called: str | None = None
    context: str = ""
    language: str = ""
    params: Mapping[str, str] = {}
    args: tuple[str, ...] = ()


def parse(block: bytes) -> AgiRequest:
    """The request in a block of lines. Raises AgiError, whose message holds no text of the caller's."""
    if len(block) > MAX_BYTES:
        message = f"a request of more than {MAX_BYTES} bytes"
        raise AgiError(message)
    values = _values(block.decode("utf-8", "replace"))
    location = values.get("agi_network_script")
    channel_id = values.get("agi_uniqueid", "")
    if location is None or not _UNIQUE_ID.match(channel_id):
        message = "a request without agi_network_script or agi_uniqueid"
        raise AgiError(message)
    script, params = _location(location)
    return AgiRequest(
        script=script,
        channel_id=channel_id,
        channel=values.get("agi_channel", ""),
        caller=_present(values, "agi_callerid"),
        called=_present(values, "agi_dnid") or _present(values, "agi_extension"),
        context=values.get("agi_context", ""),
        language=values.get("agi_language", ""),
        params=params,
        args=_arguments(values),
    )


def set_variable(name: str, value: str) -> bytes:
    """The command that sets a channel variable, whatever `value` holds.

    Control characters become spaces: a line break would end the command and begin another. Raises ValueError
    if `name` is no variable's name.
    """
    if not _NAME.match(name):
        message = f"not a variable's name: {name!r}"
        raise ValueError(message)
    quoted = _CONTROL.sub(" ", value).replace("\\", "\\\\").replace('"', '\\"')
    return f'SET VARIABLE {name} "{quoted}"\n'.encode("utf-8", "replace")


def _values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        found = _LINE.match(line)
        if found is None:
            message = "a line is not `agi_name: value`"
            raise AgiError(message)
        name = found[1]
        if name in values:
            message = f"{name} is there twice"
            raise AgiError(message)
        values[name] = found[2] or ""
    return values


def _location(location: str) -> tuple[str, dict[str, str]]:
    """The script's name and its parameters, from `arrival?line=support`."""
    try:
        parts = urlsplit(location)
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=MAX_PARAMS
        )
    except ValueError as error:
        message = "the URL's parameters cannot be read; agi://127.0.0.1:4573/script?name=value"
        raise AgiError(message) from error
    script = parts.path.strip("/")
    if not _SCRIPT.match(script):
        message = "the URL names no script; agi://127.0.0.1:4573/arrival"
        raise AgiError(message)
    params = dict(pairs)
    if len(params) != len(pairs):
        message = "a parameter is in the URL twice"
        raise AgiError(message)
    return script, params


def _present(values: Mapping[str, str], name: str) -> str | None:
    value = values.get(name, "")
    return None if value in _NONE else value


def _arguments(values: Mapping[str, str]) -> tuple[str, ...]:
    arguments: list[str] = []
    while (value := values.get(f"agi_arg_{len(arguments) + 1}")) is not None:
        arguments.append(value)
    return tuple(arguments)
