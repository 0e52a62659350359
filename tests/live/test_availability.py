"""A live test that cannot run says why; in CI it fails. These need no lab."""

from __future__ import annotations

import pytest

from tests.lab.errors import LabUnavailable
from tests.live.availability import REQUIRED, lab_or_skip


def _without_lab() -> None:
    with lab_or_skip():
        message = "the lab needs root"
        raise LabUnavailable(message)


def test_without_a_lab_the_live_tests_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no lab on this machine: the lab needs root"):
        _without_lab()


def test_where_live_tests_are_required_a_missing_lab_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="the lab needs root"):
        _without_lab()
