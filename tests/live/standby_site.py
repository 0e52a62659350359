"""Two daemons for one PBX, and a third one that nothing is done to, by whose records theirs are judged."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.judge.truth import epoch
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.postgresql import PostgreSql
from tests.lab.wire import Wire
from tests.live.daemon import Daemon, callsteward
from tests.live.settings import Settings, callback_settings, merged, mqtt

EVERY = os.environ.get("CALLSTEWARD_STANDBY") == "all"
"""`make standby`: each fault in each direction, on a machine that does nothing else."""
# Beside other tests on a busy machine everything takes longer.
TAKES_OVER_S = 3.0 if EVERY else 10.0
NAMES = ("a", "b")


class Site:
    """The daemons `a` and `b`, each with a wire of its own to Asterisk and to PostgreSQL, and a reference."""

    def __init__(
        self,
        folder: Path,
        pbx: Asterisk,
        broker: Mosquitto,
        server: PostgreSql,
        name: str,
        settings: Callable[..., Settings] = callback_settings,
    ) -> None:
        """`settings`: makes those of a daemon, given the PBX and its database."""
        self.name = name
        self.database = server.new_database(name)
        self._stack = ExitStack()
        self.wires: dict[str, dict[str, Wire]] = {}
        self.daemons: dict[str, Daemon] = {}
        for instance in NAMES:
            wires = {"asterisk": Wire(urlsplit(pbx.ari.base_url).port or 0), "store": Wire(server.port)}
            self.wires[instance] = {kind: self._stack.enter_context(wire) for kind, wire in wires.items()}
            own = folder / instance
            own.mkdir()
            database = self.database.replace(f":{server.port}/", f":{wires['store'].port}/")
            values = merged(
                settings(pbx, database),
                {
                    "asterisk": {
                        "url": f"http://127.0.0.1:{wires['asterisk'].port}",
                        "app": f"callsteward-{name}-{instance}",
                    },
                    "standby": {"instance": instance},
                    "mqtt": mqtt(broker, name) | {"enabled": True},
                },
            )
            self.daemons[instance] = Daemon(own, instance, values)
        values = settings(pbx, folder / "reference.db")
        reference = {
            "asterisk": {"app": f"callsteward-{name}-reference"},
            "mqtt": mqtt(broker, f"{name}-reference") | {"enabled": True},
            "callback": {"enabled": False},
            "rating": {"enabled": False},
        }
        self.reference = Daemon(folder, "reference", merged(values, reference))

    def __enter__(self) -> Self:
        for daemon in (self.reference, *self.daemons.values()):
            self._stack.enter_context(daemon)
        self.reference.start()
        return self

    def __exit__(self, *error: object) -> None:
        for wires in self.wires.values():
            for wire in wires.values():
                wire.flow()
        for daemon in self.daemons.values():
            if daemon.running:
                daemon.thaw()
        self._stack.close()

    def start(self, acts: str, *, fault: str = "") -> None:
        """Both are there: this one acts, the other one could. `fault`: the point at which it is killed."""
        self.daemons[acts].start(until="standby_took_over", fault=fault)
        other = self.other(acts)
        self.daemons[other].start(until="standby_begun")
        self.until_ready(other)

    @staticmethod
    def other(name: str) -> str:
        return NAMES[1 - NAMES.index(name)]

    def until_ready(self, name: str) -> None:
        """A daemon stands by, and could act."""
        daemon = self.daemons[name]
        daemon.until(lambda: self._row(name).get("ready") is True, 60, "be ready to act")

    def _row(self, name: str) -> dict[str, Any]:
        rows = self.daemons[name].rows("SELECT * FROM site_daemons WHERE instance = ?", name)
        return rows[0] if rows else {}

    def acting(self) -> list[tuple[str, int]]:
        """The daemon that acts by the database, and its fence."""
        rows = self.reference_of_pair().rows("SELECT instance, fence FROM site_claims")
        return [(row["instance"], row["fence"]) for row in rows]

    def reference_of_pair(self) -> Daemon:
        """A daemon by whose way to the database it is read now."""
        return next(
            daemon for name, daemon in self.daemons.items() if self.wires[name]["store"]._flows.is_set()
        )

    # --- what is done to the daemon that acts ---------------------------------------------------------

    def strike(self, how: str, name: str) -> float:
        """Do it; returns when, Unix seconds."""
        at = time.time()
        heard_at = STRIKES[how](self, name)
        # Of a command the beginning is when it was heard, not when it was started.
        return heard_at if isinstance(heard_at, float) else at

    def mend(self, how: str, name: str) -> None:
        """The other one acts by now. End what was done, and let the struck daemon come back to stand by."""
        daemon = self.daemons[name]
        if how == "hung":
            daemon.thaw()
        for wire in self.wires[name].values():
            wire.flow()
        if how != "killed":
            daemon.exit_code(20)
        daemon.start(until="standby_begun")
        self.until_ready(name)

    def took_over_s(self, name: str, since: float) -> float:
        """How long after a moment a daemon had taken over."""
        daemon = self.daemons[name]
        daemon.wait_for_log("standby_took_over", 15)
        (entry,) = daemon.said("standby_took_over")
        return epoch(entry["timestamp"]) - since


def _switch(site: Site, name: str) -> float:
    """Switch to the other daemon; when it was asked for, Unix seconds."""
    done = callsteward("standby", "switch", "-c", site.daemons[name].config)
    assert done.returncode == 0, done.stderr
    said = re.search(rb"^(\w) \(on .*\) acts, after ([\d.]+) s$", done.stderr, re.MULTILINE)
    assert said is not None, done.stderr
    assert said[1].decode() == site.other(name)
    assert float(said[2]) <= TAKES_OVER_S
    (entry,) = site.daemons[name].said("standby_switched")
    return epoch(entry["timestamp"])


STRIKES: dict[str, Callable[[Site, str], object]] = {
    "killed": lambda site, name: site.daemons[name].kill(),
    "hung": lambda site, name: site.daemons[name].freeze(),
    "cut from the database": lambda site, name: site.wires[name]["store"].stall(),
    "cut from Asterisk": lambda site, name: site.wires[name]["asterisk"].stall(),
    "stopped": lambda site, name: site.daemons[name].terminate(),
    "asked to switch": _switch,
}
