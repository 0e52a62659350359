"""The answer to a command; the envelope is explained in `feed.messages`."""

from __future__ import annotations

from typing import Literal

from callsteward.commands.reply import Reply, ReplyStatus
from callsteward.commands.request import KINDS
from callsteward.feed.envelope import BLANK, Envelope, Stamp, identity
from callsteward.feed.tell import Topic


class ReplyMessage(Envelope, frozen=True, kw_only=True):
    """`replies/ID`: what came of a command. `id` is the command's own; not numbered, so `seq` is 0."""

    schema: Literal["callsteward.reply/1"] = "callsteward.reply/1"
    id: str
    command: str
    status: ReplyStatus
    reason: str
    detail: str
    result: str | None
    call_id: str | None
    at: Stamp


def reply(site: str, answer: Reply) -> ReplyMessage:
    return ReplyMessage(
        **{
            **BLANK,
            "message_id": identity("replies", site, answer.id, answer.command, answer.status, answer.at),
        },
        site=site,
        id=answer.id,
        command=answer.command,
        status=answer.status,
        reason=answer.reason,
        detail=answer.detail,
        result=answer.result,
        call_id=answer.call_id,
        at=answer.at,
    )


TOPICS = {
    "replies": Topic("replies/{id}", ReplyMessage),
    **{f"{name}Command": Topic(f"commands/{name}", kind, from_daemon=False) for name, kind in KINDS.items()},
}
