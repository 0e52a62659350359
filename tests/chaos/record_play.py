"""One run: a call, a fault in one of its phases, and the record that comes of it."""

from __future__ import annotations

import json
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from callsteward.calls.record import CallRecord, Party
from callsteward.store.records import decode
from tests.chaos.cast import Cast
from tests.chaos.daemon import Guarded
from tests.chaos.field import Field
from tests.chaos.record_cells import OF_THE_PBX, Outer, Phase, RecordCell
from tests.chaos.record_verdict import BOOKS, Placed, count, of_this_run, slowest_s
from tests.judge.books import Books
from tests.lab.errors import LabError
from tests.live.callback_lab import settings
from tests.live.lag import TOO_LATE_S, LagMeter

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
}


def play_records(field: Field, cell: RecordCell, seed: int, folder: Path) -> dict[str, Any]:
    """Play one run and judge it: what a Result says of it. Raises LabError where it cannot be played."""
    return _Play(field, cell, seed, folder).play()


class _OverError(Exception):
    """The PBX died under the call: there is nothing left to play."""


class _Play:
    def __init__(self, field: Field, cell: RecordCell, seed: int, folder: Path) -> None:
        self._field = field
        self._cell = cell
        self._chance = random.Random(seed)
        self._folder = folder
        # Its own, so that nothing an earlier daemon said is taken for this one's.
        self._root = f"callsteward/{secrets.token_hex(4)}"
        self._began = 0.0
        self._fault_at: float | None = None
        self._fault: threading.Thread | None = None
        self._failed: list[BaseException] = []

    def play(self) -> dict[str, Any]:
        field, chance = self._field, self._chance
        with (
            LagMeter() as self._lag,
            Guarded(self._folder, self._settings(), pause_s=round(chance.uniform(0.05, 1.5), 2)) as daemon,
            Cast(field.pbx.sip_port, 0) as cast,
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
        self._began = time.time() - 0.5
        try:
            if self._cell.phase is Phase.CALLBACK:
                self._called_back()
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
        counted = count(placed, records, published, asterisk=books)
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
        values = settings(
            self._field.pbx, self._folder / "records.db", ring_s=6, operator_ring_s=6, same_operator_s=20
        )
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
        """The client's phone vanishes; the fault comes while they are called back."""
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

    # --- the fault -----------------------------------------------------------------------------------

    def _at(self, phase: Phase) -> None:
        """The fault, if this is its phase; half the time the call goes on while it lasts."""
        if self._cell.phase is not phase:
            return
        chance = self._chance
        time.sleep(chance.choice((0.0, chance.uniform(0, _LATEST_S[phase]))))
        goes_on = chance.random() < 0.5
        self._fault_at = time.time()
        act = self._act()
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

    def _act(self) -> Callable[[], None]:
        field, daemon = self._field, self._daemon
        away_s = self._chance.uniform(0.1, 3)
        connects = daemon.connects

        def end_daemon(how: signal.Signals) -> None:
            lives = len(daemon.lives)
            daemon.signal(how)
            daemon.until_ended(lives + 1, 10)
            daemon.until_connected(times=connects + 1)

        def cut() -> None:
            field.wire.cut()
            time.sleep(away_s)
            field.wire.mend()
            daemon.until_connected(times=connects + 1)

        def broker() -> None:
            field.broker.kill()
            time.sleep(away_s)
            field.broker.start()

        def kill_pbx() -> None:
            field.pbx.kill()
            field.pbx.start()
            daemon.until_connected(times=connects + 1)

        def restart_pbx() -> None:
            field.pbx.restart_in_place()
            daemon.until_connected(times=connects + 1)

        return {
            Outer.KILL: lambda: end_daemon(signal.SIGKILL),
            Outer.TERM: lambda: end_daemon(signal.SIGTERM),
            Outer.CUT: cut,
            Outer.BROKER: broker,
            Outer.PBX_KILL: kill_pbx,
            Outer.RESTART: restart_pbx,
        }[self._cell.fault]

    # --- afterwards ----------------------------------------------------------------------------------

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
        """The records of this run, once they are there and nothing more comes."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        records = self._records()
        while time.monotonic() < deadline:
            if len(records) >= wanted and not self._field.pbx.request_list("/channels"):
                time.sleep(QUIET_S)
                before, records = records, self._records()
                if len(before) == len(records):
                    break
            time.sleep(0.2)
            records = self._records()
        return records

    def _records(self) -> list[CallRecord]:
        rows = self._daemon._rows("SELECT record FROM calls ORDER BY id")
        return of_this_run([decode(row["record"]) for row in rows], self._began)

    def _published(self, records: list[CallRecord]) -> list[dict[str, Any]]:
        """What the dashboard got, once each record came or too long a time is over."""
        wanted = {record.call_id for record in records}
        deadline = time.monotonic() + PUBLISH_LIMIT_S
        while True:
            bodies = self._field.dashboard.ended(self._root)
            found = {body["call_id"] for body in bodies}
            if wanted <= found or time.monotonic() > deadline:
                return [body for body in bodies if body["call_id"] in wanted]
            time.sleep(0.1)
