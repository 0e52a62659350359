"""What a misspelt name was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# More names than these are no help.
_MOST = 3


def nearest(written: str, names: Iterable[str]) -> list[str]:
    """The names most like the one written, the nearest first; none where none is like it."""
    by_fold = {name.casefold(): name for name in names}
    return [by_fold[near] for near in difflib.get_close_matches(written.casefold(), by_fold, n=_MOST)]


def meant(written: str, names: Iterable[str]) -> str:
    """What to say behind a name nobody knows: the nearest ones, or what there is where that is little."""
    known = list(names)
    near = nearest(written, known)
    if near:
        return f"; did you mean {_either(near)}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= _MOST else ""


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
