"""Interval rows as they were published, when the daemon watched, and the states of operators' phones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "interval_revisions",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_interval_revisions"),
        sa.UniqueConstraint(
            "site",
            "start_ms",
            "kind",
            "name",
            "minutes",
            name="uq_interval_revisions_site_start_ms_kind_name_minutes",
        ),
    )
    op.create_table(
        "watched",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watched"),
    )
    op.create_index("ix_watched_site_to_ms", "watched", ["site", "to_ms"])
    op.create_table(
        "phone_states",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_phone_states"),
    )
    op.create_index("ix_phone_states_site_operator_at_ms", "phone_states", ["site", "operator", "at_ms"])


def downgrade() -> None:
    for table in ("phone_states", "watched", "interval_revisions"):
        op.drop_table(table)
