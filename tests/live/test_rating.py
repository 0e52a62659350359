"""The rating after the call: real phones, real RFC 4733 digits, a real Asterisk and a real broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import RATINGS, Played, play_each
from tests.live.published import schema_errors
from tests.live.settings import rating_settings
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(80)]

NAME = "rating"
# How each scenario ends: the line it calls, status and reason and score in the call's record, the state of
# its row in the ledger (None: there is none), and who ended the talk.
EXPECTED: dict[str, tuple[str, tuple[str, str, int | None], str | None, str]] = {
    "stay": ("stay", ("answered", "stay", 4), "answered", "operator"),
    "code": ("stay", ("answered", "stay", 5), "answered", "operator"),
    "transfer": ("direct", ("answered", "transfer", 3), "answered", "operator"),
    "dialled": ("direct", ("answered", "transfer", 5), "answered", "operator"),
    "barge_in": ("stay", ("answered", "stay", 1), "answered", "operator"),
    "wrong_digit": ("stay", ("answered", "stay", 5), "answered", "operator"),
    "two_wrong_digits": ("stay", ("unanswered", "wrong_digits", None), "unanswered", "operator"),
    "reprompt": ("stay", ("answered", "stay", 2), "answered", "operator"),
    "silence": ("stay", ("unanswered", "silence", None), "unanswered", "operator"),
    "hang_up_in_prompt": ("stay", ("unanswered", "hung_up", None), "unanswered", "operator"),
    "press_and_hang_up": ("stay", ("answered", "stay", 4), "answered", "operator"),
    "no_dialogue": ("stay", ("not_asked", "no_dialogue", None), None, "operator"),
}
MORE: dict[str, tuple[str, tuple[str, str, int | None], str | None, str]] = {
    "client_bye": ("stay", ("not_asked", "client_hung_up", None), None, "client"),
    "operator_lost": ("direct", ("not_asked", "callback_due", None), None, "network"),
    "called": ("call", ("scheduled", "call", None), "answered", "client"),
    "called_and_not_answering": ("call", ("scheduled", "call", None), "not_reached", "client"),
    "talks_again": ("call", ("scheduled", "call", None), "answered", "client"),
}
# Twelve lanes a round: each scenario has its own line.
ALL = EXPECTED | MORE
AT_ONCE = 3


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def daemon(
    pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("rating")
    with Daemon(folder, NAME, rating_settings(pbx, folder / "rating.db", broker, name=NAME)) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def played(pbx: Asterisk, daemon: Daemon) -> Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]]:
    """Every scenario with what the daemon then had of its lane, three at a time."""
    found: dict[str, tuple[Played, dict[str, list[dict[str, Any]]]]] = {}
    for part in (EXPECTED, MORE):
        records, ratings = len(daemon.records()), len(daemon.ratings())
        for name, done in play_each(pbx, list(part), AT_ONCE, RATINGS).items():
            lines = {f"{kind}{done.lane.index}" for kind in ("stay", "direct", "call")}

            def of_lane(rows: list[dict[str, Any]], lines: set[str] = lines) -> list[dict[str, Any]]:
                return [row for row in rows if row["line"] in lines]

            daemon.until(
                lambda: all(row["state"] not in {"asking", "dialling"} for row in daemon.ratings()),
                15,
                "bring the ratings to their end",
            )
            found[name] = (
                done,
                {
                    "records": of_lane(daemon.records()[records:]),
                    "ratings": of_lane(daemon.ratings()[ratings:]),
                },
            )
    return found


@pytest.mark.parametrize("name", ALL)
def test_the_record_and_the_ledger_say_what_became_of_the_rating(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]], name: str
) -> None:
    kind, rating, state, ended_by = ALL[name]
    done, had = played[name]
    assert not done.error
    line = f"{kind}{done.lane.index}"
    (record,) = [item for item in had["records"] if item["line"] == line and item["direction"] == "inbound"]
    told = record["rating"]
    assert (told["status"], told["reason"], told["score"]) == rating
    rows = [row["state"] for row in had["ratings"]]
    assert rows == ([] if state is None else [state])
    assert record["hangup"]["first"] == ended_by


@pytest.mark.parametrize("name", EXPECTED)
def test_a_hand_over_is_no_hang_up_and_the_menu_is_no_talk(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]], name: str
) -> None:
    done, had = played[name]
    (record,) = had["records"]
    rules = {check["rule"]: check for check in record["standard"]}
    assert rules["operator_hangs_up_last"] == {
        "rule": "operator_hangs_up_last",
        "result": "met",
        "value": "hand_over",
        "limit": "client",
    }
    assert rules["transfers"]["value"] == 0
    # The call lasts to the client's end, the talk only to the operator's.
    times = {
        (act["do"], act["who"]): act["t"]
        for act in done.truth.acts
        if act["do"] in {"answer", "bye", "blind"}
    }
    operator = done.lane.operator(1)
    began = times["answer", operator]
    left = (
        times.get(("bye", operator))
        or times.get(("blind", operator))
        or next(
            act["t"]
            for act in done.truth.acts
            if act["do"] == "dtmf" and act["digit"] == "9" and act["who"] == operator
        )
    )
    assert record["talk_s"] == pytest.approx(left - began, abs=0.3)
    over = done.at("over")
    dialled = done.at("dial")
    assert record["duration_s"] == pytest.approx(over - dialled, abs=0.3)
    assert record["hold_s"] == 0
    assert record["outcome"] == "completed"


def test_an_operator_whose_network_is_lost_has_handed_nobody_over(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]],
) -> None:
    (record,) = played["operator_lost"][1]["records"]
    assert record["outcome"] == "mid_dialogue_drop"
    assert record["callback"]["decision"] == "due"


def test_a_digit_in_the_prompt_is_heard_at_once(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]],
) -> None:
    done, had = played["barge_in"]
    pressed = done.at("dtmf")
    over = done.at("over")
    # The farewell is what is left to hear: the greeting and the question would take six seconds more.
    assert over - pressed < 3.0
    (row,) = had["ratings"]
    assert 0.5 < (row["answered_at_ms"] - row["asked_at_ms"]) / 1000 < 2.0


def test_the_line_says_in_which_language(
    pbx: Asterisk, played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]]
) -> None:
    spoken = [line for line in (pbx.log / "full").read_text().splitlines() if "prompts/" in line]
    of_direct = [line for line in spoken if f"<PJSIP/{_trunk(played, 'dialled')}-" in line]
    of_stay = [line for line in spoken if f"<PJSIP/{_trunk(played, 'stay')}-" in line]
    # Its lane's later scenarios speak to the same line; the first is the one meant.
    assert "greeting.slin' (language 'en')" in of_direct[0]
    assert "greeting.slin' (language 'ru')" in of_stay[0]
    # The farewell, too, which the dialplan says.
    assert any("thanks.slin' (language 'ru')" in line for line in of_stay)


def _trunk(played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]], name: str) -> str:
    return played[name][0].lane.outside(1).endpoint


@pytest.mark.parametrize(
    ("name", "score"), [("called", 5), ("talks_again", 4), ("called_and_not_answering", None)]
)
def test_a_rating_call_is_a_call_of_its_own(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]], name: str, score: int | None
) -> None:
    done, had = played[name]
    assert done.invites == 1
    (row,) = had["ratings"]
    (origin,) = [record for record in had["records"] if record["line"] == row["line"] and record["talk_s"]]
    (call,) = [record for record in had["records"] if record["direction"] == "rating"]
    assert call["call_id"] == row["channel_id"]
    assert call["origin_call_id"] == origin["call_id"] == row["call_id"]
    assert call["client_masked"] == origin["client_masked"]
    assert call["rating"]["score"] == score
    assert call["callback"]["decision"] == "not_due"
    if score is None:
        assert (call["outcome"], row["reason"]) == ("no_answer", "no_answer")
    else:
        assert (call["outcome"], call["operator"], call["talk_s"]) == ("completed", None, 0)


def test_a_rating_call_waits_until_the_client_has_hung_up(
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]],
) -> None:
    done, had = played["talks_again"]
    (row,) = had["ratings"]
    hung_up = done.at("hangs_up")
    # It was due in the middle of the second call.
    assert row["due_at_ms"] / 1000 < hung_up - 3
    (rung,) = done.rings("client")
    assert rung > hung_up


def test_the_guard_is_in_no_book_and_ends_with_its_client(
    pbx: Asterisk, played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]]
) -> None:
    assert played["stay"][0].error == ""
    rows = pbx.cdr()
    assert len(rows) > len(ALL)
    assert [row for row in rows if "rating-guard" in row.channel + row.context] == []
    assert [channel["name"] for channel in pbx.request_list("/channels")] == []


def test_scores_and_complaints_are_on_the_feed(
    daemon: Daemon,
    subscriber: Subscriber,
    played: Mapping[str, tuple[Played, dict[str, list[dict[str, Any]]]]],
) -> None:
    done, had = played["barge_in"]
    line = f"stay{done.lane.index}"
    message = subscriber.wait(NAME, f"ratings/{line}", lambda body: body["state"] == "answered").body
    (row,) = had["ratings"]
    assert message["score"] == 1
    assert (message["call_id"], message["operator"]) == (row["call_id"], done.lane.operator(1))
    assert message["answer_s"] == (row["answered_at_ms"] - row["asked_at_ms"]) / 1000
    alert = subscriber.wait(NAME, f"alerts/{line}/complaint_escalated").body
    assert (alert["reason"], alert["score"], alert["call_id"]) == ("low_rating", 1, row["call_id"])
    listed = {complaint["call_id"] for complaint in daemon.complaints()}
    # 1 by barge-in and 2 after the second question; 3 and more are no complaint.
    expected = {had["ratings"][0]["call_id"], played["reprompt"][1]["ratings"][0]["call_id"]}
    assert listed == expected
    states = [
        item.body["state"]
        for item in subscriber.of(NAME, "ratings/+")
        if item.body["call_id"] == played["called"][1]["ratings"][0]["call_id"]
    ]
    assert states == ["scheduled", "dialling", "asking", "answered"]
    messages = subscriber.of(NAME, "ratings/+") + subscriber.of(NAME, "alerts/+/complaint_escalated")
    assert not schema_errors(messages)
    # No number but a masked one.
    assert not any("79000000" in str(item.body) for item in messages)
