"""When client and operator were connected, by Asterisk's CEL alone: the second opinion on an answer.

Two channels are connected while they share a bridge, or bridges that Local channels join. What CEL writes of
bridges comes from another part of Asterisk than ARI's events.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from tests.lab.records import Cel

Span = tuple[float, float]
_OPERATOR = re.compile(r"(PJSIP|SIP)/2\d\d-")


def is_operator(channel: str) -> bool:
    """A phone of the field site's operators."""
    return _OPERATOR.match(channel) is not None


def is_client(channel: str) -> bool:
    """Somebody behind one of the field site's trunks."""
    return not is_operator(channel) and not channel.startswith("Local/")


def connected_spans(cel: Sequence[Cel], client: Callable[[str], bool] = is_client) -> list[Span]:
    """The times (Unix seconds) in which a client's channel was connected with an operator's."""
    inside: defaultdict[str, set[str]] = defaultdict(set)
    spans: list[Span] = []
    since: float | None = None
    for row in sorted(cel, key=lambda row: row.time):
        bridge = str(row.extra.get("bridge_id", ""))
        if row.event == "BRIDGE_ENTER" and row.extra.get("bridge_technology") != "holding_bridge":
            inside[bridge].add(row.channel)
        elif row.event == "BRIDGE_EXIT":
            inside[bridge].discard(row.channel)
        else:
            continue
        connected = any(
            any(map(client, group)) and any(map(is_operator, group)) for group in _groups(inside.values())
        )
        if connected and since is None:
            since = row.time
        elif not connected and since is not None:
            spans.append((since, row.time))
            since = None
    return spans


def _groups(bridges: Iterable[set[str]]) -> list[set[str]]:
    """Channels by what joins them: the halves of a Local channel are one."""
    groups: list[set[str]] = []
    for bridge in bridges:
        group = set(bridge)
        joined = [other for other in groups if _relays(other) & _relays(group)]
        groups = [other for other in groups if other not in joined]
        groups.append(group.union(*joined))
    return groups


def _relays(group: set[str]) -> set[str]:
    """The Local channels in a group, by the name that both halves share."""
    return {channel[:-2] for channel in group if channel.startswith("Local/")}
