"""Sites that are backed up and restored in tests."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from callsteward.backup.restoring import Restored, restore
from callsteward.config import Config, SiteSettings, StoreSettings
from callsteward.store.engine import MIGRATIONS, alembic_config
from callsteward.store.records import CallQuery, Store
from tests.unit.client.samples import AT_MS


def settings(folder: Path, site: str = "main") -> Config:
    url = f"sqlite:///{folder}/calls.db"
    return Config(site=SiteSettings(name=site), store=StoreSettings(url=url))


async def calls_in(file: Path) -> list[str]:
    store = await Store.open(f"sqlite:///{file}", create=False)
    try:
        return [record.call_id async for record in store.calls(CallQuery())]
    finally:
        await store.close()


async def restored(backup: Path, folder: Path, *, force: bool = False, site: str = "main") -> Restored:
    target = folder / "calls.db"
    return await restore(
        settings(folder, site), backup, target, by="an admin", now_ms=lambda: AT_MS, force=force
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dump(file: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def schemas() -> list[str]:
    """The names of all schemas, the oldest first."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("r*.py"))


def downgraded(file: Path, schema: str) -> None:
    """Give a database an older schema, by its migrations."""
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), schema)
    engine.dispose()


def sql(file: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
