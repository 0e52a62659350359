"""A caller id as lines deliver it: a number, with what SIP and people write around it. Pure.

The text is chosen by a possible attacker: it counts as a number only if all of it has one of the forms below
(RFC 3966, RFC 3261 and how people write), and then only its digits are used.

- `+79031234567`, `8 (903) 123-45-67`, `+7.903.123.45.67`: digits with single separators between them
- followed by parameters: `+79031234567;cpc=ordinary`, `…;npdi;rn=+7900…`, `9031234567;phone-context=+7`
- as a URI: `tel:+7-903-123-45-67`, `sip:+79031234567;cpc=ordinary@pbx.example:5060;user=phone`
- with a name in front: `"Client" <sip:+79031234567@pbx.example>`
- any of them with characters as `%2B` or `%3B`
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_LONGEST: Final = 256
# A line delivers at most 15 digits, and people put separators between them; longer text is no number.
_LONGEST_NUMBER: Final = 32
# Possessive throughout, so that no input takes long.
_WRITTEN: Final = re.compile(r"\+?[0-9]++(?:[ -]?\([0-9]{1,5}\))?+(?:[ -]?[0-9]++)*+\Z")
# Dots are separators only after a plus: without one, the text is an IP address (192.0.2.10).
_DOTTED: Final = re.compile(r"\+[0-9]++(?:[ .-]?\([0-9]{1,5}\))?+(?:[ .-]?[0-9]++)*+\Z")
_PARAMETERS: Final = re.compile(
    r"(?:;[A-Za-z0-9-]{1,32}+(?:=(?:[A-Za-z0-9_.+~*:-]{1,128}+|\"[A-Za-z0-9_.+~*:; -]{0,128}+\"))?+)++\Z"
)
_NAMED: Final = re.compile(
    r"(?:\"[^\"<>\x00-\x1f\x7f]{0,128}+\"|[^\"<>@:;%\x00-\x1f\x7f]{0,128}+)[ ]*+<([^<>\"]++)>\Z"
)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}+)(?::[0-9]{1,5})?+\Z")
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_CONTEXT: Final = re.compile(r"\+[0-9][0-9.()-]{0,20}\Z")


class Written(NamedTuple):
    """The digits of a number, with their plus if there was one; `context`: the prefix it lies within."""

    digits: str
    context: str = ""


def read(raw: str) -> Written | None:
    """The number in a caller id, None if it is no number."""
    if len(raw) > _LONGEST:
        return None
    text = raw.strip(" ")
    if "%" in text:
        text = _ESCAPED.sub(_unescaped, text)
    if text.endswith(">"):
        named = _NAMED.match(text)
        if named is None:
            return None
        text = named.group(1)
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() == "tel":
        text = rest
    elif colon and scheme.lower() in {"sip", "sips"}:
        text, at, where = rest.partition("@")
        host, semicolon, parameters = where.partition(";")
        if not at or not _HOST.match(host) or (semicolon and not _PARAMETERS.match(f";{parameters}")):
            return None
    number, semicolon, behind = text.partition(";")
    if len(number) > _LONGEST_NUMBER or not (_WRITTEN.match(number) or _DOTTED.match(number)):
        return None
    digits = "".join([char for char in number if char in "+0123456789"])
    return _within(digits, behind) if semicolon else Written(digits)


def _unescaped(escaped: re.Match[str]) -> str:
    return chr(int(escaped.group(1), 16))


def _within(digits: str, parameters: str) -> Written | None:
    if not _PARAMETERS.match(f";{parameters}"):
        return None
    context = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.lower() == "ext":
            return None  # a person behind a switchboard: the number alone reaches somebody else
        if name.lower() == "phone-context" and _CONTEXT.match(value):
            context = "+" + "".join([char for char in value if char in "0123456789"])
    return Written(digits, "" if digits.startswith("+") else context)
