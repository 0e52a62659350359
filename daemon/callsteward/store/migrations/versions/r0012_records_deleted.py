"""Until when each site's records are deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "records_deleted",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("before_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", name="pk_records_deleted"),
    )


def downgrade() -> None:
    op.drop_table("records_deleted")
