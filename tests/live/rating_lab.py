"""A PBX and a daemon that asks for ratings: the settings, a line for each lane and way of asking."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.lanes import every_lane
from tests.live import callback_lab

SHOWS = "tests.live.rating_show"


def settings(
    pbx: Asterisk,
    database: Path,
    broker: Mosquitto | None = None,
    *,
    name: str = "rating",
    rating: Mapping[str, object] | None = None,
    **profile: object,
) -> dict[str, Any]:
    """Lane N's lines: `stayN` (queue), `directN` (dialled), `callN` (called back later)."""
    values = callback_lab.settings(pbx, database, enabled=False, hours_to="23:59:59", hours_from="00:00:00")
    values["callback"]["zones"] = "line"
    lines = []
    for lane in every_lane():
        own = {
            "operators": [lane.operator(1), lane.operator(2)],
            "callback_dial": f"PJSIP/{{number}}@{lane.outside(1).endpoint}",
        }
        lines += [
            {"name": f"stay{lane.index}", "dids": [lane.did(30)], "profile": "stay", **own},
            {
                "name": f"direct{lane.index}",
                "dids": [lane.did(31)],
                "profile": "transfer",
                "language": "en",
                **own,
            },
            {"name": f"call{lane.index}", "dids": [lane.did(10)], "profile": "call", **own},
        ]
    base = {"greeting_s": 1, "rating_quiet_days": 0, **profile}
    values["lines"] = lines
    values["profiles"] = {
        "stay": {**base, "rating": "stay"},
        "transfer": {**base, "rating": "transfer"},
        "call": {**base, "rating": "call", "rating_delay_min": 0.05},
    }
    values["rating"] = {
        "enabled": True,
        "prompts_dir": f"/lab/{pbx.name}/prompts",
        "answer_s": 2,
        "ring_s": 6,
        "per_minute": 1000,
        "max_parallel": 20,
        **(rating or {}),
    }
    if broker is not None:
        values["mqtt"] = {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
            "root": f"callsteward/{name}",
            "client_id": f"callsteward-{name}",
            "tls": broker.tls,
            "ca_file": str(broker.ca_file),
        }
    return values


class Daemon(callback_lab.Daemon):
    """`callsteward run`, its ratings and complaints readable."""

    def start(self, *, fault: str = "", limit_s: float = 30) -> None:
        said = self.log_file.stat().st_size if self.log_file.exists() else 0
        super().start(fault=fault, limit_s=limit_s)
        self.until(lambda: b'"ivr_connected"' in self.log_file.read_bytes()[said:], limit_s, "open the menu")

    def ratings(self) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM ratings ORDER BY id")

    def complaints(self) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM complaints ORDER BY id")

    def settled(self, line: str) -> bool:
        """Whether a line's rating has come to its end."""
        rows = [row for row in self.ratings() if row["line"] == line]
        return bool(rows) and all(row["state"] not in {"scheduled", "dialling", "asking"} for row in rows)

    def call(self, line: str, direction: str = "inbound") -> dict[str, Any]:
        """The one record of a line's calls of a direction."""
        (found,) = [
            record for record in self.records() if record["line"] == line and record["direction"] == direction
        ]
        return found

    def rating(self, line: str) -> dict[str, Any]:
        """The one rating of a line."""
        (found,) = [row for row in self.ratings() if row["line"] == line]
        return found

    def execute(self, statement: str, *values: object) -> None:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            with connection:
                connection.execute(statement, values)
        finally:
            connection.close()
