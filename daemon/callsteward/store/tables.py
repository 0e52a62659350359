"""The tables for SQLAlchemy. `migrations/` builds the same ones; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
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

# SQLite numbers rows by itself only if the key is INTEGER, not BIGINT.
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
    # The time of the call's arrival: started_at, or the end for a call whose start nobody saw.
    Column("at_ms", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger),
    Column("answered_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("complete", Boolean, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    # The record byte for byte as it was published; the columns above are there to find it. Empty where it is
    # packed: see store/packed.py.
    Column("record", Text, nullable=False),
    Column("packed", LargeBinary),
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
    # The callback's name in channel ids and in Asterisk's database.
    Column("callback_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    # E.164; null if there is none, and after the retention.
    Column("number", Text),
    Column("client_masked", Text),
    Column("client_ref", Text),
    # The operator who had the client when the connection broke.
    Column("operator", Text),
    # The decision at the call's end: due or suppressed, and why. The record says the same for ever.
    Column("decision", Text, nullable=False),
    Column("decision_reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dropped_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    # Operators rung so far, the one being rung now, and that one's channel.
    Column("attempts", Integer, nullable=False),
    Column("asked", Text),
    Column("channel_id", Text),
    # When Asterisk confirmed that its fence is gone, after the retention.
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
    # E.164, so that differently written forms are the same number.
    Column("number", Text, primary_key=True),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

# Clients' time zones as an admin imported them: they win over what the number says.
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

# Lost calls that nobody has dealt with yet. A row, and the number in it, lasts until somebody has.
lost_calls = Table(
    "lost_calls",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    # E.164; null if there is none, and after the retention.
    Column("number", Text),
    Column("client_ref", Text),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("site", "call_id"),
    Index(None, "number"),
    Index(None, "client_ref"),
)

# Lost calls that were dealt with: who talked to the client, or what somebody did instead.
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

# The rows of intervals as they were last published; their sums are made from the calls each time.
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
    # A digest of the row's content: a row with other content gets a new revision.
    Column("digest", Text, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    UniqueConstraint("site", "start_ms", "kind", "name", "minutes"),
)

# How often something changed in each quarter of an hour, and at which count its sums were made: other than
# `changes`, or null, they are not those of the records any more.
slot_changes = Table(
    "slot_changes",
    metadata,
    Column("site", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    Column("changes", BigInteger, nullable=False),
    Column("summed", BigInteger),
    Index(
        "ix_slot_changes_to_sum",
        "site",
        "start_ms",
        sqlite_where=text("summed IS NULL OR summed <> changes"),
        postgresql_where=text("summed IS NULL OR summed <> changes"),
    ),
)

# The sums of each quarter of an hour, and of each day in UTC; they stay when the records are deleted.
slot_sums = Table(
    "slot_sums",
    metadata,
    Column("site", Text, primary_key=True),
    # 15 or 1440.
    Column("minutes", Integer, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    # See intervals/slot_sums.py.
    Column("sums", LargeBinary, nullable=False),
)

# The spans in which the daemon received events: outside of them, no calls means nothing.
watched = Table(
    "watched",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Index(None, "site", "to_ms"),
)

# Changes of the state of operators' phones; null when it was no longer known.
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

# Tags of calls. A repeated tag is stored once.
call_tags = Table(
    "call_tags",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("tag", Text, nullable=False),
    # Empty for a tag without a value: NULLs would not be unique.
    Column("value", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # The sender, and the way: phone, wrap_up, mqtt, http.
    Column("given_by", Text, nullable=False),
    Column("source", Text, nullable=False),
    # The result of the tag, as the call's event has it.
    Column("result", Text, nullable=False),
    UniqueConstraint("site", "call_id", "tag", "value"),
)

# Each client's number for as long as a call may still be tagged; a record has it only masked.
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

# Each site's last contact with a client, for the other sites: they do not call this client back any more.
client_contacts = Table(
    "client_contacts",
    metadata,
    # E.164.
    Column("number", Text, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("call_id", Text, nullable=False),
    # The reason that it gives against a callback.
    Column("reason", Text, nullable=False),
    Index(None, "site", "at_ms"),
)

# Commands that were carried out, with their answers: a repeated one changes nothing.
commands_done = Table(
    "commands_done",
    metadata,
    Column("site", Text, primary_key=True),
    Column("command_id", Text, primary_key=True),
    # SHA-256 of name and body: the same id with another content is a mistake, and is refused as one.
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
    # E.164; null if there is none, and after the retention.
    Column("number", Text),
    Column("client_masked", Text),
    Column("client_ref", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Integer),
    # The second question: 1 yes, 2 no.
    Column("question", Integer),
    # Name of the recording in Asterisk, null once Asterisk has deleted it after the retention; and its
    # length.
    Column("comment_file", Text),
    Column("comment_ms", Integer),
    Column("created_at_ms", BigInteger, nullable=False),
    # When a rating call is due; for the other ways, when the client was asked.
    Column("due_at_ms", BigInteger, nullable=False),
    Column("asked_at_ms", BigInteger),
    Column("answered_at_ms", BigInteger),
    Column("changed_at_ms", BigInteger, nullable=False),
    # How many rating calls were begun, and the first channel of the last one.
    Column("attempts", Integer, nullable=False),
    Column("channel_id", Text),
    # When Asterisk confirmed that its fence is gone, after the retention.
    Column("fence_gone_at_ms", BigInteger),
    UniqueConstraint("site", "call_id"),
    Index(None, "state"),
    Index(None, "number", "created_at_ms"),
    Index(None, "client_ref", "created_at_ms"),
    Index(None, "line", "created_at_ms"),
)

# Complaints: low ratings and tagged calls, until a supervisor acknowledges them.
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
    # The order of delivery. AUTOINCREMENT, since SQLite would use the ids of an emptied table again.
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
    # The message as JSON; the boot_id and number are added when it is sent.
    Column("payload", Text, nullable=False),
    UniqueConstraint("site", "message_id"),
    # All columns that measuring the outbox reads.
    Index(None, "site", "size", "made_at_ms"),
    sqlite_autoincrement=True,
)

# Messages that the outbox had to drop, one row per time it was full: made in [from_ms, to_ms].
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

# Until when the records of each site are deleted, by the time their calls arrived (store.retention_days).
records_deleted = Table(
    "records_deleted",
    metadata,
    Column("site", Text, primary_key=True),
    Column("before_ms", BigInteger, nullable=False),
)

# Until which row (calls.id) all records of a site are compressed; later rows may be, too.
records_compressed = Table(
    "records_compressed",
    metadata,
    Column("site", Text, primary_key=True),
    Column("until_id", BigInteger, nullable=False),
)

# Endpoints that take part in talks, and whether a talk event of theirs was ever seen. Bounded by the tracker.
endpoints = Table(
    "endpoints",
    metadata,
    Column("site", Text, primary_key=True),
    # Technology and name, such as PJSIP/101.
    Column("endpoint", Text, primary_key=True),
    # Whether any talk event of it was ever seen.
    Column("heard", Boolean, nullable=False),
    # The number of talks in a row until now without one.
    Column("quiet", Integer, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)

# How each trunk writes its callers' numbers: a count for each kind, and no number.
trunk_numbers = Table(
    "trunk_numbers",
    metadata,
    Column("site", Text, primary_key=True),
    # Technology and name, such as PJSIP/trunk.
    Column("trunk", Text, primary_key=True),
    # See record.number.Numbers.kind.
    Column("kind", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)

# Which of a site's daemons acts ([standby]), and how often that has changed: each of its writes proves that
# the number is still its own.
site_claims = Table(
    "site_claims",
    metadata,
    Column("site", Text, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    # The daemon that took it last: its name among those of the site, and since when by the server's clock.
    Column("instance", Text, nullable=False),
    Column("taken_at_ms", BigInteger, nullable=False),
    # The fence whose holder is asked to hand over (`callsteward standby switch`).
    Column("switch_asked", BigInteger),
)

# The daemons of a site with [standby], each of which says several times a second that it is there.
site_daemons = Table(
    "site_daemons",
    metadata,
    Column("site", Text, primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("boot_id", Text, nullable=False),
    # Its ARI application, its machine, and which Asterisk it is linked to (empty while that is not known).
    Column("app", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pbx", Text, nullable=False),
    Column("acting", Boolean, nullable=False),
    Column("ready", Boolean, nullable=False),
    # What it waits for until it is ready.
    Column("detail", Text, nullable=False),
    # Calls on of which it has missed a part.
    Column("partly", Integer, nullable=False),
    # When it was there last, by the server's clock.
    Column("seen_at_ms", BigInteger, nullable=False),
)

# Statuses that operators were given by callsteward: paused, away, wrap-up; each until it is over.
operator_statuses = Table(
    "operator_statuses",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("operator", Text, nullable=False),
    # See statuses.states.
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_by", Text, nullable=False),
    # What marks the pauses in Asterisk's database as this one's.
    Column("token", Text, nullable=False),
    # The queues' members that were to be paused, as JSON.
    Column("members", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at_ms", BigInteger, nullable=False),
    # When it ends by itself; null: it does not.
    Column("until_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("ended_by", Text, nullable=False),
    Index(None, "site", "state"),
)
