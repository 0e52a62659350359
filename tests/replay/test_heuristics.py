"""How well `drop_on_bye` tells a talk that was cut from one that was meant to end, where both end by a BYE.

Every recorded talk past its greeting that ends with a plain BYE of the client's side is a case. The phones'
truth says which it was: `end` where it was recorded for this, else a phone that hung up as its scenario has
it was meant to. Talks whose client vanished make two more: told as by a gateway that notices at once and
sends the BYE itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from callsteward.ari import events
from callsteward.config import Config
from callsteward.config.profile import Profile
from callsteward.record.call import CallRecord, Decision, Direction, Outcome, Party
from tests.judge.truth import Truth, is_client
from tests.replay.streams import CAPTURES, HERE, STREAMS, lines_of, records_of

Heuristic = Literal["operator_mid_word", "client_on_hold"]
ENDINGS = sorted((HERE / "endings").glob("*.jsonl"))
VANISHED = ("captures/netdrop", "streams/netdrop_client")
# The talk detector says that somebody stopped half a second after they did.
GRAIN_S = 0.5


@dataclass(frozen=True)
class Case:
    name: str
    lines: list[bytes]
    truth: Truth
    cut: bool
    ended_s: float

    def record(self, *heuristics: Heuristic) -> CallRecord:
        config = Config(profiles={"standard": Profile(drop_on_bye=frozenset(heuristics))})
        (record,) = [item for item in records_of(self.lines, config) if item.direction is Direction.INBOUND]
        return record

    def says_drop(self, heuristic: Heuristic) -> bool:
        return self.record(heuristic).outcome is Outcome.MID_DIALOGUE_DROP

    def phones_did(self, heuristic: Heuristic) -> bool:
        """True if the operator's phone spoke (or held) at the end, by its own account."""
        begin, end, grain_s = ("talk", "hush", GRAIN_S) if heuristic == "operator_mid_word" else (
            "hold", "unhold", 0.0,
        )  # fmt: skip
        spells = self.truth.spells(begin, end, client=False, until=self.ended_s)
        return any(start <= self.ended_s <= stop + grain_s for start, stop in spells)


def _cases() -> list[Case]:
    found = []
    for path in [*CAPTURES, *STREAMS, *ENDINGS]:
        name = f"{path.parent.name}/{path.stem}"
        truth = Truth.load(path.with_suffix(".truth.json"))
        if name in VANISHED:
            found.append(_told_by_a_gateway(name, path, truth))
            continue
        byes = [act for act in truth.acts if act["do"] == "bye" and is_client(act.get("who", "client"))]
        inbound = [record for record in records_of(lines_of(path)) if record.direction is Direction.INBOUND]
        if len(inbound) != 1 or len(byes) != 1:
            continue
        (record,) = inbound
        if record.outcome is not Outcome.COMPLETED or record.hangup.first is not Party.CLIENT:
            continue
        label = next((act["label"] for act in truth.acts if act["do"] == "end"), "meant")
        found.append(Case(name, lines_of(path), truth, label == "cut", byes[0]["t"]))
    return found


def _told_by_a_gateway(name: str, path: Path, truth: Truth) -> Case:
    """The stream of a client who vanished, as if a BYE had come for them at that moment."""
    vanished = truth.at("vanish")
    assert vanished is not None
    at_ms = round(vanished * 1000)
    lines: list[bytes] = []
    ending = False
    for line in lines_of(path):
        event: dict[str, Any] = json.loads(line)
        ms = events.epoch_ms(event["timestamp"])
        assert ms is not None
        if ms <= at_ms:
            lines.append(line)
            continue
        ending = ending or event["type"] == "ChannelHangupRequest"
        if not ending or "Talking" in event["type"]:
            continue
        if event["type"] == "ChannelHangupRequest" and event.get("cause") == 1:
            del event["soft"]
            event["cause"] = 16
        elif event["type"] == "ChannelDestroyed":
            event["cause"] = 16
        event.get("channel", {}).pop("channelvars", None)
        event["timestamp"] = (
            datetime.fromtimestamp(vanished, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "+0000"
        )
        lines.append(json.dumps(event).encode())
    acts = [act for act in truth.acts if act["t"] <= vanished]
    return Case(f"{name} by BYE", lines, Truth(acts), True, vanished)


CASES = _cases()


def _matrix(heuristic: Heuristic) -> dict[tuple[bool, bool], list[str]]:
    """(it was cut, the heuristic says so): which cases."""
    cells: dict[tuple[bool, bool], list[str]] = {
        (cut, said): [] for cut in (True, False) for said in (True, False)
    }
    for case in CASES:
        cells[case.cut, case.says_drop(heuristic)].append(case.name.partition("/")[2])
    return cells


def _print(heuristic: Heuristic, cells: dict[tuple[bool, bool], list[str]]) -> None:
    print(f"\n{heuristic}, {len(CASES)} endings by a BYE of the client's side")
    print(f"{'':8}{'says drop':>12}{'says meant':>12}")
    for cut, title in ((True, "cut"), (False, "meant")):
        print(f"{title:8}{len(cells[cut, True]):>12}{len(cells[cut, False]):>12}")
    print("  caught:", *cells[True, True])
    print("  missed:", *cells[True, False])
    print("  taken for a drop:", *(cells[False, True] or ["none"]))


def test_there_are_enough_cases_of_both_kinds() -> None:
    assert sum(case.cut for case in CASES) == 7
    assert sum(not case.cut for case in CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_off_by_default_a_bye_is_a_bye(case: Case) -> None:
    record = case.record()
    assert record.outcome is Outcome.COMPLETED
    assert record.callback.decision is Decision.NOT_DUE


@pytest.mark.parametrize("heuristic", ["operator_mid_word", "client_on_hold"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_heuristic_sees_what_the_operators_phone_did(case: Case, heuristic: Heuristic) -> None:
    assert case.says_drop(heuristic) is case.phones_did(heuristic)


def test_operator_mid_word_takes_every_farewell_that_is_cut_short_for_a_drop() -> None:
    cells = _matrix("operator_mid_word")
    _print("operator_mid_word", cells)
    assert set(cells[True, True]) == {
        "cut_operator_mid_word",
        "cut_operator_says_hello",
        "netdrop by BYE",
        "netdrop_client by BYE",
    }
    assert set(cells[True, False]) == {"cut_client_mid_word", "cut_in_a_pause", "cut_on_hold"}
    # Why it is off by default.
    assert {"meant_during_farewell", "meant_at_the_last_word"} <= set(cells[False, True])
    # Whoever lets the operator finish is never taken for cut.
    assert "meant_after_farewell" in cells[False, False]


def test_client_on_hold_is_wrong_only_about_clients_tired_of_the_music() -> None:
    cells = _matrix("client_on_hold")
    _print("client_on_hold", cells)
    assert set(cells[True, True]) == {"cut_on_hold"}
    assert set(cells[False, True]) == {"meant_on_hold", "hangup_while_on_hold"}


def test_a_heuristics_sign_is_in_the_evidence() -> None:
    told = {case.name: case.record().hangup.evidence for case in CASES}
    assert "the operator was speaking" in told["endings/cut_operator_mid_word"]
    assert "the client was on hold" in told["endings/cut_on_hold"]
    assert told["endings/meant_after_farewell"][-1:] != ("the operator was speaking",)
