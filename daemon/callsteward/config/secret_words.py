"""Secrets in the configuration, recognised by the names of their keys, and texts from which they are removed.

A URL holds a secret before its `@`, and in a parameter with a secret's name (`?password=`). Once the
configuration has been read (`keep_back`), the secrets themselves are removed from every later text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus

HIDDEN: Final = "***"
# The placeholder for secrets in the shipped example.
PLACEHOLDER: Final = "CHANGE_ME"
# Parameters of libpq's and asyncpg's URLs are among them: password, sslpassword, scram_client_key,
# oauth_client_secret. `passfile` and `sslkey` name files.
_NAME: Final = re.compile(
    r"passw|passphrase|pwd|^pass$|secret|token|credential|authorization|hmac|(?<!ssl)key$", re.IGNORECASE
)
# From a URL's user name to the last @, as SQLAlchemy reads it: a password may hold any character.
_USER: Final = re.compile(r"://[^\s:/]*:")
_WORD: Final = re.compile(r"\S+")
_IN_VALUE: Final = re.compile(r"^(?:[\w+.-]*://|(?!.*://))[^:/]*:(.*)@", re.DOTALL)
# A name and its value, which ends at the next parameter or at the end of the word or quotation.
_GIVEN_IN_TEXT: Final = re.compile(r"(?<![\w.%-])([\w.%-]+) ?= ?(\"[^\"]*|'[^']*|[^&\s]*)")
_GIVEN_IN_VALUE: Final = re.compile(r"(?<![\w.%-])([\w.%-]+)=([^&]*)")
# A mapping as Python and JSON write it.
_QUOTED: Final = re.compile(r"([\"'])([\w.-]+)\1: ?b?([\"'])((?:(?!\3)[^\\]|\\.)*)", re.DOTALL)
# The shortest secret that is removed: shorter ones occur in ordinary words.
_WORD_FROM: Final = 6

_words: set[str] = set()


class Secret(NamedTuple):
    """A secret. `where` is the full name of its setting."""

    where: str
    word: str


def is_secret(name: str) -> bool:
    """True if a setting of this name holds a secret. The path of a file with a secret is not one."""
    return _NAME.search(name) is not None and not name.lower().endswith(("file", "path"))


def secrets(values: Mapping[str, object], path: str = "") -> Iterator[Secret]:
    """Every secret in a configuration's values, at any depth."""
    for key, value in values.items():
        yield from _secrets(value, str(key), f"{path}.{key}" if path else str(key))


def _secrets(value: object, name: str, where: str) -> Iterator[Secret]:
    if isinstance(value, Mapping):
        yield from secrets(value, where)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item, name, where)
    elif isinstance(value, str):
        words = (
            [value] if is_secret(name) else [value[start:end] for start, end in _places(value, whole=True)]
        )
        yield from (Secret(where, word) for word in words if word and word != PLACEHOLDER)


def keep_back(*words: str | bytes | None) -> None:
    """From now on remove these secrets from every text, in plain and in URL encoding."""
    for word in words:
        text = word.decode(errors="replace") if isinstance(word, bytes) else word
        for spelled in {text, unquote(text), unquote_plus(text)} if text else ():
            if len(spelled) >= _WORD_FROM:
                _words.add(spelled)


def masked(text: str, *, whole: bool = False) -> str:
    """A text without secrets.

    `whole`: the text is a setting's value, which may be a URL with blanks in it.
    """
    for word in sorted(_words, key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    shown, after = [], 0
    for start, end in _places(text, whole=whole):
        shown += [text[after:start], HIDDEN]
        after = end
    return "".join([*shown, text[after:]])


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    """Where URLs in a text hold a password.

    The time grows with the text's length only, even if it is hostile.
    """
    for word in _WORD.finditer(text):
        user, end = _USER.search(word[0]), word[0].rfind("@")
        if user is not None and end >= user.end():
            yield word.start() + user.end(), word.start() + end


def _places(text: str, *, whole: bool) -> list[tuple[int, int]]:
    """The places of secrets in a text as (start, end), in order and without overlaps."""
    found = [match.span(1) for match in _IN_VALUE.finditer(text)] if whole else list(_passwords(text))
    found += [
        match.span(2)
        for match in (_GIVEN_IN_VALUE if whole else _GIVEN_IN_TEXT).finditer(text)
        # A URL may be a parameter of another one: asyncpg takes `?dsn=`.
        if is_secret(unquote(match[1])) or any(_passwords(unquote(match[2])))
    ]
    found += [match.span(4) for match in _QUOTED.finditer(text) if is_secret(match[2])]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if start == end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
