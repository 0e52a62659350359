"""One run judged: the INVITEs that reached the client's phone against the ledger and the records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from callsteward.callback.states import FINAL, CallbackState
from tests.chaos.cells import INVITES, Scene

_GIVEN_UP = {CallbackState.SUPPRESSED.value, CallbackState.CANCELLED.value, CallbackState.EXPIRED.value}
# Asterisk itself died while it dialled: the result cannot be known.
_UNKNOWN = {"result_unknown"}

Row = Mapping[str, Any]


class Verdict(msgspec.Struct, frozen=True):
    """`ended`: what the ledger (or, without a row, the record) says. `breach`: empty where all is well."""

    ended: str
    breach: str = ""


def judge(
    scene: Scene, *, invites: int, answered: bool, rows: Sequence[Row], records: Sequence[Row]
) -> Verdict:
    """Exactly one INVITE, or none with the reason in the ledger; and the ledger has the true result.

    `answered`: the client picked the callback up. `rows` and `records`: the ledger's and the store's.
    """
    inbound = [record for record in records if record["direction"] == "inbound"]
    if not rows:
        return _without_row(scene, invites, inbound)
    row = rows[0]
    ended = f"{row['state']} ({row['reason'] or 'no reason'})"
    if len(rows) > 1:
        return Verdict(ended, f"{len(rows)} rows in the ledger")
    if invites > 1:
        return Verdict(ended, f"the client's phone rang {invites} times")
    if CallbackState(row["state"]) not in FINAL:
        return Verdict(ended, f"the callback was left {row['state']}")
    if not inbound:
        return Verdict(ended, "the call that broke has no record")
    return Verdict(ended, _contradiction(scene, invites, answered=answered, row=row))


def _contradiction(scene: Scene, invites: int, *, answered: bool, row: Row) -> str:
    state, reason = row["state"], row["reason"]
    if invites > INVITES[scene]:
        return "the client was called after all"
    if invites == 0 and state == CallbackState.REACHED:
        return "reached, and no phone rang"
    if invites == 0 and not reason:
        return "nobody was called, and the ledger does not say why"
    if invites == 1 and state in _GIVEN_UP:
        return f"the phone rang, the ledger says {state}"
    if answered and state == CallbackState.NOT_REACHED and reason not in _UNKNOWN:
        return f"the client answered, the ledger says {reason}"
    if invites == 1 and not answered and state == CallbackState.REACHED:
        return "reached, and nobody answered"
    return ""


def _without_row(scene: Scene, invites: int, inbound: Sequence[Row]) -> Verdict:
    if not inbound:
        return Verdict("no row, no record", "the call left no trace")
    record = inbound[0]
    ended = f"no row: {record['callback']['reason']}"
    if invites:
        return Verdict(ended, f"{invites} INVITEs without a row in the ledger")
    if record["complete"]:
        return Verdict(ended, "the drop was seen, and nobody was called back")
    return Verdict(f"{ended}, incomplete record")
