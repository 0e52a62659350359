"""Ratings with their schedule, and complaints until they are acknowledged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ratings",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("rating_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text()),
        sa.Column("number", sa.Text()),
        sa.Column("client_masked", sa.Text()),
        sa.Column("client_ref", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer()),
        sa.Column("question", sa.Integer()),
        sa.Column("comment_file", sa.Text()),
        sa.Column("comment_ms", sa.Integer()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger()),
        sa.Column("answered_at_ms", sa.BigInteger()),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_ratings"),
        sa.UniqueConstraint("site", "call_id", name="uq_ratings_site_call_id"),
    )
    op.create_index("ix_ratings_state", "ratings", ["state"])
    op.create_index("ix_ratings_number_created_at_ms", "ratings", ["number", "created_at_ms"])
    op.create_index("ix_ratings_client_ref_created_at_ms", "ratings", ["client_ref", "created_at_ms"])
    op.create_index("ix_ratings_line_created_at_ms", "ratings", ["line", "created_at_ms"])
    op.create_table(
        "complaints",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text()),
        sa.Column("client_masked", sa.Text()),
        sa.Column("client_ref", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer()),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger()),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("comment", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_complaints"),
        sa.UniqueConstraint("site", "call_id", name="uq_complaints_site_call_id"),
    )
    op.create_index("ix_complaints_acknowledged_at_ms", "complaints", ["acknowledged_at_ms"])


def downgrade() -> None:
    for table in ("complaints", "ratings"):
        op.drop_table(table)
