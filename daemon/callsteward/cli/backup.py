"""`callsteward backup` and `callsteward restore`: a copy of the database, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.exceptions import ConfigError
from callsteward.record.moments import rfc3339
from callsteward.terminal.options import ConfigOption, load
from callsteward.terminal.said import now_ms, who

if TYPE_CHECKING:
    from callsteward.backup.copying import Contents
    from callsteward.config import Config


def add_to(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", dir_okay=False)],
    config_file: ConfigOption,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy the database into a file, beside a running daemon, and check the copy.

    One SQLite file, of one moment, readable by its owner alone: it holds clients' full numbers. It has
    records, ledgers, the do-not-call list and the outbox; not the journal (calls in progress), not the
    configuration. For PostgreSQL pg_dump is the tool, and its command is said.
    """
    settings = load(config_file)
    source = _database(settings, "pg_dump --format=custom --file={file} {url}", file)
    from callsteward.backup.copying import back_up

    told = _told(back_up(source, file, force=force))
    typer.echo(f"backup: {file}, {told}", err=True)


def restore(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The backup.", exists=True, dir_okay=False),
    ],
    config_file: ConfigOption,
    force: Annotated[
        bool, typer.Option("--force", help="Put a database that is there aside, and its journal.")
    ] = False,
) -> None:
    """Put a backup in the database's place, while no daemon runs.

    It is checked first: a file that is damaged, cut off, of another program, of a newer callsteward or of
    another site is refused, and nothing is changed. Callbacks and rating calls that were open are ended and
    named, since what became of them later is not in it: no client is called twice. Numbers that were put on
    the do-not-call list after the backup are missing, and clients who were erased since are back.
    """
    settings = load(config_file)
    target = _database(settings, "pg_restore --clean --if-exists --dbname={url} {file}", file)
    import asyncio

    from callsteward.backup.restoring import restore as put

    done = asyncio.run(put(settings, file, target, by=who(), now_ms=now_ms, force=force))
    for path in done.aside:
        typer.echo(f"kept aside: {path}", err=True)
    for what, names in done.ended.items():
        typer.echo(f"{what} that were open, ended: {', '.join(names)}", err=True)
    typer.echo(f"restored: {target}, {_told(done.contents)}", err=True)


def _told(contents: Contents) -> str:
    newest = "no calls" if contents.newest_ms is None else f"newest call of {rfc3339(contents.newest_ms)}"
    return f"{contents.size / 1_000_000:,.1f} MB, schema {contents.schema}, {newest}"


def _database(settings: Config, command: str, file: Path) -> Path:
    """The file of the database. For one on a server: exit code 2, and the command that does it."""
    from callsteward.backup.restoring import database_of

    found = database_of(settings)
    if found is None:
        import shlex

        from callsteward.store.url import store_url

        url = store_url(settings.store.url)
        # The tools take the password from ~/.pgpass or PGPASSWORD: in a command everybody could read it.
        plain = url.set(drivername="postgresql")._replace(password=None).render_as_string()
        words = command.format(file=shlex.quote(str(file)), url=shlex.quote(plain))
        # Without a frame around it, for copying.
        message = f"store.url: the database is PostgreSQL's, and its own tool does this:\n  {words}"
        raise ConfigError(message)
    return found
