"""Compressed records, in a column of their own: both forms can be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from callsteward.store.packed import unpacked

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("packed", sa.LargeBinary()))
    op.create_table(
        "records_compressed",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("until_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", name="pk_records_compressed"),
    )


def downgrade() -> None:
    connection = op.get_bind()
    calls = sa.table("calls", sa.column("id"), sa.column("record"), sa.column("packed", sa.LargeBinary()))
    after = 0
    while True:
        some = sa.select(calls.c.id, calls.c.packed).where(calls.c.id > after, calls.c.packed.is_not(None))
        rows = connection.execute(some.order_by(calls.c.id).limit(500)).all()
        for row in rows:
            line = unpacked(row.packed).decode()
            connection.execute(sa.update(calls).where(calls.c.id == row.id).values(record=line))
        if not rows:
            break
        after = rows[-1].id
    op.drop_table("records_compressed")
    op.drop_column("calls", "packed")
