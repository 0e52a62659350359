"""The rating when the daemon dies: nobody is left in silence, no rating call is lost or made twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import RATINGS, Played, Playing
from tests.live.settings import rating_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(210)]

POLITE_S = 5.0
"""So soon after the daemon's death the client has been thanked and their call has ended."""


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


def _over(played: Played) -> float:
    return played.at("over")


def _thanked(pbx: Asterisk, played: Played) -> bool:
    """True if the farewell is the last prompt that was played to the client."""
    mark = f"<PJSIP/{played.lane.outside(1).endpoint}-"
    spoken = [line for line in (pbx.log / "full").read_text().splitlines() if mark in line]
    return "prompts/thanks" in spoken[-1]


@pytest.mark.parametrize(
    ("lane", "how", "into_s"),
    [(0, signal.SIGKILL, 1.0), (1, signal.SIGKILL, 8.0), (2, signal.SIGSTOP, 4.0), (3, signal.SIGTERM, 1.0)],
)
def test_a_client_in_the_menu_of_a_daemon_that_dies_is_thanked_within_5_s(
    pbx: Asterisk, tmp_path: Path, lane: int, how: signal.Signals, into_s: float
) -> None:
    """Killed in the greeting, and while the menu waits for a key; frozen; asked to stop."""
    with Daemon(tmp_path, "dies", rating_settings(pbx, tmp_path / "dies.db")) as daemon:
        daemon.start()
        playing = Playing(pbx, "forever", lane, RATINGS)
        daemon.until(lambda: any(row["state"] == "asking" for row in daemon.ratings()), 30, "ask")
        time.sleep(into_s)
        died = time.time()
        if how is signal.SIGSTOP:
            daemon.freeze()
        else:
            daemon.end(how)
        played = playing.end()
        if how is signal.SIGSTOP:
            daemon.thaw()
        assert not played.error
        assert 0 < _over(played) - died < POLITE_S
        assert _thanked(pbx, played)
        if not daemon.running:
            daemon.start()
        line = f"stay{lane}"
        daemon.until(lambda: bool(daemon.records()), 15, "tell the record")
        assert daemon.call(line)["rating"] == {
            "status": "unanswered",
            "reason": "interrupted",
            "score": None,
        }
        assert daemon.rating(line)["state"] == "unanswered"


def test_where_there_is_no_daemon_the_client_is_thanked_at_once(pbx: Asterisk, tmp_path: Path) -> None:
    played = Playing(pbx, "forever", 4, RATINGS).end()
    assert not played.error
    handed_over = played.at("in_menu")
    assert _over(played) - handed_over < POLITE_S
    assert _thanked(pbx, played)


@pytest.mark.parametrize(
    ("lane", "fault"), [(5, ""), (6, "before:rating:originate"), (7, "after:rating:originate")]
)
def test_a_daemon_that_is_killed_before_a_rating_call_makes_it_once(
    pbx: Asterisk, tmp_path: Path, lane: int, fault: str
) -> None:
    """Between the call's end and the rating call, and on either side of its originate."""
    delay = 0.1 if fault else 0.15
    values = rating_settings(pbx, tmp_path / "again.db", rating={"ring_s": 90}, rating_delay_min=delay)
    with Daemon(tmp_path, "again", values) as daemon:
        daemon.start(fault=fault)
        playing = Playing(pbx, "waits_to_be_called", lane, RATINGS)
        if fault:
            assert daemon.exit_code(60) == -signal.SIGKILL
        else:
            daemon.until(lambda: bool(daemon.ratings()), 40, "schedule the rating")
            daemon.kill()
        line = f"call{lane}"
        before = daemon.rating(line)
        assert before["state"] == ("dialling" if fault else "scheduled")
        daemon.start()
        playing.cue()
        played = playing.end()
        assert not played.error
        assert played.invites == 1
        daemon.until(lambda: daemon.settled(line), 20, "bring the rating to its end")
        row = daemon.rating(line)
        assert (row["state"], row["score"]) == ("answered", 2)
        assert daemon.call(line)["rating"]["status"] == "scheduled"
        assert daemon.call(line, "rating")["rating"]["score"] == 2
        assert [complaint["call_id"] for complaint in daemon.complaints()] == [row["call_id"]]


def test_the_second_question_and_a_spoken_comment(pbx: Asterisk, tmp_path: Path) -> None:
    values = rating_settings(pbx, tmp_path / "more.db", rating_question=True, rating_comment=True)
    with Daemon(tmp_path, "more", values) as daemon:
        daemon.start()
        played = Playing(pbx, "all_questions", 8, RATINGS).end()
        assert not played.error
        daemon.until(lambda: daemon.rating("stay8")["comment_file"] is not None, 10, "keep the comment")
        row = daemon.rating("stay8")
        assert (row["score"], row["question"]) == (5, 1)
        file = pbx.folder / "spool" / "recording" / f"{row['comment_file']}.wav"
        assert row["call_id"] in file.name
        # 2 s of speech at 8 kHz, 16 bit.
        assert file.stat().st_size > 32_000
        assert daemon.call("stay8")["rating"]["score"] == 5


def test_comments_and_numbers_are_forgotten_after_the_retention(pbx: Asterisk, tmp_path: Path) -> None:
    values = rating_settings(pbx, tmp_path / "old.db", rating_comment=True)
    with Daemon(tmp_path, "old", values) as daemon:
        daemon.start()
        played = Playing(pbx, "barge_in", 9, RATINGS)
        daemon.until(lambda: any(row["state"] == "answered" for row in daemon.ratings()), 40, "be answered")
        played.end()
        row = daemon.rating("stay9")
        file = pbx.folder / "spool" / "recording" / f"callsteward-rating-{row['rating_id']}.wav"
        daemon.until(file.exists, 10, "record")
        daemon.terminate()
        # As a rating call leaves it, which has a fence.
        daemon.execute(
            "UPDATE ratings SET changed_at_ms = 0, mode = 'call', attempts = 1, comment_file = ?,"
            " comment_ms = 1000",
            file.stem,
        )
        pbx.cli(f"database put callsteward/rating {row['rating_id']} 1")
        # It does not know what a recording is, says 404, and has the file.
        pbx.cli("module unload res_ari_recordings.so")
        try:
            daemon.start()
            daemon.until(lambda: b'"rating_forget"' in daemon.log_file.read_bytes(), 20, "be refused")
            daemon.until(
                lambda: daemon.rating("stay9")["fence_gone_at_ms"] is not None, 10, "hear of the fence"
            )
        finally:
            pbx.cli("module load res_ari_recordings.so")
        assert row["rating_id"] not in pbx.cli("database show callsteward/rating")
        row = daemon.rating("stay9")
        assert (row["number"], row["comment_file"], file.exists()) == (None, file.stem, True)
        daemon.terminate()
        daemon.start()
        daemon.until(lambda: daemon.rating("stay9")["comment_file"] is None, 20, "delete the comment")
        assert not file.exists()
        assert daemon.rating("stay9")["score"] == 1
