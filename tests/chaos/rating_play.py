"""One run: a talk, the rating call that follows it, and a daemon that is killed somewhere in it."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

from tests.chaos.callback import GREETING_S, MOMENT_LIMIT_S, QUIET_S, SETTLE_LIMIT_S
from tests.chaos.field import Field
from tests.chaos.rating_cells import RatingCell, RatingScene, breach
from tests.chaos.rating_verdict import SCORE
from tests.chaos.revived import Revived
from tests.lab.phone_process import Act, Phones
from tests.live.settings import rating_settings

_OVER = {"answered", "unanswered", "not_reached", "suppressed", "cancelled", "expired"}
_RINGS_ON = {RatingScene.LISTED_LATE}


def play_rating(field: Field, cell: RatingCell, seed: int, folder: Path) -> dict[str, Any]:
    """Play one run and judge it. Raises LabError if it cannot be played."""
    chance = random.Random(seed)
    values = rating_settings(
        field.pbx,
        field.database(folder / "chaos.db"),
        rating={"ring_s": 8},
        rating_delay_min=0.06,
        rating_question=True,
    )
    values["asterisk"] = field.asterisk_settings()
    pause_s = round(chance.uniform(0.05, 1.5), 2)
    with (
        Revived(folder, values, armed=cell.points, pause_s=pause_s) as daemon,
        Phones(field.pbx.sip_port, 0) as cast,
    ):
        try:
            return _Play(cell, daemon, cast, chance).play()
        finally:
            (folder / "acts.jsonl").write_text("".join(json.dumps(act) + "\n" for act in cast.acts))


class _Play:
    def __init__(self, cell: RatingCell, daemon: Revived, cast: Phones, chance: random.Random) -> None:
        self._cell = cell
        self._daemon = daemon
        self._cast = cast
        self._chance = chance
        self._back = 0

    def play(self) -> dict[str, Any]:
        self._talk()
        self._follow()
        self._daemon.until_ended(len(self._cell.points), MOMENT_LIMIT_S)
        self._settle()
        rows = self._rows()
        invites = sum(
            act["do"] == "ring" and act.get("who") == "client" for act in self._cast.acts[self._back :]
        )
        recorded = any(record["direction"] == "inbound" for record in self._daemon.records())
        row = rows[0] if rows else {"state": "no row", "reason": ""}
        return {
            "invites": invites,
            "ended": f"{row['state']} ({row['reason'] or 'no reason'})",
            "breach": breach(self._cell.scene, invites=invites, rows=rows, recorded=recorded, score=SCORE),
            "lives": list(self._daemon.lives),
        }

    def _talk(self) -> None:
        cast = self._cast
        cast.do("operator", "op1", {"answer_after_s": 0.3})
        cast.do("client", "client")
        self._daemon.until_connected()
        cast.do("dial", "client", cast.lane.did(10))
        cast.do("until_talking", "op1")
        cast.say("op1", GREETING_S)
        cast.say("client", 0.6)
        scene = self._cell.scene
        habits: dict[str, object] = {"answer_after_s": 0.8}
        if scene is RatingScene.BUSY:
            habits = {"reject_with": 486, "reject_after_s": 0.4}
        elif scene in _RINGS_ON:
            habits = {"answer_after_s": None}
        cast.do("habits", "client", habits)
        cast.do("bye", "op1")
        cast.do("until_idle", "client")
        self._back = cast.count()

    def _follow(self) -> None:
        """Play the client and the house from the moment the rating call is scheduled."""
        scene = self._cell.scene
        if scene in {RatingScene.LISTED, RatingScene.LATE}:
            self._until(lambda: bool(self._rows()), "the rating to be scheduled")
            if scene is RatingScene.LATE:
                self._execute("UPDATE ratings SET due_at_ms = due_at_ms - 100 * 3600000")
            else:
                self._listed()
            return
        if scene is RatingScene.LISTED_LATE:
            self._wait("ring")
            time.sleep(0.2)
            self._listed()
            return
        if scene is RatingScene.BUSY:
            return
        self._wait("answer")
        self._in_the_menu()

    def _in_the_menu(self) -> None:
        """The client is asked, or thanked if the daemon has just died."""
        cast = self._cast
        try:
            self._until(lambda: self._state() not in {"scheduled", "dialling"}, "the menu to begin")
        except AssertionError:
            return
        time.sleep(self._chance.uniform(0.2, 0.6))
        if self._cell.scene is RatingScene.SILENT:
            cast.do("if_up", "client", ("bye",))
            return
        cast.do("if_up", "client", ("press", str(SCORE)))
        if self._cell.scene is RatingScene.MORE:
            self._until(lambda: self._state() in _OVER, "the score to be kept")
            time.sleep(0.5)
            cast.do("if_up", "client", ("press", "1"))

    def _wait(self, do: str) -> Act:
        def matches(act: Act) -> bool:
            return act["do"] == do and act.get("who") == "client"

        return self._cast.wait(matches, MOMENT_LIMIT_S, f"the client to {do}", since=self._back)

    def _until(self, happened: Any, what: str) -> None:
        deadline = time.monotonic() + 20.0
        while not happened():
            if time.monotonic() > deadline:
                message = f"waited in vain for {what}"
                raise AssertionError(message)
            time.sleep(0.02)

    def _settle(self) -> None:
        """Wait until the ledger's row is final and no phone does anything any more."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        while time.monotonic() < deadline:
            if self._state() in _OVER:
                seen = self._cast.count()
                time.sleep(QUIET_S)
                if seen == self._cast.count() and self._state() in _OVER:
                    return
            time.sleep(0.2)

    # --- the ledger ----------------------------------------------------------------------------------

    def _rows(self) -> list[dict[str, Any]]:
        return self._daemon.ratings()

    def _state(self) -> str:
        rows = self._rows()
        return str(rows[0]["state"]) if rows else ""

    def _listed(self) -> None:
        """The client comes onto the do-not-call list, as a row that another process writes."""
        number = self._rows()[0]["number"]
        self._execute("INSERT INTO do_not_call VALUES (?, 0, 'chaos', '')", number)

    def _execute(self, statement: str, *values: object) -> None:
        self._daemon.execute(statement, *values)
