"""Where the daemon's CPU time goes: py-spy's stacks, each counted for one part of the daemon. Pure.

Only samples that hold the interpreter's lock are taken: py-spy cannot tell a thread that waits in the kernel
from one that works there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

_OURS: Final = "/callsteward/"
# A file belongs to the first entry that its path below the package begins with. None: it serves whoever
# called it, and the frame outside of it decides.
_PARTS: Final[tuple[tuple[str, str | None], ...]] = (
    ("ari/events", "tracker"),
    ("ari/stamp", "tracker"),
    ("ari/clock_", "tracker"),
    ("ari/census", "tracker"),
    ("ari/", "socket"),
    ("calls/", "tracker"),
    ("record/", "tracker"),
    ("standard/", "tracker"),
    ("journal/", "journal"),
    ("lost/", "judges"),
    ("callback/", "judges"),
    ("tags/", "judges"),
    ("rating/", "judges"),
    ("outgoing/", "judges"),
    ("part.py", "judges"),
    ("store/outbox", "outbox"),
    ("feed/delivery", "outbox"),
    ("store/records", "store"),
    ("store/", None),
    ("feed/", "MQTT"),
    ("intervals/", "intervals"),
    ("metrics/", "metrics"),
    ("stream/", "pump"),
    ("cli/", None),
    ("daemon/app", None),
    ("daemon/stopping", None),
    ("network/", None),
    ("faults", None),
    ("clock", None),
    ("", "other parts"),
)
# Where no frame of ours decides, the library that is innermost: SQLAlchemy runs in greenlets and aiosqlite in
# threads of their own, which do not show who asked.
_LIBRARIES: Final = (
    ("/sqlalchemy/", "store, for whom is not seen"),
    ("/aiosqlite/", "store, for whom is not seen"),
    ("/callsteward/store/", "store, for whom is not seen"),
    ("/asyncpg/", "store, for whom is not seen"),
    ("/paho/", "MQTT"),
    ("/aiomqtt/", "MQTT"),
    ("/prometheus_client/", "metrics"),
    ("/aiohttp/", "socket"),
    ("/asyncio/", "event loop"),
    ("/selectors.py", "event loop"),
)
OTHER: Final = "other parts"


def part_of(frames: Iterable[str]) -> str:
    """The part of the daemon that a stack is counted for; the outermost frame comes first."""
    inwards = list(frames)
    for frame in reversed(inwards):
        _, found, path = frame.rpartition(_OURS)
        if found and (part := _of_ours(path)):
            return part
    for frame in reversed(inwards):
        for mark, part in _LIBRARIES:
            if mark in frame:
                return part
    return OTHER


def shares(stacks: Iterable[str]) -> dict[str, float]:
    """Each part's share of all samples, the largest first. `stacks`: lines `outermost;…;innermost COUNT`."""
    counted: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if stack:
            counted[part_of(stack.split(";"))] += int(count)
    whole = counted.total()
    return {part: count / whole for part, count in counted.most_common()} if whole else {}


def _of_ours(path: str) -> str | None:
    return next(part for start, part in _PARTS if path.startswith(start))
