"""When a rating's fence was gone from Asterisk; and comments whose deletion nobody has confirmed.

Before this revision the retention took a comment's name out of its row before Asterisk was asked to delete
the file. The name follows from the rating's: it is written back, so Asterisk is asked until the file is gone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ratings", sa.Column("fence_gone_at_ms", sa.BigInteger()))
    op.execute(
        "UPDATE ratings SET comment_file = 'callsteward-rating-' || rating_id"
        " WHERE comment_ms IS NOT NULL AND comment_file IS NULL"
    )


def downgrade() -> None:
    op.drop_column("ratings", "fence_gone_at_ms")
