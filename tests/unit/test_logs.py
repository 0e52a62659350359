"""Logs hold neither numbers nor secrets, and are JSON where nobody watches."""

import json
import logging

import pytest
import structlog

from callsteward.config import Log
from callsteward.daemon import logs


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


def written(capsys) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_log_line_is_json_where_nobody_watches(capsys):
    logs.set_up(Log())
    structlog.get_logger("callsteward.test").info("call ended", action="call_ended", call_id="1795313885.10")
    (line,) = written(capsys)
    assert line["event"] == "call ended"
    assert line["action"] == "call_ended"
    assert line["level"] == "info"
    assert line["call_id"] == "1795313885.10"


@pytest.mark.parametrize("number", ["+79031234567", "79031234567", "9000000012"])
def test_a_phone_number_is_taken_out(capsys, number):
    logs.set_up(Log())
    structlog.get_logger("callsteward.test").warning(
        f"strange caller {number}!", dialled=f"PJSIP/{number}@trunk"
    )
    assert number not in json.dumps(written(capsys))


@pytest.mark.parametrize(
    "name",
    [
        "DAHDI/i1/79031234567-3",
        "PJSIP/trunk79031234567-00000001",
        "PJSIP/lead_79031234567_x-00000001",
        "Local/79031234567@ctx-00000001;1",
        "SIP/78126060-00000012",
        "IAX2/9031234-1234",
    ],
)
def test_a_channels_number_is_taken_out(capsys, name):
    logs.set_up(Log())
    structlog.get_logger("callsteward.test").warning("no such channel", error=f"404: {name} is gone")
    for number in ("79031234567", "78126060", "9031234"):
        assert number not in json.dumps(written(capsys))


def test_ids_and_hashes_stay(capsys):
    logs.set_up(Log())
    kept = ["1795313885.10", "east-1795313885.10", "callsteward-cb-1795313885.10-1-support"]
    structlog.get_logger("callsteward.test").warning("kept", ids=kept, hash="x1234567890123456789abcdef")
    (line,) = written(capsys)
    assert line["ids"] == kept
    assert line["hash"] == "x1234567890123456789abcdef"


def test_a_secret_is_taken_out(capsys):
    logs.set_up(Log())
    log = structlog.get_logger("callsteward.test")
    log.warning(
        "refused", password="hunter2", url="ws://callsteward:hunter2@pbx/ari/events?api_key=a:hunter2"
    )
    assert "hunter2" not in json.dumps(written(capsys))


def test_an_exceptions_text_is_cleaned_too(capsys):
    logs.set_up(Log())
    error = ValueError("cannot dial +79031234567")
    structlog.get_logger("callsteward.test").error("failed", exc_info=error)
    (line,) = written(capsys)
    assert "79031234567" not in str(line["exception"])
    assert "ValueError" in str(line["exception"])


def test_libraries_speak_from_warning_on(capsys):
    logs.set_up(Log(level="debug"))
    logging.getLogger("aiohttp").info("quiet")
    logging.getLogger("aiohttp").warning("loud")
    structlog.get_logger("callsteward.test").debug("detail")
    assert [line["event"] for line in written(capsys)] == ["loud", "detail"]


def test_people_get_key_value_lines(capsys):
    logs.set_up(Log(format="console"))
    structlog.get_logger("callsteward.test").info("call ended", line="support")
    assert "line=support" in capsys.readouterr().err
