"""The watchdog is pinged by who gets on with the work, and only then."""

import pytest

from callsteward.stream.progress import WAIT_LIMIT_S, WORK_LIMIT_S, Progress


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_idle_pump_is_never_stuck(clock):
    progress = Progress(clock)
    progress.idle()
    clock.now_s += 100_000
    assert progress.stuck(0) == ""


def test_a_pump_that_is_idle_while_frames_wait_is_stuck(clock):
    progress = Progress(clock)
    progress.idle()
    clock.now_s += WORK_LIMIT_S
    assert progress.stuck(7) == ""
    clock.now_s += 1
    assert progress.stuck(7) == "the pump is idle while 7 frames wait for 31 s"


def test_a_pump_that_works_too_long_at_one_batch_is_stuck(clock):
    progress = Progress(clock)
    progress.working()
    clock.now_s += WORK_LIMIT_S + 1
    assert progress.stuck(0) == "the pump works at one batch for 31 s"
    progress.working()
    assert progress.stuck(0) == ""


def test_a_disk_that_hangs_is_waited_for_longer_but_not_for_ever(clock):
    progress = Progress(clock)
    progress.working()
    with progress.waiting("disk"):
        assert progress.waits_for == "disk"
        clock.now_s += WORK_LIMIT_S + 100
        assert progress.stuck(1000) == ""
        clock.now_s += WAIT_LIMIT_S
        assert "waits for the disk" in progress.stuck(1000)
    # It went on: that is progress.
    assert progress.waits_for == ""
    assert progress.stuck(1000) == ""
