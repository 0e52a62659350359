"""The tables, as SQLAlchemy sees them. `migrations/` builds the same ones; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    # Names that do not depend on the engine, so that a later migration can drop what this one made.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is INTEGER, not BIGINT.
_Id = BigInteger().with_variant(Integer(), "sqlite")

calls = Table(
    "calls",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("operator", Text),
    Column("client_ref", Text),
    # When the call counts as having come: started_at, for a call whose start nobody saw its end.
    Column("at_ms", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger),
    Column("answered_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("complete", Boolean, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    # The record byte for byte as it was published; the columns above are there to find it.
    Column("record", Text, nullable=False),
    UniqueConstraint("site", "call_id"),
    Index(None, "at_ms"),
    Index(None, "line", "at_ms"),
    Index(None, "client_ref", "at_ms"),
)

# One row per call that made a callback due: the unique key is half of "exactly one callback".
callbacks = Table(
    "callbacks",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("origin_call_id", Text, nullable=False),
    # Its name in channel ids and in Asterisk's database.
    Column("callback_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    # E.164; null where there is none, and after the retention.
    Column("number", Text),
    Column("client_masked", Text),
    Column("client_ref", Text),
    # Who had the client when it broke.
    Column("operator", Text),
    # What was decided when the call ended: due or suppressed, and why. The record says the same for ever.
    Column("decision", Text, nullable=False),
    Column("decision_reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dropped_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    # Operators asked so far, the one being asked now, and that one's channel.
    Column("attempts", Integer, nullable=False),
    Column("asked", Text),
    Column("channel_id", Text),
    # When Asterisk said that it has no fence of it any more, past the retention.
    Column("fence_gone_at_ms", BigInteger),
    UniqueConstraint("site", "origin_call_id"),
    Index(None, "state"),
    Index(None, "number", "created_at_ms"),
    Index(None, "line", "created_at_ms"),
)

callback_transitions = Table(
    "callback_transitions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("callback", ForeignKey("callbacks.id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("from_state", Text),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("operator", Text),
    Column("evidence", Text, nullable=False),
    Index(None, "callback"),
)

do_not_call = Table(
    "do_not_call",
    metadata,
    # E.164, so that a number written differently is the same one.
    Column("number", Text, primary_key=True),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

# Where clients are, as an admin imported it: it wins over what their number says.
client_zones = Table(
    "client_zones",
    metadata,
    # E.164.
    Column("number", Text, primary_key=True),
    # IANA.
    Column("zone", Text, nullable=False),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
)

# Unanswered calls that nobody has dealt with yet. A row and the number in it last no longer than that.
lost_calls = Table(
    "lost_calls",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    # E.164; null where there is none, and past the retention.
    Column("number", Text),
    Column("client_ref", Text),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("site", "call_id"),
    Index(None, "number"),
    Index(None, "client_ref"),
)

# Unanswered calls that were dealt with: who talked to the client, or what somebody did instead.
lost_calls_settled = Table(
    "lost_calls_settled",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("settled_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    UniqueConstraint("site", "call_id"),
)

# The rows of intervals as they were published last; what they say is summed from the calls each time.
interval_revisions = Table(
    "interval_revisions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    # line or operator, and its name.
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("final", Boolean, nullable=False),
    # Of what the row said: a row that says something else gets a new revision.
    Column("digest", Text, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    UniqueConstraint("site", "start_ms", "kind", "name", "minutes"),
)

# The spans in which the daemon heard Asterisk: without one, no calls means nothing.
watched = Table(
    "watched",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Index(None, "site", "to_ms"),
)

# Changes of the state of operators' phones; null where it stopped being known.
phone_states = Table(
    "phone_states",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("state", Text),
    Index(None, "site", "operator", "at_ms"),
)

# What somebody said of a call. A repeat is no second one.
call_tags = Table(
    "call_tags",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("tag", Text, nullable=False),
    # Empty for a tag that has none: NULLs would not be unique.
    Column("value", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # Who, and by which way: phone, wrap_up, mqtt, http.
    Column("given_by", Text, nullable=False),
    Column("source", Text, nullable=False),
    # What followed, as the call's event said it.
    Column("result", Text, nullable=False),
    UniqueConstraint("site", "call_id", "tag", "value"),
)

# The number of each client for as long as a call may still be tagged; a record has it only masked.
call_clients = Table(
    "call_clients",
    metadata,
    Column("site", Text, primary_key=True),
    Column("call_id", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Index(None, "number", "started_at_ms"),
    Index(None, "ended_at_ms"),
)

# Commands that were carried out, with their answers: one that comes again changes nothing.
commands_done = Table(
    "commands_done",
    metadata,
    Column("site", Text, primary_key=True),
    Column("command_id", Text, primary_key=True),
    # SHA-256 of name and body: the same id with another content is a mistake, and is told so.
    Column("digest", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

# One row per call whose client is asked for a rating: the unique key is half of "asked once".
ratings = Table(
    "ratings",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    # The call that is rated, and the rating's name in channel ids and in Asterisk's database.
    Column("call_id", Text, nullable=False),
    Column("rating_id", Text, nullable=False),
    # stay, transfer or call.
    Column("mode", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("operator", Text),
    # E.164; null where there is none, and after the retention.
    Column("number", Text),
    Column("client_masked", Text),
    Column("client_ref", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Integer),
    # The second question: 1 yes, 2 no.
    Column("question", Integer),
    # Name of the recording in Asterisk, null once that has deleted it after the retention; and its length.
    Column("comment_file", Text),
    Column("comment_ms", Integer),
    Column("created_at_ms", BigInteger, nullable=False),
    # When a rating call is due; for the others when they were asked.
    Column("due_at_ms", BigInteger, nullable=False),
    Column("asked_at_ms", BigInteger),
    Column("answered_at_ms", BigInteger),
    Column("changed_at_ms", BigInteger, nullable=False),
    # Rating calls begun so far, and the last one's first channel.
    Column("attempts", Integer, nullable=False),
    Column("channel_id", Text),
    # When Asterisk said that it has no fence of it any more, past the retention.
    Column("fence_gone_at_ms", BigInteger),
    UniqueConstraint("site", "call_id"),
    Index(None, "state"),
    Index(None, "number", "created_at_ms"),
    Index(None, "client_ref", "created_at_ms"),
    Index(None, "line", "created_at_ms"),
)

# Low ratings and tagged complaints, until a supervisor acknowledges them.
complaints = Table(
    "complaints",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("operator", Text),
    Column("client_masked", Text),
    Column("client_ref", Text),
    Column("reason", Text, nullable=False),
    Column("score", Integer),
    Column("raised_at_ms", BigInteger, nullable=False),
    Column("acknowledged_at_ms", BigInteger),
    Column("acknowledged_by", Text),
    Column("comment", Text),
    UniqueConstraint("site", "call_id"),
    Index(None, "acknowledged_at_ms"),
)

# Messages that must arrive, from the transaction that made them to the broker's acknowledgement.
outbox = Table(
    "outbox",
    metadata,
    # The order of delivery. AUTOINCREMENT, since SQLite gives the ids of an emptied table out again.
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("retain", Boolean, nullable=False),
    # MQTT 5: how long the broker keeps it; null for ever.
    Column("expire_s", Integer),
    Column("made_at_ms", BigInteger, nullable=False),
    # Bytes of the payload.
    Column("size", Integer, nullable=False),
    # The message as JSON; which boot sends it, and as which number, is put in when it is sent.
    Column("payload", Text, nullable=False),
    UniqueConstraint("site", "message_id"),
    # All that measuring it reads.
    Index(None, "site", "size", "made_at_ms"),
    sqlite_autoincrement=True,
)

# What the outbox had to drop, one row per time it was full: made in [from_ms, to_ms].
outbox_drops = Table(
    "outbox_drops",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Index(None, "site", "at_ms"),
)

# Endpoints that take part in talks, and whether the talk detector ever told of them. Bounded by the tracker.
endpoints = Table(
    "endpoints",
    metadata,
    Column("site", Text, primary_key=True),
    # Technology and name, such as PJSIP/101.
    Column("endpoint", Text, primary_key=True),
    # Any talk event of it was ever seen.
    Column("heard", Boolean, nullable=False),
    # In how many talks in a row until now it had none.
    Column("quiet", Integer, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)

# How each trunk writes its callers' numbers: so many of each kind, and no number.
trunk_numbers = Table(
    "trunk_numbers",
    metadata,
    Column("site", Text, primary_key=True),
    # Technology and name, such as PJSIP/trunk.
    Column("trunk", Text, primary_key=True),
    # See calls.number.Numbers.kind.
    Column("kind", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)
