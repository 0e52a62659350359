"""Tags of calls, the numbers they may need, and commands that were carried out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "call_tags",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_tags"),
        sa.UniqueConstraint("site", "call_id", "tag", "value", name="uq_call_tags_site_call_id_tag_value"),
    )
    op.create_table(
        "call_clients",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "call_id", name="pk_call_clients"),
    )
    op.create_index("ix_call_clients_number_started_at_ms", "call_clients", ["number", "started_at_ms"])
    op.create_index("ix_call_clients_ended_at_ms", "call_clients", ["ended_at_ms"])
    op.create_table(
        "commands_done",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "command_id", name="pk_commands_done"),
    )
    op.create_index("ix_commands_done_at_ms", "commands_done", ["at_ms"])


def downgrade() -> None:
    for table in ("commands_done", "call_clients", "call_tags"):
        op.drop_table(table)
