"""Which settings hold a secret, told by their names wherever they stand, and texts without those secrets.

A URL holds one before its `@` and in a parameter whose name says so (`?password=`). What a configuration has
of them is known once it has been read (`keep_back`): those very words are taken out of whatever is said then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus

HIDDEN: Final = "***"
# What the shipped example holds in place of a secret.
PLACEHOLDER: Final = "CHANGE_ME"
# Parameters of libpq's and asyncpg's URLs are among them: password, sslpassword, scram_client_key,
# oauth_client_secret. `passfile` and `sslkey` name files.
_NAME: Final = re.compile(
    r"passw|passphrase|pwd|^pass$|secret|token|credential|authorization|hmac|(?<!ssl)key$", re.IGNORECASE
)
# From a URL's user name to the last @, as SQLAlchemy reads it: a password may have any character in it.
_USER: Final = re.compile(r"://[^\s:/]*:")
_WORD: Final = re.compile(r"\S+")
_IN_VALUE: Final = re.compile(r"^(?:[\w+.-]*://|(?!.*://))[^:/]*:(.*)@", re.DOTALL)
# A name and what is given to it: until the next parameter, or the end of the word or quotation.
_GIVEN_IN_TEXT: Final = re.compile(r"(?<![\w.%-])([\w.%-]+) ?= ?(\"[^\"]*|'[^']*|[^&\s]*)")
_GIVEN_IN_VALUE: Final = re.compile(r"(?<![\w.%-])([\w.%-]+)=([^&]*)")
# As Python and JSON write a mapping.
_QUOTED: Final = re.compile(r"([\"'])([\w.-]+)\1: ?b?([\"'])((?:(?!\3)[^\\]|\\.)*)", re.DOTALL)
# Shorter ones would take words out of every line.
_WORD_FROM: Final = 6

_words: set[str] = set()


class Secret(NamedTuple):
    """`where`: the setting's whole name."""

    where: str
    word: str


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret. A file that holds one is none itself."""
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
    """Take these very words out of all that is said from now on, as they are and as a URL has them."""
    for word in words:
        text = word.decode(errors="replace") if isinstance(word, bytes) else word
        for spelled in {text, unquote(text), unquote_plus(text)} if text else ():
            if len(spelled) >= _WORD_FROM:
                _words.add(spelled)


def masked(text: str, *, whole: bool = False) -> str:
    """A text without secrets. `whole`: it is a setting's value, which may be a URL with blanks in it."""
    for word in sorted(_words, key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    shown, after = [], 0
    for start, end in _places(text, whole=whole):
        shown += [text[after:start], HIDDEN]
        after = end
    return "".join([*shown, text[after:]])


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    """Where URLs in a text have a password; in a time that grows with its length alone, hostile or not."""
    for word in _WORD.finditer(text):
        user, end = _USER.search(word[0]), word[0].rfind("@")
        if user is not None and end >= user.end():
            yield word.start() + user.end(), word.start() + end


def _places(text: str, *, whole: bool) -> list[tuple[int, int]]:
    """From where to where a text has secrets, in order, none over another."""
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
