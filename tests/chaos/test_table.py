"""The tables, for people and for machines."""

from __future__ import annotations

import json

import msgspec

from tests.chaos import table
from tests.chaos.record_verdict import Count
from tests.chaos.result import Result


def _callback(number: int, invites: int, *, breach: str = "", trouble: str = "") -> Result:
    return Result(
        number=number,
        matrix="callbacks",
        fault="websocket cut",
        phase="talk",
        variant="reached",
        seed=1,
        invites=invites,
        ended="reached (answered)",
        breach=breach,
        trouble=trouble,
    )


RECORD = Result(
    number=9,
    matrix="records",
    fault="websocket cut",
    phase="on hold",
    variant="client",
    seed=1,
    count=Count(placed=1, records=1, unobserved=1),
)
POINT = Result(
    number=10,
    matrix="callbacks",
    fault="SIGKILL at a point",
    phase="after:due",
    variant="reached",
    seed=1,
    invites=1,
)
RATED = msgspec.structs.replace(
    RECORD,
    phase="IVR",
    count=Count(placed=1, records=1, rating="unanswered (interrupted)", let_go_s=3.14),
)
RESULTS = [_callback(1, 1), _callback(2, 2, breach="twice"), _callback(3, 0, trouble="a phone"), RECORD]


def test_runs_that_were_not_played_count_as_nothing() -> None:
    callback, record = table.lines(RESULTS)
    assert (callback.runs, callback.wrong, callback.not_played) == (2, 1, 1)
    assert callback.invites == {"0": 0, "1": 1, "2+": 1}
    assert callback.ended == {"reached (answered)": 2}
    assert record.calls["placed"] == record.calls["records"] == record.calls["incomplete"] == 1
    assert record.calls["lost"] == record.calls["duplicated"] == record.calls["wrong"] == 0


def test_a_document_has_each_matrix_with_its_sums() -> None:
    text = table.markdown(RESULTS)
    assert "| websocket cut | talk | reached | 2 | 0 | 1 | 1 | 1 | reached (answered) x2 |" in text
    assert "| all |  |  | 2 | 0 | 1 | 1 | 1 |  |" in text
    assert "| websocket cut | on hold | client | 1 | 1 | 1 | 0 | 0 | 0 | 1 | 0 |" in text


def test_a_rating_is_told_with_how_soon_its_client_was_let_go() -> None:
    later = Count(placed=1, records=1, rating="answered (4)")
    text = table.markdown([RATED, RATED, msgspec.structs.replace(RATED, count=later)])
    told = "unanswered (interrupted) x2; answered (4), let go within 3.1 s"
    assert f"| websocket cut | IVR | client | 3 | 3 | 3 | 0 | 0 | 0 | 0 | 0 | {told} |" in text
    (line,) = table.lines([RATED])
    assert (line.rated, line.let_go_s) == ({"unanswered (interrupted)": 1}, 3.1)


def test_in_short_faults_stand_against_phases() -> None:
    text = table.grids([*RESULTS, POINT])
    assert "| websocket cut | 0 / 1 / 1 |" in text
    assert "| websocket cut | 1 / 1 / 0 / 0 |" in text
    assert POINT.phase not in text


def test_a_cell_that_could_not_be_played_says_so() -> None:
    lost = msgspec.structs.replace(RECORD, count=None, trouble="a phone")
    assert "| websocket cut | not played |" in table.grids([lost])
    assert "| websocket cut | on hold | client | 0 | 0 | 0 |" in table.markdown([lost])


def test_machines_get_the_seed_and_every_run() -> None:
    body = json.loads(table.as_json(RESULTS, 5))
    assert (body["schema"], body["seed"], len(body["runs"])) == ("callsteward.chaos/1", 5, 4)
    assert body["callbacks"][0]["invites"]["2+"] == 1
    assert body["records"][0]["calls"]["placed"] == 1
