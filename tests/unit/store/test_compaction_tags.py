"""A tag given by a command stays in a compacted journal for as long as its call's frames do."""

from __future__ import annotations

import pytest

from callsteward.calls.record import Outcome
from callsteward.config import Config, Tags
from callsteward.replay import Tally, replay
from callsteward.store.compaction import compact
from tests.fuzz.targets import CAPTURES

LINES = (CAPTURES / "client_bye.jsonl").read_bytes().splitlines()
CALL = next(replay(LINES, Config(), Tally(), lambda _number, _error: None)).call_id


def tag(call_id: str, stamp: str) -> bytes:
    return (
        f'{{"type":"CallstewardTag","timestamp":"{stamp}","call_id":"{call_id}","tag":"dropped",'
        f'"by":"crm","source":"mqtt"}}'
    ).encode()


@pytest.mark.parametrize(("call_id", "kept"), [(CALL, True), ("1.1", False)])
def test_a_tag_stays_with_its_call(call_id: str, kept: bool) -> None:
    middle = next(number for number, line in enumerate(LINES) if b'"ChannelTalkingFinished"' in line)
    stamp = "2026-11-22T02:00:00.000+0000"
    before = [*LINES[: middle + 1], tag(call_id, stamp)]
    journal = list(compact(lambda: before, limit_bytes=1_000_000_000))
    assert (tag(call_id, stamp) in journal) is kept
    config = Config(tags=Tags(enabled=True))
    rest = LINES[middle + 1 :]
    whole, short = (
        list(replay([*first, *rest], config, Tally(), lambda _number, _error: None))
        for first in (before, journal)
    )
    assert whole == short
    assert (whole[0].outcome is Outcome.MID_DIALOGUE_DROP) is kept
