"""Makes text from others (callers, phones, integrations) safe to show on a terminal."""

from __future__ import annotations

import re

# Controls, of which ESC begins what moves a cursor or sets a title, and those that turn the order of writing:
# with either a line can say what nobody wrote.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """The text, a mark in place of each character that a terminal would carry out."""
    return _UNSEEN.sub(_REPLACEMENT, text)


def visible_lines(text: str) -> str:
    """The same of a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))
