"""An Asterisk that dials the daemon, and a crowd that calls: what tests of a daemon's end share."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import Outbound
from tests.lab.ports import free_port
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import Settings, merged
from tests.soak.pbx import Crowd, prepare_settings

SETTLE_S = 30.0


class Crowded(NamedTuple):
    """`settings`: of a daemon that waits for this Asterisk."""

    pbx: Asterisk
    crowd: Crowd
    settings: Settings

    def recorded(self, daemon: Daemon) -> int:
        """Let the crowd go home. Fails unless each call has its one record, seen whole; returns how many."""
        pbx, crowd = self.pbx, self.crowd
        crowd.rest()
        placed, failed = crowd.totals()
        wait_for(lambda: not pbx.request_list("/channels"), SETTLE_S, "Asterisk's channels to end")
        # A busy operator makes two rows of one call.
        calls = {row.unique_id for row in pbx.cdr() if row.context == "from-soak"}
        wait_for(lambda: calls <= {call for call, _ in daemon.stored()}, SETTLE_S, "every call's record")
        records = daemon.stored()
        assert (placed, failed) == (len(calls), 0), crowd.complaints()
        assert {
            call: count for call, count in Counter(call for call, _ in records).items() if count > 1
        } == {}
        assert {call for call, _ in records} == calls
        assert [call for call, whole in records if not whole] == []
        return len(calls)


@contextmanager
def crowded(folder: Path, broker: Mosquitto) -> Iterator[Crowded]:
    """For as long as the context lasts; nobody calls yet."""
    port, password = free_port(), secrets.token_hex(8)
    outbound = Outbound(
        uri=f"ws://127.0.0.1:{port}/ari",
        user="callsteward",
        password=password,
        application="callsteward-soak",
    )
    pbx = Asterisk(outbound=outbound, ari_password=password, first=False)
    # It writes Asterisk's configuration, and so comes before Asterisk.
    crowd = Crowd(pbx)
    asterisk = {"connect": "outbound", "listen_port": port, "username": outbound.user}
    with pbx, crowd:
        yield Crowded(pbx, crowd, merged(prepare_settings(folder, pbx, broker), {"asterisk": asterisk}))
