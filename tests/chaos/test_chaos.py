"""The sharpest faults, each once; `make chaos` plays them all, again and again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.chaos import result as results
from tests.chaos.cells import SHARPEST
from tests.chaos.plan import AnyCell, Run
from tests.chaos.rating_cells import SHARPEST_RATINGS
from tests.chaos.record_cells import SHARPEST_RECORDS
from tests.chaos.result import Result
from tests.chaos.runner import play_all
from tests.live.availability import lab_or_skip

pytestmark = pytest.mark.live

CELLS: tuple[AnyCell, ...] = (*SHARPEST, *SHARPEST_RATINGS, *SHARPEST_RECORDS)
WORKERS = 4


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    runs = [Run(number, cell, number) for number, cell in enumerate(CELLS, start=1)]
    with lab_or_skip():
        found = play_all(
            runs,
            tmp_path_factory.mktemp("chaos"),
            workers=WORKERS,
            on_result=lambda one: print(f"{one.fault} / {one.phase}: {one.summary}", flush=True),
        )
    titles = {results.key(cell): cell.title for cell in CELLS}
    return {titles[one.matrix, one.fault, one.phase, one.variant]: one for one in found}


@pytest.mark.parametrize("title", [cell.title for cell in CELLS])
def test_one_invite_one_record_nobody_wrongly_said_to_have_hung_up(
    played: Mapping[str, Result], title: str
) -> None:
    one = played[title]
    assert not one.trouble
    assert not one.breach, f"{one.summary}; {one.evidence}"
