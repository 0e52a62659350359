"""The PBX is never harmed: the daemon's disk and the broker stand still while calls pour in.

The disk is a real file system that is frozen (fsfreeze), with the database, the journal and the log on it;
the broker is stopped (SIGSTOP). Asterisk must notice nothing: no websocket cut, no call refused. Then both
go on, and every call has its one record, seen whole.

`make test` holds still for 12 s with 25 calls/s; `make harm` for 60 s with 100.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.frozen_disk import FrozenDisk
from tests.lab.lanes import Lane
from tests.lab.sip_load import SipLoad
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import lab_settings, merged

pytestmark = [pytest.mark.live, pytest.mark.alone]

STALL_S = float(os.environ.get("CALLSTEWARD_HARM_STALL_S", "12"))
RATE = float(os.environ.get("CALLSTEWARD_HARM_RATE", "25"))
WARM_UP_S = 4.0
EXTENSION = "9999"
CALL_S = 0.5
DIALPLAN = f"""
[from-trunk](+)
exten => {EXTENSION},1,Answer()
 same => n,Wait({CALL_S})
 same => n,Hangup()
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FrozenDisk]:
    with lab_or_skip(), FrozenDisk(tmp_path) as frozen:
        yield frozen


@pytest.fixture
def busy_pbx(root_22: Path) -> Iterator[Asterisk]:
    pbx = Asterisk(first=False)
    extensions = pbx.etc / "extensions.conf"
    extensions.write_text(extensions.read_text() + DIALPLAN)
    with pbx:
        yield pbx


def wait_for_records(daemon: Daemon, count: int) -> None:
    try:
        wait_for(lambda: len(daemon.stored()) >= count, 60 + STALL_S, "every call's record")
    except AssertionError as error:
        error.add_note(f"{len(daemon.stored())} of {count} records")
        error.add_note(daemon.log_file.read_text()[-3000:])
        raise


def test_a_frozen_disk_and_a_frozen_broker_cost_asterisk_nothing_and_lose_no_call(
    busy_pbx: Asterisk, root_22: Path, disk: FrozenDisk
) -> None:
    pbx = busy_pbx
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto())
        settings = merged(
            lab_settings(disk.folder, pbx, broker, name="harm"), {"asterisk": {"talk_detect": "auto"}}
        )
        daemon = stack.enter_context(Daemon(disk.folder, "harm", settings))
        daemon.start()
        load = stack.enter_context(SipLoad(Lane(0).outside(1), pbx.sip_port, EXTENSION, RATE))
        # Before the load's end and the daemon's: whatever fails, the disk must not stay frozen.
        stack.callback(disk.thaw)
        stack.callback(broker.thaw)
        time.sleep(WARM_UP_S)
        before_mib = daemon.peak_mib()
        broker.freeze()
        disk.freeze()
        frozen_at = time.monotonic()
        placed_before = load.account().placed
        time.sleep(STALL_S)
        placed_meanwhile = load.account().placed - placed_before
        peak_mib = daemon.peak_mib()
        disk.thaw()
        broker.thaw()
        stalled_s = time.monotonic() - frozen_at
        account = load.finish()
        complaints = load.said()
        print(
            f"\nharm: {placed_meanwhile} calls in {stalled_s:.1f} s of frozen disk and broker"
            f" ({placed_meanwhile / stalled_s:.0f}/s), {account.placed} in all:"
            f" refused {account.refused}, unanswered {account.unanswered},"
            f" slowest answer under {account.within_ms} ms,"
            f" memory {before_mib:.0f} -> {peak_mib:.0f} MiB"
        )
        wait_for_records(daemon, account.placed)
        caught_up_s = time.monotonic() - frozen_at - stalled_s
        records = daemon.stored()
        wait_for(
            lambda: len(daemon.said("disk_resumed")) == len(daemon.said("disk_stalled")), 5, "its last word"
        )
        said = {action: len(daemon.said(action)) for action in ("disk_stalled", "disk_resumed")}
        disconnected = daemon.said("ari_disconnected")
        shed = daemon.said("ari_shedding")
        print(
            f"harm: websockets cut {len(disconnected)}, records {len(records)},"
            f" incomplete {sum(1 for _, whole in records if not whole)},"
            f" caught up after {caught_up_s:.1f} s"
        )
        assert daemon.terminate() == 0
    assert account.refused == 0, complaints
    assert account.unanswered == 0, complaints
    assert account.answered == account.placed
    assert disconnected == []
    # Which write met the frozen disk first is chance: the journal's, the store's, or one after the other.
    assert said["disk_stalled"] == said["disk_resumed"] >= 1
    assert shed == []
    assert len(records) == len({call_id for call_id, _ in records}) == account.placed
    assert all(whole for _, whole in records)
    assert placed_meanwhile > 0.7 * RATE * STALL_S
    assert peak_mib < 512  # what the shipped unit allows it
