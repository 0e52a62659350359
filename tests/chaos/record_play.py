"""One run: a call, a fault in one of its phases, and the record that comes of it."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from callsteward.record.call import CallRecord, Party
from callsteward.store.stored import decode
from tests.chaos import rating_verdict
from tests.chaos.field import Field
from tests.chaos.rating_verdict import SCORE, Does, Menu
from tests.chaos.record_cells import OF_THE_PBX, Connect, Outer, Phase, RecordCell
from tests.chaos.record_verdict import BOOKS, Count, Placed, count, of_this_run, slowest_s
from tests.chaos.revived import Revived
from tests.chaos.strike import strike
from tests.judge.books import Books
from tests.lab.errors import LabError
from tests.lab.fd_store import FdStore
from tests.lab.phone_process import Phones
from tests.live.lag import TOO_LATE_S, LagMeter
from tests.live.settings import callback_settings, rating_settings

GREETING_S = 1.3
SETTLE_LIMIT_S = 30.0
QUIET_S = 2.0
PUBLISH_LIMIT_S = 12.0
TOGETHER_S = 0.3
"""A BYE so close to the PBX's death: which of the two it met nobody knows."""
_LATEST_S = {
    Phase.RINGING: 0.8,
    Phase.GREETING: 0.8,
    Phase.DIALOGUE: 0.8,
    Phase.HOLD: 0.8,
    Phase.TRANSFER: 0.8,
    Phase.WRAP_UP: 0.1,
    Phase.CALLBACK: 0.5,
    # Into greeting and question, which last six seconds.
    Phase.IVR: 5.0,
}
MENU_LIMIT_S = 10.0


def play_records(field: Field, cell: RecordCell, seed: int, folder: Path) -> dict[str, Any]:
    """Play one run and judge it. Raises LabError if it cannot be played."""
    return _Play(field, cell, seed, folder).play()


class _OverError(Exception):
    """The PBX died under the call: there is nothing left to play."""


