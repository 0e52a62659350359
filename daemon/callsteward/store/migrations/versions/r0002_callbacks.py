"""The callback ledger, the do-not-call list, and lost calls that were dealt with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("origin_call_id", sa.Text(), nullable=False),
        sa.Column("callback_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("number", sa.Text()),
        sa.Column("client_masked", sa.Text()),
        sa.Column("client_ref", sa.Text()),
        sa.Column("operator", sa.Text()),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("decision_reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dropped_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Text()),
        sa.Column("channel_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
        sa.UniqueConstraint("site", "origin_call_id", name="uq_callbacks_site_origin_call_id"),
    )
    op.create_index("ix_callbacks_state", "callbacks", ["state"])
    op.create_index("ix_callbacks_number_created_at_ms", "callbacks", ["number", "created_at_ms"])
    op.create_index("ix_callbacks_line_created_at_ms", "callbacks", ["line", "created_at_ms"])
    op.create_table(
        "callback_transitions",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("callback", _Id, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("from_state", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text()),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callback_transitions"),
        sa.ForeignKeyConstraint(
            ["callback"],
            ["callbacks.id"],
            name="fk_callback_transitions_callback_callbacks",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_callback_transitions_callback", "callback_transitions", ["callback"])
    op.create_table(
        "do_not_call",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_do_not_call"),
    )
    op.create_table(
        "lost_calls_settled",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lost_calls_settled"),
        sa.UniqueConstraint("site", "call_id", name="uq_lost_calls_settled_site_call_id"),
    )


def downgrade() -> None:
    for table in ("lost_calls_settled", "do_not_call", "callback_transitions", "callbacks"):
        op.drop_table(table)
