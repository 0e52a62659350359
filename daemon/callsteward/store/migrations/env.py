"""Alembic runs this file. The connection comes from `store.engine`, inside its transaction."""

from __future__ import annotations

from alembic import context

from callsteward.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a column: a change is made by copying the table.
    render_as_batch=True,
    # The transaction is the caller's, so that a failed migration leaves the old schema whole.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