class _Play:
    def __init__(self, field: Field, cell: RecordCell, seed: int, folder: Path) -> None:
        self._field = field
        self._cell = cell
        self._chance = random.Random(seed)
        self._folder = folder
        # A folder of its own, so that no message of an earlier daemon is taken for this one's.
        self._root = f"callsteward/{secrets.token_hex(4)}"
        self._began = 0.0
        self._fault_at: float | None = None
        self._fault: threading.Thread | None = None
        self._failed: list[BaseException] = []
        self._does: Does | None = None
        self._let_go_from = 0.0
        self._said = 0

    def play(self) -> dict[str, Any]:
        field, chance = self._field, self._chance
        pause_s = round(chance.uniform(0.05, 1.5), 2)
        with (
            LagMeter() as self._lag,
            FdStore() if self._cell.connect is Connect.KEPT else nullcontext() as store,
            Revived(self._folder, self._settings(), pause_s=pause_s, store=store) as daemon,
            Phones(field.pbx.sip_port, 0) as cast,
        ):
            self._daemon, self._cast = daemon, cast
            try:
                return self._played()
            finally:
                if self._fault is not None:
                    self._fault.join()
                acts = "".join(json.dumps(act) + "\n" for act in cast.acts)
                (self._folder / "acts.jsonl").write_text(acts)

    def _played(self) -> dict[str, Any]:
        cast = self._cast
        cast.do("operator", "op1", {"answer_after_s": None})
        cast.do("operator", "op2", {"answer_after_s": None})
        self._daemon.until_connected()
        rows = len(self._field.pbx.cdr()), len(self._field.pbx.cel())
        self._said = len(self._log())
        self._began = time.time() - 0.5
        try:
            if self._cell.phase is Phase.CALLBACK:
                self._called_back()
            elif self._cell.phase is Phase.IVR:
                self._rated()
            else:
                self._call()
        except _OverError:
            pass
        self._join()
        placed = self._placed()
        records = self._settle(len(placed))
        books = None
        if self._cell.fault not in OF_THE_PBX:
            pbx = self._field.pbx
            books = Books(pbx.cdr()[rows[0] :], pbx.cel()[rows[1] :], [])
        published = self._published(records)
        counted = count(placed, records, published, asterisk=books, observed=self._cell.observed)
        if self._does is not None:
            counted = self._with_rating(counted, records, self._does)
        late = max(self._lag.worst_s(self._began, time.time()), 0.0 if books is None else slowest_s(books))
        if late > TOO_LATE_S and counted.errors and all(item.startswith(BOOKS) for item in counted.errors):
            message = f"the machine stood still for {late * 1000:.0f} ms: {'; '.join(counted.errors)}"
            raise LabError(message)
        if books is not None:
            rows_seen = {"cdr": [asdict(row) for row in books.cdr], "cel": [asdict(row) for row in books.cel]}
            (self._folder / "books.json").write_text(json.dumps(rows_seen, indent=1))
        return {"count": counted, "breach": "; ".join(counted.errors), "lives": list(self._daemon.lives)}

    def _settings(self) -> dict[str, Any]:
        broker = self._field.broker
        pbx, database = self._field.pbx, self._field.database(self._folder / "records.db")
        if self._cell.phase is Phase.IVR:
            values = rating_settings(pbx, database)
        else:
            values = callback_settings(pbx, database, ring_s=6, operator_ring_s=6, same_operator_s=20)
        values["asterisk"] = self._field.asterisk_settings()
        values["mqtt"] = {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
            "root": self._root,
            "client_id": "callsteward-chaos",
        }
        return values

    # --- the calls -----------------------------------------------------------------------------------

    def _call(self) -> None:
        """From the first ring to the last BYE, past every phase."""
        cast, phase = self._cast, self._cell.phase
        operator = "op1"
        cast.do("client", "client")
        cast.do("dial", "client", cast.lane.did(10))
        cast.do("until_ringing", "op1")
        self._at(Phase.RINGING)
        cast.do("pick_up", "op1")
        cast.do("until_talking", "client")
        cast.do("talk", "op1")
        time.sleep(0.3)
        self._at(Phase.GREETING)
        time.sleep(GREETING_S)
        cast.do("hush", "op1")
        cast.do("talk", "client")
        time.sleep(0.3)
        self._at(Phase.DIALOGUE)
        time.sleep(0.4)
        cast.do("hush", "client")
        if phase is Phase.HOLD:
            cast.do("hold", "op1")
            time.sleep(0.5)
            self._at(Phase.HOLD)
            cast.do("unhold", "op1")
            time.sleep(0.4)
        if phase is Phase.TRANSFER:
            cast.do("transfer", "op1", "op2")
            cast.do("until_ringing", "op2")
            self._at(Phase.TRANSFER)
            cast.do("pick_up", "op2")
            cast.do("until_talking", "op2")
            operator = "op2"
            time.sleep(0.3)
            cast.say("op2", 0.8)
        cast.do("bye", self._chance.choice(("client", operator)))
        self._at(Phase.WRAP_UP)
        for who in ("client", "op1", "op2"):
            cast.do("until_idle", who)

    def _called_back(self) -> None:
        """The client's phone vanishes; the fault comes during their callback."""
        cast = self._cast
        cast.do("mobile", "mobile")
        cast.do("habits", "op1", {"answer_after_s": 0.3})
        cast.do("dial", "mobile", cast.lane.did(10))
        cast.do("until_talking", "op1")
        cast.say("op1", GREETING_S)
        cast.do("talk", "mobile")
        time.sleep(0.4)
        cast.do("vanish", "mobile")
        cast.do("client", "client", {"answer_after_s": 1.5, "talks_s": 1.5})
        cast.wait(lambda act: act["do"] == "ring" and act.get("who") == "client", 30, "the callback to ring")
        self._at(Phase.CALLBACK)
        for do in ("answer", "bye"):
            cast.wait(lambda act: act["do"] == do and act.get("who") == "client", 30, f"the client to {do}")  # noqa: B023 - waited for at once
        cast.do("until_idle", "op1")

    def _rated(self) -> None:
        """The operator hangs up and the client is asked for a rating; the fault comes in the menu."""
        cast, chance = self._cast, self._chance
        does = self._does = chance.choice(rating_verdict.choices(self._cell.fault))
        cast.do("habits", "op1", {"answer_after_s": 0.3})
        cast.do("client", "client")
        cast.do("dial", "client", cast.lane.did(30))
        cast.do("until_talking", "op1")
        cast.say("op1", GREETING_S)
        cast.say("client", 0.8)
        if does is Does.COMES:
            self._at(Phase.IVR, within_s=0.1, goes_on=True)
            time.sleep(0.05)
        cast.do("bye", "op1")
        if does is Does.COMES:
            self._let_go_from = time.time()
            cast.do("until_idle", "client")
            return
        self._until_asked()
        if does is Does.PRESSES_BEFORE:
            time.sleep(chance.uniform(0.3, 3.0))
            cast.do("if_up", "client", ("press", str(SCORE)))
            # Sometimes before Asterisk has reported the key to the daemon.
            self._let_go_from = time.time()
            self._at(Phase.IVR, within_s=0.05)
        else:
            self._at(Phase.IVR, goes_on=True)
        if does in {Does.PRESSES, Does.HANGS_UP}:
            time.sleep(chance.uniform(0.3, 1.5))
            act = ("press", str(SCORE)) if does is Does.PRESSES else ("bye",)
            cast.do("if_up", "client", act)
            if self._cell.fault is Outer.BROKER:
                self._let_go_from = time.time()
        cast.do("until_idle", "client")

    def _until_asked(self) -> None:
        deadline = time.monotonic() + MENU_LIMIT_S
        while not any(row["state"] == "asking" for row in self._ratings()):
            if time.monotonic() > deadline:
                message = "the client was not asked for a rating"
                raise LabError(message)
            time.sleep(0.02)

    # --- the fault -----------------------------------------------------------------------------------

    def _at(self, phase: Phase, *, within_s: float | None = None, goes_on: bool | None = None) -> None:
        """The fault, if this is its phase; half the time the call goes on while it lasts."""
        if self._cell.phase is not phase:
            return
        chance = self._chance
        latest_s = _LATEST_S[phase] if within_s is None else within_s
        time.sleep(chance.choice((0.0, chance.uniform(0, latest_s))))
        if goes_on is None:
            goes_on = chance.random() < 0.5
        self._fault_at = time.time()
        act = strike(self._cell.fault, self._field, self._daemon, away_s=chance.uniform(0.1, 3))
        if self._cell.fault in OF_THE_PBX:
            act()
            raise _OverError
        self._fault = threading.Thread(target=self._tried, args=(act,), name="fault")
        self._fault.start()
        if not goes_on:
            self._join()

    def _tried(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - raised again where the run goes on
            self._failed.append(error)

    def _join(self) -> None:
        if self._fault is not None:
            self._fault.join()
        if self._failed:
            raise self._failed[0]

    # --- afterwards ----------------------------------------------------------------------------------

    def _with_rating(self, counted: Count, records: list[CallRecord], does: Does) -> Count:
        """The count with the rating judged, too: record, ledger, and how the client left the menu."""
        fault, menu = self._cell.fault, Menu(let_go_s=None, thanked=False)
        if fault not in OF_THE_PBX and does is not Does.HANGS_UP:
            since = max(self._let_go_from, 0.0 if fault is Outer.BROKER else self._fault_at or 0.0)
            (over,) = [act["t"] for act in self._cast.of("over", "client")]
            menu = Menu(let_go_s=max(0.0, over - since), thanked=self._thanked())
        allowed = rating_verdict.possible(fault, does)
        found = rating_verdict.mistakes(records, self._ratings(), allowed=allowed, menu=menu)
        return msgspec.structs.replace(
            counted,
            wrong=counted.wrong or int(bool(found)),
            errors=[*counted.errors, *found],
            rating=rating_verdict.named(records),
            let_go_s=menu.let_go_s,
        )

    def _thanked(self) -> bool:
        """True if the farewell is the last prompt that was played to the client."""
        mark = f"<PJSIP/{self._cast.lane.outside(1).endpoint}-"
        played = [line for line in self._log()[self._said :] if mark in line and "Playing" in line]
        return bool(played) and "prompts/thanks" in played[-1]

    def _log(self) -> list[str]:
        return (self._field.pbx.log / "full").read_text(errors="replace").splitlines()

    def _ratings(self) -> list[dict[str, Any]]:
        return self._daemon.ratings()

    def _placed(self) -> list[Placed]:
        """The calls as the phones know them. A PBX that died ended what was in progress."""
        acts = [
            act
            for act in sorted(self._cast.acts, key=lambda act: act["t"])
            if self._fault_at is None or self._cell.fault not in OF_THE_PBX or act["t"] <= self._fault_at
        ]
        ends = [
            Party.NETWORK.value
            if act["do"] == "vanish"
            else Party.CLIENT.value
            if act["who"] == "client"
            else Party.OPERATOR.value
            for act in acts
            if act["do"] in {"bye", "vanish"}
        ]
        directions = ["inbound", "callback"] if self._cell.phase is Phase.CALLBACK else ["inbound"]
        ends += [Party.PBX.value] * (len(directions) - len(ends))
        placed = [Placed(direction, party) for direction, party in zip(directions, ends, strict=False)]
        last = max((act["t"] for act in acts if act["do"] in {"bye", "vanish"}), default=0.0)
        died_at = self._fault_at if self._cell.fault in OF_THE_PBX else None
        if died_at is not None and died_at - last <= TOGETHER_S and placed[-1].party != Party.PBX.value:
            placed[-1] = Placed(placed[-1].direction, placed[-1].party, Party.PBX.value)
        return placed

    def _settle(self, wanted: int) -> list[CallRecord]:
        """The records of this run, as soon as all are there and no more come."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        records = self._records()
        while time.monotonic() < deadline:
            asking = self._does is not None and any(row["state"] == "asking" for row in self._ratings())
            if len(records) >= wanted and not asking and not self._field.pbx.request_list("/channels"):
                time.sleep(QUIET_S)
                before, records = records, self._records()
                if len(before) == len(records):
                    break
            time.sleep(0.2)
            records = self._records()
        return records

    def _records(self) -> list[CallRecord]:
        rows = self._daemon.rows("SELECT record, packed FROM calls ORDER BY id")
        return of_this_run([decode(row["packed"] or row["record"]) for row in rows], self._began)

    def _published(self, records: list[CallRecord]) -> list[dict[str, Any]]:
        """The records that the dashboard got, as soon as all have come or the time is up."""
        wanted = {record.call_id for record in records}
        deadline = time.monotonic() + PUBLISH_LIMIT_S
        while True:
            bodies = self._field.dashboard.ended(self._root)
            found = {body["call_id"] for body in bodies}
            if wanted <= found or time.monotonic() > deadline:
                return [body for body in bodies if body["call_id"] in wanted]
            time.sleep(0.1)
