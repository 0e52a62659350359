"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A list of more names than this is no help.
_MOST = 3


def nearest(written: str, names: Iterable[str]) -> list[str]:
    """The names most similar to the one written, the nearest first; empty where none is similar."""
    by_fold = {name.casefold(): name for name in names}
    return [by_fold[near] for near in difflib.get_close_matches(written.casefold(), by_fold, n=_MOST)]


def meant(written: str, names: Iterable[str]) -> str:
    """A hint to append to an unknown name: the nearest names, or all of them where there are few."""
    known = list(names)
    near = nearest(written, known)
    if near:
        return f"; did you mean {_either(near)}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= _MOST else ""


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
