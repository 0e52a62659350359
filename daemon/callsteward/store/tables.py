"""The tables, as SQLAlchemy sees them. `migrations/` builds the same ones; a test compares the two."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

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
