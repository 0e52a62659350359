"""A client's data is found and erased the same, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.lab.postgresql import PostgreSql
from tests.unit.client.client_contract import ClientContract


class TestOnPostgresql(ClientContract):
    @pytest.fixture
    async def url(self, postgresql: PostgreSql) -> AsyncIterator[str]:
        """The address of an empty database."""
        connection = await asyncpg.connect(postgresql.url())
        await connection.execute("CREATE DATABASE client")
        yield postgresql.url(database="client")
        await connection.execute("DROP DATABASE client WITH (FORCE)")
        await connection.close()
