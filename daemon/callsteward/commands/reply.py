"""The reply to a command."""

from __future__ import annotations

from typing import Literal

import msgspec

ReplyStatus = Literal["done", "refused", "failed", "pending"]
"""`failed`: not carried out, or not wholly, and nothing of it happens later; the same command may come again.
`pending`: it is on its way and will be carried out or refused; the same command again asks what became of it.
"""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `id` is empty where none could be read; `at` is RFC 3339 UTC."""

    id: str
    command: str
    status: ReplyStatus
    reason: str
    detail: str
    at: str
    result: str | None = None
    call_id: str | None = None


DETAILS = {
    "ambiguous_number": "more than one number can be meant: write it with plus and country code",
    "asterisk_away": "Asterisk is not connected, or not read yet: send it again",
    "call_in_progress": "the call is still on",
    "call_not_known": "no record of such a call",
    "callback_over": "the callback is over already",
    "complaints_off": "complaints are not kept here",
    "in_progress": "not finished yet: what becomes of it follows, or send it again with the same id",
    "id_used": "another command had this id: choose a new one",
    "internal": "callsteward failed on this command, its log says how",
    "no_call_to_tag": "no call of this operator ended in time",
    "no_callback": "no callback of this call",
    "no_dialplan": "include callsteward-statuses.conf in extensions.conf",
    "no_number": "no number is kept of such a call; while a call is on, give it the tag dnc",
    "not_a_number": "not a number that can be called; +79031234567",
    "not_in_time": "not carried out in time: send it again with the same id",
    "rate_limited": "too many commands: send it again later with the same id",
    "stands_by": "this daemon stands by and another one acts: send it to that one, or again with the same id",
    "statuses_off": "operators are not paused here: [statuses] codes = true",
    "store_failed": "the database cannot be written: send it again with the same id",
    "tags_off": "tags are off: [tags] enabled = true",
    "too_late": "the call is over for too long ([tags] late_s)",
    "unknown_call": "no such call, on or over",
    "unknown_operator": "no such operator in [operators] or in a queue",
}
