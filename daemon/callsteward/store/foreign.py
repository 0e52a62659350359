"""Databases that are not callsteward's, or not whole: refused with the reason before anything is written."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from callsteward.exceptions import StoreError
from callsteward.store.tables import metadata

_OWN = "give callsteward a database of its own"


def refuse_foreign(connection: Connection, name: str, *, empty: bool) -> None:
    """Raise StoreError for a database of another program, or one that cannot hold every text.

    `empty`: one to which no callsteward ever wrote will do.
    """
    if connection.dialect.name == "postgresql":
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            message = (
                f"the database {name} has the encoding {encoding}, which cannot hold every name and comment:"
                " make it with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
            raise StoreError(message)
    revisions = MigrationContext.configure(connection).get_current_heads()
    if revisions:
        # Our revisions are numbers of four digits.
        strange = [one for one in revisions if not (len(one) == 4 and one.isdecimal())]
        if strange:
            message = (
                f"the database {name} belongs to another program (its alembic_version is"
                f" {', '.join(strange)}): {_OWN}"
            )
            raise StoreError(message)
        return
    taken = sorted(metadata.tables.keys() & _tables(connection))
    if taken:
        message = f"the database {name} has tables of another program ({', '.join(taken)}): {_OWN}"
        raise StoreError(message)
    if not empty:
        message = (
            f"the database {name} holds no tables of callsteward: does store.url name the"
            " right one? The daemon makes them when it first starts (callsteward run -c"
            " FILE)"
        )
        raise StoreError(message)


def refuse_incomplete(connection: Connection, name: str) -> None:
    """Raise StoreError for a database of this version in which tables are missing."""
    missing = sorted(metadata.tables.keys() - _tables(connection))
    if missing:
        message = (
            f"in the database {name} tables of callsteward are missing ({', '.join(missing)}): somebody has"
            " removed them; restore a backup, or name another database"
        )
        raise StoreError(message)


def _tables(connection: Connection) -> AbstractSet[str]:
    return set(inspect(connection).get_table_names())
