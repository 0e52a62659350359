"""The outbox, and what it had to drop."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("retain", sa.Boolean(), nullable=False),
        sa.Column("expire_s", sa.Integer()),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("site", "message_id", name="uq_outbox_site_message_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_site_size_made_at_ms", "outbox", ["site", "size", "made_at_ms"])
    op.create_table(
        "outbox_drops",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_drops"),
    )
    op.create_index("ix_outbox_drops_site_at_ms", "outbox_drops", ["site", "at_ms"])


def downgrade() -> None:
    for table in ("outbox_drops", "outbox"):
        op.drop_table(table)
