"""A fault as it is done: to the daemon, the connection, the broker, the PBX."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.field import Field
from tests.chaos.record_cells import Outer
from tests.chaos.revived import Revived


def strike(fault: Outer, field: Field, daemon: Revived, *, away_s: float) -> Callable[[], None]:
    """The function that makes the fault. When it returns, everything is back and the daemon connected.

    `away_s`: how long a cut connection or a killed process stays away, unless the fault says otherwise.
    """
    connects = daemon.connects

    def end_daemon(how: signal.Signals) -> None:
        lives = len(daemon.lives)
        daemon.signal(how)
        daemon.until_ended(lives + 1, 10)
        daemon.until_connected(times=connects + 1)

    def cut() -> None:
        field.cut()
        time.sleep(away_s)
        field.mend()
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
    }[fault]
