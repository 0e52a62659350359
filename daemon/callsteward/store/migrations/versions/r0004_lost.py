"""Lost calls that are still open, clients' own zones, and which fences are gone from Asterisk."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The calls that `callsteward lost` listed until now: nobody answered, nobody settled it, no talk since.
_OPEN = """
INSERT INTO lost_calls (site, call_id, line, number, client_ref, at_ms)
SELECT c.site, c.call_id, c.line, NULL, c.client_ref, c.at_ms FROM calls c
WHERE c.direction = 'inbound'
  AND c.outcome IN ('abandoned', 'short_abandoned', 'busy', 'no_answer', 'failed')
  AND NOT EXISTS (
    SELECT 1 FROM lost_calls_settled s WHERE s.site = c.site AND s.call_id = c.call_id)
  AND NOT EXISTS (
    SELECT 1 FROM calls later WHERE later.client_ref = c.client_ref
      AND later.at_ms > c.at_ms AND later.answered_at_ms IS NOT NULL)
ORDER BY c.at_ms, c.id
"""


def upgrade() -> None:
    op.create_table(
        "lost_calls",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("number", sa.Text()),
        sa.Column("client_ref", sa.Text()),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lost_calls"),
        sa.UniqueConstraint("site", "call_id", name="uq_lost_calls_site_call_id"),
    )
    op.create_index("ix_lost_calls_number", "lost_calls", ["number"])
    op.create_index("ix_lost_calls_client_ref", "lost_calls", ["client_ref"])
    op.execute(_OPEN)
    op.create_table(
        "client_zones",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_client_zones"),
    )
    op.add_column("callbacks", sa.Column("fence_gone_at_ms", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("callbacks", "fence_gone_at_ms")
    op.drop_table("client_zones")
    op.drop_table("lost_calls")
