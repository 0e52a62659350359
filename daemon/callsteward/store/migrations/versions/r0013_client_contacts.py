"""Each site's last contact with a client, for the other sites of the same database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_contacts",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", "site", name="pk_client_contacts"),
    )
    op.create_index("ix_client_contacts_site_at_ms", "client_contacts", ["site", "at_ms"])


def downgrade() -> None:
    op.drop_index("ix_client_contacts_site_at_ms", table_name="client_contacts")
    op.drop_table("client_contacts")
