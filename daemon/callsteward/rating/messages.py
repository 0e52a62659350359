"""The messages about ratings and complaints; the envelope is explained in `feed.messages`."""

from __future__ import annotations

from typing import Literal

from callsteward.feed.backlog import MessageKind
from callsteward.feed.envelope import BLANK, Count, Envelope, PublishedSeconds, Stamp, identity, stamp
from callsteward.feed.tell import Tell, Topic
from callsteward.rating.states import Complaint, ComplaintRaised, Mode, RatingMoved, RatingRow, RatingState


class RatingMessage(Envelope, frozen=True, kw_only=True):
    """`ratings/LINE`: a rating has a new state, or more was answered. Times are Asterisk's clock.

    `call_id` is the call that is rated, `operator` who had the client in it. `answer_s`: from the beginning
    of the menu to the key. `question`: 1 yes, 2 no. `comment_file`: the recording's name in Asterisk.
    `rating_call_id` is the record of the call that was made for it (mode call).
    """

    schema: Literal["callsteward.rating/1"] = "callsteward.rating/1"
    rating_id: str
    call_id: str
    line: str
    operator: str | None
    mode: Mode
    state: RatingState
    reason: str
    score: int | None
    question: int | None
    comment_file: str | None
    comment_s: PublishedSeconds | None
    answer_s: PublishedSeconds | None
    at: Stamp
    due_at: Stamp
    attempt: Count
    rating_call_id: str | None
    client_masked: str | None
    client_ref: str | None


class ComplaintMessage(Envelope, frozen=True, kw_only=True):
    """`alerts/LINE/complaint_escalated`: a low rating, or a call tagged `complaint`, for a supervisor.

    It stays on the list (`callsteward complaints`) until somebody acknowledges `complaint`.
    """

    schema: Literal["callsteward.complaint/1"] = "callsteward.complaint/1"
    rule: Literal["complaint_escalated"] = "complaint_escalated"
    complaint: Count
    call_id: str
    line: str
    operator: str | None
    reason: str
    score: int | None
    at: Stamp
    client_masked: str | None
    client_ref: str | None


def rating(site: str, moved: RatingRow) -> RatingMessage:
    return RatingMessage(
        **{**BLANK, "message_id": rating_id(site, moved)},
        site=site,
        rating_id=moved.id,
        call_id=moved.call_id,
        line=moved.line,
        operator=moved.operator,
        mode=moved.mode,
        state=moved.state,
        reason=moved.reason,
        score=moved.score,
        question=moved.question,
        comment_file=moved.comment_file,
        comment_s=None if moved.comment_ms is None else moved.comment_ms / 1000,
        answer_s=moved.answer_s,
        at=stamp(moved.changed_at_ms),
        due_at=stamp(moved.due_at_ms),
        attempt=moved.attempts,
        rating_call_id=moved.channel_id,
        client_masked=moved.client_masked,
        client_ref=moved.client_ref,
    )


def complaint(site: str, raised: Complaint) -> ComplaintMessage:
    return ComplaintMessage(
        **{**BLANK, "message_id": complaint_id(site, raised)},
        site=site,
        complaint=raised.id,
        call_id=raised.call_id,
        line=raised.line,
        operator=raised.operator,
        reason=raised.reason,
        score=raised.score,
        at=stamp(raised.raised_at_ms),
        client_masked=raised.client_masked,
        client_ref=raised.client_ref,
    )


def rating_id(site: str, moved: RatingRow) -> str:
    """The same on every try."""
    # With the answers: the second question and the comment do not change the state.
    answers = (moved.score, moved.question, moved.comment_file)
    parts = (moved.call_id, moved.state.value, moved.attempts, moved.changed_at_ms, *answers)
    return identity("ratings", site, *parts)


def complaint_id(site: str, raised: Complaint) -> str:
    """The same on every try."""
    return identity("complaints", site, raised.call_id)


TELLS = (
    Tell(
        fact=RatingMoved,
        message=lambda site, fact: rating(site, fact.rating),
        topic=lambda fact: ("ratings", fact.rating.line),
        durable="rating",
        message_id=lambda site, fact: rating_id(site, fact.rating),
        line=lambda fact: fact.rating.line,
        made_ms=lambda fact: fact.rating.changed_at_ms,
    ),
    Tell(
        fact=ComplaintRaised,
        message=lambda site, fact: complaint(site, fact.complaint),
        topic=lambda fact: ("alerts", fact.complaint.line, "complaint_escalated"),
        kind=MessageKind.ALERT,
        durable="complaint",
        message_id=lambda site, fact: complaint_id(site, fact.complaint),
        line=lambda fact: fact.complaint.line,
        made_ms=lambda fact: fact.complaint.raised_at_ms,
    ),
)
TOPICS = {
    "ratings": Topic(
        "ratings/{line}", RatingMessage, published_as={RatingState: "callsteward.rating.states.State"}
    ),
    "complaints": Topic("alerts/{line}/complaint_escalated", ComplaintMessage),
}
