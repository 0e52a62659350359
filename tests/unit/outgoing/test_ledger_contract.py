"""Callbacks and ratings keep the same contract, on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.outgoing.ledger_contract import LedgerContract, side

__all__ = ["side"]


class TestOnSqlite(LedgerContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/calls.db"
