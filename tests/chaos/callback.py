"""One run: a talk that breaks, the callback that follows, and a fault somewhere in it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from callsteward.callback.states import FINAL, CallbackState
from callsteward.stream.telling import STORE_PATIENCE_S
from tests.chaos.cells import OF_THE_DATABASE, Cell, Fault, Moment, Scene
from tests.chaos.disk import Disk
from tests.chaos.field import Field
from tests.chaos.revived import Revived
from tests.chaos.server import Server
from tests.chaos.verdict import judge
from tests.lab.errors import LabError
from tests.lab.phone_process import Act, Phones
from tests.live.settings import callback_settings

GREETING_S = 1.3
SETTLE_LIMIT_S = 75.0
QUIET_S = 4.0
"""Long enough for a second call to the client, if one were made."""
UNSEEN_S = 12.0
"""A drop that is in no ledger by then was not seen."""
MOMENT_LIMIT_S = 45.0
MARGIN_S = 0.5

_PHONES: dict[Scene, dict[str, dict[str, object]]] = {
    # How each phone behaves once the talk has broken.
    Scene.REACHED: {},
    Scene.BUSY: {"client": {"reject_with": 486, "reject_after_s": 0.4}},
    Scene.SECOND: {"op1": {"answer_after_s": None}},
    # The operator is slow, so that the client, or the daemon in its next life, can be faster.
    Scene.AGAIN: {"op1": {"answer_after_s": 8.0}, "op2": {"answer_after_s": 8.0}},
    Scene.AGAIN_UNNOTICED: {},
    Scene.NOBODY: {"op1": {"answer_after_s": None}, "op2": {"answer_after_s": None}},
}
_CALLBACK: dict[Scene, dict[str, object]] = {
    Scene.AGAIN: {"operator_ring_s": 12},
    Scene.NOBODY: {"operator_ring_s": 2, "expire_s": 5},
}
# The longest time, in seconds, from a moment to its fault.
_LATEST_S = {
    Moment.DIALOGUE: 0.5,
    Moment.LOSS: 1.8,
    Moment.OPERATOR_RINGS: 0.6,
    Moment.OPERATOR_UP: 0.03,
    Moment.CLIENT_RINGS: 0.6,
    Moment.TALK: 1.0,
}


def play_callback(field: Field, cell: Cell, seed: int, folder: Path) -> dict[str, Any]:
    """Play one run and judge it. Raises LabError if it cannot be played."""
    return _Play(field, cell, seed, folder).play()


class _Play:
    def __init__(self, field: Field, cell: Cell, seed: int, folder: Path) -> None:
        self._field = field
        self._pbx = field.pbx
        self._wire = field.wire
        self._cell = cell
        self._chance = random.Random(seed)
        self._folder = folder
        self._back = 0

    def play(self) -> dict[str, Any]:
        cell, chance = self._cell, self._chance
        with (
            self._field.disk(self._folder / "disk") as disk,
            Revived(
                self._folder,
                self._settings(disk),
                armed=cell.points,
                later=cell.moment is not None,
                pause_s=round(chance.uniform(0.05, 1.5), 2),
            ) as daemon,
            Phones(self._pbx.sip_port, 0) as cast,
        ):
            self._disk, self._daemon, self._cast = disk, daemon, cast
            try:
                self._talk()
                self._break()
                self._follow()
                if cell.points:
                    daemon.until_ended(len(cell.points), MOMENT_LIMIT_S)
                self._settle()
                return self._judged()
            finally:
                disk.free()
                self._wire.flow()
                (self._folder / "acts.jsonl").write_text("".join(json.dumps(act) + "\n" for act in cast.acts))
                daemon.leave()
                for file in disk.folder.glob("chaos.*"):
                    # A daemon that was killed has left its socket, too.
                    if file.is_file():
                        shutil.copy(file, self._folder / file.name)

    def _settings(self, disk: Disk | Server) -> dict[str, Any]:
        values = callback_settings(
            self._pbx,
            disk.database(),
            **{
                "ring_s": 5,
                "operator_ring_s": 4,
                "same_operator_s": 1,
                "ask_again_s": 3,
                **_CALLBACK.get(self._cell.scene, {}),
            },
        )
        values["asterisk"] = self._field.asterisk_settings()
        return values

    # --- the call ------------------------------------------------------------------------------------

    def _talk(self) -> None:
        """The client calls; past the greeting."""
        cast = self._cast
        cast.do("operator", "op1", {"answer_after_s": 0.3})
        cast.do("operator", "op2", {"answer_after_s": 0.8})
        cast.do("mobile", "mobile")
        self._daemon.until_connected()
        cast.do("dial", "mobile", cast.lane.did(10))
        cast.do("until_talking", "op1")
        cast.say("op1", GREETING_S)
        cast.do("talk", "mobile")
        time.sleep(0.4)
        self._at(Moment.DIALOGUE)
        time.sleep(0.5)

    def _break(self) -> None:
        """The client's phone vanishes without a word, and is back at once."""
        cast = self._cast
        phones = _PHONES[self._cell.scene]
        cast.do("habits", "op1", {"answer_after_s": 0.8, **phones.get("op1", {})})
        cast.do("habits", "op2", {"answer_after_s": 0.8, **phones.get("op2", {})})
        self._back = cast.count()
        cast.do("vanish", "mobile")
        habits = {"answer_after_s": 0.8, "talks_s": 1.5, **phones.get("client", {})}
        cast.do("client", "client", habits)
        if self._cell.scene is Scene.AGAIN_UNNOTICED:
            cast.do("dial", "client", cast.lane.did(10))
        self._at(Moment.LOSS)

    def _follow(self) -> None:
        """The callback, up to the fault if that comes in it."""
        cast = self._cast
        if self._cell.scene is Scene.AGAIN:
            self._wait("ring", "1", "the operator's phone to ring")
            time.sleep(0.3)
            cast.do("dial", "client", cast.lane.did(10))
        moments = {
            Moment.OPERATOR_RINGS: ("ring", "1"),
            Moment.OPERATOR_UP: ("answer", "1"),
            Moment.CLIENT_RINGS: ("ring", "client"),
            Moment.TALK: ("answer", "client"),
        }
        moment = self._cell.moment
        if moment in moments:
            self._wait(*moments[moment], moment.value)
            self._at(moment)

    def _wait(self, do: str, who: str, what: str) -> Act:
        def matches(act: Act) -> bool:
            return act["do"] == do and str(act.get("who")).startswith(who)

        return self._cast.wait(matches, MOMENT_LIMIT_S, what, since=self._back)

    # --- the fault -----------------------------------------------------------------------------------

    def _at(self, moment: Moment) -> None:
        """The fault, if this is its moment; over when this returns."""
        if self._cell.moment is not moment:
            return
        # At once as often as a little later: the first moment is the sharpest.
        time.sleep(self._chance.choice((0.0, self._chance.uniform(0, _LATEST_S[moment]))))
        chance = self._chance
        fault = self._cell.fault
        if fault in OF_THE_DATABASE:
            assert isinstance(self._disk, Server), "this field has no PostgreSQL"
            with self._disk.away(fault):
                time.sleep(chance.uniform(0.5, 6))
            return
        match fault:
            case Fault.POINT | Fault.POINTS:
                self._daemon.arm()
            case Fault.KILL:
                self._daemon.signal(signal.SIGKILL)
            case Fault.CUT:
                self._wire.cut()
                time.sleep(chance.uniform(0.1, 3))
                self._wire.mend()
            case Fault.HALF_OPEN:
                self._wire.stall()
                time.sleep(chance.choice((chance.uniform(0.5, 4), chance.uniform(8, 12))))
                self._wire.flow()
            case Fault.RESTART:
                self._pbx.restart_in_place()
                self._cast.do("register", "all")
            case Fault.PBX_KILL:
                self._pbx.kill()
                time.sleep(chance.uniform(0, 1))
                self._pbx.start()
                self._cast.do("register", "all")
            case Fault.DISK:
                self._disk.fill()
                time.sleep(chance.uniform(0.5, 6))
                self._disk.free()
            case Fault.DISK_LONG:
                self._disk.fill()
                time.sleep(STORE_PATIENCE_S + chance.uniform(3, 12))
                self._disk.free()

    # --- afterwards ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Wait until the ledger's row is final and no phone does anything any more."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        unseen = time.monotonic() + UNSEEN_S
        while time.monotonic() < deadline:
            if self._over(unseen):
                seen = self._cast.count()
                time.sleep(QUIET_S)
                if seen == self._cast.count() and self._over(unseen):
                    return
            time.sleep(0.2)

    def _over(self, unseen: float) -> bool:
        rows = self._daemon.callbacks()
        if rows:
            return all(CallbackState(row["state"]) in FINAL for row in rows) and bool(self._daemon.records())
        return time.monotonic() > unseen and bool(self._daemon.records())

    def _in_time(self) -> None:
        """Raise LabError if the operator answered before the daemon was back, which nobody can prevent."""
        answers = [act["t"] for act in self._cast.acts[self._back :] if act["do"] == "answer"]
        back = self._daemon.connected_at[-1]
        if self._cell.scene is Scene.AGAIN and answers and back > min(answers) - MARGIN_S:
            message = "the machine was slow: the operator answered before the daemon was back"
            raise LabError(message)

    def _judged(self) -> dict[str, Any]:
        self._in_time()
        rings = self._cast.of("ring", "client")
        verdict = judge(
            self._cell.scene,
            invites=len(rings),
            answered=bool(self._cast.of("answer", "client")),
            rows=self._daemon.callbacks(),
            records=self._daemon.records(),
        )
        return {
            "invites": len(rings),
            "ended": verdict.ended,
            "breach": verdict.breach,
            "lives": list(self._daemon.lives),
        }
