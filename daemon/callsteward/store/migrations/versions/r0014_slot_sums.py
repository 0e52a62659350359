"""The sums of each quarter of an hour and each day, and which of them have to be made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TO_SUM = sa.text("summed IS NULL OR summed <> changes")


def upgrade() -> None:
    op.create_table(
        "slot_changes",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("summed", sa.BigInteger()),
        sa.PrimaryKeyConstraint("site", "start_ms", name="pk_slot_changes"),
    )
    op.create_index(
        "ix_slot_changes_to_sum",
        "slot_changes",
        ["site", "start_ms"],
        sqlite_where=_TO_SUM,
        postgresql_where=_TO_SUM,
    )
    op.create_table(
        "slot_sums",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site", "minutes", "start_ms", name="pk_slot_sums"),
    )


def downgrade() -> None:
    op.drop_table("slot_sums")
    op.drop_index("ix_slot_changes_to_sum", "slot_changes")
    op.drop_table("slot_changes")
