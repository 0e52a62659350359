"""Callbacks and ratings keep the same contract, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.lab.postgresql import PostgreSql
from tests.unit.outgoing.ledger_contract import LedgerContract, side

__all__ = ["side"]


class TestOnPostgresql(LedgerContract):
    @pytest.fixture
    async def url(self, postgresql: PostgreSql) -> AsyncIterator[str]:
        """The address of an empty database."""
        connection = await asyncpg.connect(postgresql.url())
        await connection.execute("CREATE DATABASE contract")
        yield postgresql.url(database="contract")
        await connection.execute("DROP DATABASE contract WITH (FORCE)")
        await connection.close()
