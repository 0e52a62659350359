"""A PostgreSQL server for the daemon's database, and the network to it: both fail in many ways."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.chaos.cells import Fault
from tests.lab.postgresql import PostgreSql
from tests.lab.wire import Wire

_NAME = "chaos"
# Limits of connections do not bind a superuser, and a daemon is none.
_USER = "hotline"
_PASSWORD = "of-the-hotline"
_HANG_UP = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{_USER}'"
# To be refused, and to be taken again.
_REFUSALS = {
    # As a server that became the replica of another one, in a failover, says it.
    Fault.DATABASE_READ_ONLY: (
        f"ALTER DATABASE {_NAME} SET default_transaction_read_only = on",
        f"ALTER DATABASE {_NAME} SET default_transaction_read_only = off",
    ),
    Fault.DATABASE_CROWDED: (
        f"ALTER ROLE {_USER} CONNECTION LIMIT 0",
        f"ALTER ROLE {_USER} CONNECTION LIMIT -1",
    ),
}
SLOW_S = 0.25
"""How long what is sent in either direction takes on a slow network."""


class Server(ExitStack):
    """The database of one run. Where a disk would be full, its server does not answer.

    `folder` is for what a run leaves.
    """

    def __init__(self, folder: Path, server: PostgreSql, wire: Wire) -> None:
        """`wire`: lies between the daemon and the server."""
        super().__init__()
        self.folder = folder
        self._server = server
        self._wire = wire

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        return super().__enter__()

    def database(self) -> Path | str:
        """A new database, as the settings of the lab take it."""
        self._server.new_database(_NAME)
        role = (
            f"DO $$ BEGIN CREATE ROLE {_USER} LOGIN PASSWORD '{_PASSWORD}'; EXCEPTION WHEN duplicate_object"
        )
        self._do(f"{role} THEN NULL; END $$", f"ALTER DATABASE {_NAME} OWNER TO {_USER}")
        return self._server.url(user=_USER, password=_PASSWORD, database=_NAME, port=self._wire.port)

    def fill(self) -> None:
        """Answer no more."""
        self.enter_context(self._server.frozen())

    def free(self) -> None:
        self.close()

    @contextmanager
    def away(self, fault: Fault) -> Iterator[None]:
        """The server or the network fails, and is well again afterwards."""
        match fault:
            case Fault.DATABASE_RESTART:
                self._server.stop()
                yield
                self._server.start()
            case Fault.DATABASE_CUT:
                self._wire.cut()
                yield
                self._wire.mend()
            case Fault.DATABASE_SLOW:
                self._wire.slow(SLOW_S)
                yield
                self._wire.slow(0)
            case _:
                there, back = _REFUSALS[fault]
                self._do(there, _HANG_UP)
                yield
                self._do(back, _HANG_UP)

    def _do(self, *statements: str) -> None:
        asyncio.run(self._server.administer(*statements))
