"""The type and timestamp of a frame; neither for text that is no frame, whoever wrote it."""

from __future__ import annotations

import pytest

from callsteward.ari.stamp import stamp

MOMENT = "2026-11-22T02:06:46.059+0000"


@pytest.mark.parametrize("raw", [f'{{"type":"X","timestamp":"{MOMENT}","channel":{{"id":[1]}}}}'])
def test_type_and_timestamp_are_read_and_nothing_else(raw: str) -> None:
    assert stamp(raw) == stamp(raw.encode()) == ("X", MOMENT)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"type": 5}',
        b'{"type": "\xff"}',
        b'{"type": "X", "channel": ' + b"[" * 5_000,
        b'{"type": "X", "channel": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"channel": ' * 5_000,
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_text_that_is_no_frame_has_no_type_and_timestamp(raw: bytes) -> None:
    assert stamp(raw) == ("", "")
