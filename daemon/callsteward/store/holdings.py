"""The columns of each table that hold something of a client, for `callsteward client`.

A test compares this list with the tables: a new one has to say here what of a client is in it, or that
nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Column, ColumnElement, RowMapping, Table

from callsteward.record import callback_id, rating_id
from callsteward.store import tables


def _no_calls(_row: RowMapping) -> Iterator[str]:
    return iter(())


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """How one table holds something of a client, and what erasing does to it."""

    table: Table
    what: str
    """Its rows, for people."""
    number: Column[Any] | None = None
    """The client's number, E.164."""
    ref: Column[Any] | None = None
    """The client's reference."""
    call: Column[Any] | None = None
    """The call of the client that a row is about."""
    parent: Column[Any] | None = None
    """The id of the callback that a row is about, instead."""
    more_calls: Callable[[RowMapping], Iterator[str]] = _no_calls
    """Calls that were made to the client because of a row: they are the client's, too."""
    body: Column[Any] | None = None
    """A message as JSON, which may hold the reference and names of calls."""
    erased: str
    """What erasing does to a row, for people."""
    blank: Mapping[str, object] = {}
    """The values that its columns have afterwards."""
    of: ColumnElement[bool] | None = None
    """Which rows are erased; None for all."""
    deleted: bool = False
    """Whether a row is deleted."""

    @property
    def name(self) -> str:
        # SQLAlchemy's own kind of text, which msgspec does not know.
        return f"{self.table.name}"


def _callback_calls(row: RowMapping) -> Iterator[str]:
    for attempt in range(1, row["attempts"] + 1):
        yield callback_id.channel_id(row["callback_id"], attempt, row["line"])


def _rating_calls(row: RowMapping) -> Iterator[str]:
    for attempt in range(1, row["attempts"] + 1):
        yield rating_id.channel_id(row["rating_id"], attempt, row["line"])


_BY_PEOPLE = ("admin", "integration", "operator")
_FREE_TEXT = ("comment", "ticket")

# In the order of erasing: what leads to the client's other rows goes last, so that an erasure that was
# broken off finds them all again.
HOLDINGS: Final = (
    Holding(
        table=tables.outbox,
        what="messages that wait for the broker",
        body=tables.outbox.c.payload,
        erased="client_ref is taken out of the message, which is sent all the same",
    ),
    Holding(
        table=tables.commands_done,
        what="answers to commands about the client's calls",
        body=tables.commands_done.c.reply,
        erased="stays until commands.remember_days: the call's id, nothing of the client",
    ),
    Holding(
        table=tables.call_tags,
        what="tags of the client's calls",
        call=tables.call_tags.c.call_id,
        erased="comments and tickets are deleted, other tags stay",
        of=tables.call_tags.c.tag.in_(_FREE_TEXT),
        deleted=True,
    ),
    Holding(
        table=tables.callback_transitions,
        what="steps of callbacks",
        parent=tables.callback_transitions.c.callback,
        erased="what people wrote is taken out, the steps stay",
        blank={"evidence": ""},
        of=tables.callback_transitions.c.actor.in_(_BY_PEOPLE),
    ),
    Holding(
        table=tables.lost_calls_settled,
        what="lost calls that were dealt with",
        call=tables.lost_calls_settled.c.call_id,
        erased="the comment is taken out",
        blank={"comment": ""},
        of=tables.lost_calls_settled.c.settled_by != "talk",
    ),
    Holding(
        table=tables.calls,
        what="call records",
        ref=tables.calls.c.client_ref,
        call=tables.calls.c.call_id,
        body=tables.calls.c.record,
        erased="client_ref is taken out; figures and the masked number stay",
        blank={"client_ref": None},
    ),
    Holding(
        table=tables.complaints,
        what="complaints",
        ref=tables.complaints.c.client_ref,
        call=tables.complaints.c.call_id,
        erased="client_ref and comment are taken out; the masked number stays",
        blank={"client_ref": None, "comment": None},
    ),
    Holding(
        table=tables.client_zones,
        what="the client's time zone, as imported",
        number=tables.client_zones.c.number,
        erased="deleted",
        deleted=True,
    ),
    Holding(
        table=tables.lost_calls,
        what="lost calls that nobody has dealt with",
        number=tables.lost_calls.c.number,
        ref=tables.lost_calls.c.client_ref,
        call=tables.lost_calls.c.call_id,
        erased="taken off the list",
        deleted=True,
    ),
    Holding(
        table=tables.call_clients,
        what="numbers kept for tags that come late",
        number=tables.call_clients.c.number,
        call=tables.call_clients.c.call_id,
        erased="the number is taken out",
        # Not deleted: a journal that is run again would write the row anew.
        blank={"number": ""},
    ),
    Holding(
        table=tables.client_contacts,
        what="the last contact, for the other sites of the same database",
        number=tables.client_contacts.c.number,
        call=tables.client_contacts.c.call_id,
        erased="deleted",
        deleted=True,
    ),
    Holding(
        table=tables.ratings,
        what="ratings, with spoken comments",
        number=tables.ratings.c.number,
        ref=tables.ratings.c.client_ref,
        call=tables.ratings.c.call_id,
        more_calls=_rating_calls,
        erased="what is open is cancelled; number, client_ref and the spoken comment go, the score stays",
        blank={"number": None, "client_ref": None},
    ),
    Holding(
        table=tables.callbacks,
        what="callbacks",
        number=tables.callbacks.c.number,
        ref=tables.callbacks.c.client_ref,
        call=tables.callbacks.c.origin_call_id,
        more_calls=_callback_calls,
        erased="what is open is cancelled; number and client_ref go, the masked number stays",
        blank={"number": None, "client_ref": None},
    ),
    Holding(
        table=tables.do_not_call,
        what="the do-not-call list",
        number=tables.do_not_call.c.number,
        erased="kept: without it the client would be called again (--also-do-not-call deletes it)",
    ),
)

NOTHING: Final[Mapping[str, str]] = {
    "interval_revisions": "sums of many calls",
    "slot_changes": "when something changed in which quarter of an hour",
    "slot_sums": "sums of many calls",
    "watched": "when the daemon received events",
    "phone_states": "operators' phones",
    "outbox_drops": "how many messages were given up",
    "records_compressed": "until where records are compressed",
    "records_deleted": "until when records are deleted",
    "site_claims": "which of a site's daemons acts",
    "site_daemons": "the daemons of a site",
    "endpoints": "phones and trunks",
    "operator_statuses": "operators' pauses",
    "trunk_numbers": "how often a trunk wrote numbers in which form",
}
"""Tables that hold nothing of a client, and what they hold instead."""
