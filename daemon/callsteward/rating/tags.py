"""The one seam to the tags of a call (`atypical`, `complaint`): whoever keeps them is asked here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

TagsOf = Callable[[str], Awaitable[frozenset[str]]]
"""The tags of a call by its call_id, as they are at that moment. May raise StoreError."""


async def no_tags(_call_id: str) -> frozenset[str]:
    """Of a daemon in which nobody keeps tags."""
    return frozenset()
