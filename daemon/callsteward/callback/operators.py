"""The choice of the operator who is asked to call the client back. Pure.

For `same_operator_s` only the operator who had the client is asked; after that every free operator of the
line. An operator who did not answer is not asked again for `ask_again_s`, and comes after those not yet
asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callsteward.callback.states import CallbackRow
    from callsteward.config import CallbackSettings

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


def dialable(operator: str) -> bool:
    """True if an operator's name may become part of a dial string."""
    return _PLAIN.match(operator) is not None


def choose(
    callback: CallbackRow,
    settings: CallbackSettings,
    of_line: Iterable[str],
    *,
    busy: Collection[str],
    tried: Mapping[str, int],
    now_ms: int,
) -> str | None:
    """The operator to ask now, None if nobody can be asked. `tried`: when each last did not answer."""
    same = callback.operator
    names = [same] if same is not None else []
    waited_ms = now_ms - callback.created_at_ms
    if same is None or same in tried or waited_ms >= settings.same_operator_s * 1000:
        names += [name for name in of_line if name != same]
    again_ms = now_ms - int(settings.ask_again_s * 1000)
    free = [
        name
        for name in names
        if name not in busy and tried.get(name, again_ms) <= again_ms and dialable(name)
    ]
    # Among equals min() takes the first.
    return min(free, key=lambda name: tried.get(name, 0), default=None)
