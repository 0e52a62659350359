"""A wrong configuration is told whole, in an admin's words, each mistake with what was meant."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callsteward.config import Config, load
from callsteward.config.errors import section_of
from callsteward.exceptions import ConfigError

Complaints = Callable[..., list[str]]


@pytest.fixture
def complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complaints:
    """The message about a configuration, a line for each mistake, without the file's name."""
    for name in ("CALLSTEWARD_ASTERISK__PASSWORD", "CALLSTEWARD_MQTT__PORT"):
        monkeypatch.delenv(name, raising=False)

    def of(text: str, *, daemon: bool = False, **environment: str) -> list[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "c.toml"
        file.write_text(text, encoding="utf-8")
        try:
            load(file, daemon=daemon)
        except ConfigError as error:
            return [line.removeprefix(f"{file}: ") for line in str(error).splitlines()]
        return []

    return of


# --- a name that is misspelt ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[profiles.patient]\nhold_limt_s = 1",
            ("profiles.patient.hold_limt_s: no such key; did you mean hold_limit_s, talk_limit_s or"
            " hold_limit_by_grade_s?"),
        ),
        (
            "[endpoints.numbers]\n'PJSIP/trunk' = 'nationl'",
            "endpoints.numbers.PJSIP/trunk.format: must be 'e164' or 'national' (is 'nationl')",
        ),
        (
            "[endpoints.numbers]\n'PJSIP/trunk' = { format = 'e164', stripp = '9' }",
            "endpoints.numbers.PJSIP/trunk.stripp: no such key; did you mean strip?",
        ),
        (
            "[endpoints.numbers]\n'PJSIP/trunk' = { strip = '9' }",
            "endpoints.numbers.PJSIP/trunk.format: is missing and has no default",
        ),
        ("[endpoints]\nnumber = 'e164'", "endpoints.number: no such key; did you mean numbers?"),
        (
            "[callback]\nallowed_prefix = ['+7840']",
            "callback.allowed_prefix: no such key; did you mean allowed_prefixes or denied_prefixes?",
        ),
        ("[mqqt]\nport = 1", "mqqt: no such key; did you mean mqtt?"),
        ("[mqtt]\nprot = 1", "mqtt.prot: no such key; did you mean root or port?"),
        ("[mqtt]\nhmac_key = 'x'", "mqtt.hmac_key: no such key here; it belongs to [privacy]"),
        ("timezone = 'x'", "timezone: no such key here; it belongs to [site] or [[lines]]"),
        (
            "[site]\ndefault_line = 'x'",
            ("site.default_line: no such key here; it belongs to the top of the file, above the first section"
            " (default_line = …)"),
        ),
        ("[[lines]]\nname = 'x'\nhold_limit_s = 3", ("lines.x.hold_limit_s: no such key here; it belongs to"
        " [profiles.NAME]")),
        ("[mqtt]\nxyzzy = 1", "mqtt.xyzzy: no such key; `callsteward config-schema` prints all there are"),
        ("[store]\npath = 'x'", "store.path: no such key; there is url, retention_days, compress_records"),
        (
            "[[lines]]\nname = 'x'\nprofile = 'pateint'\n[profiles.patient]",
            "lines.x.profile: no profile 'pateint'; did you mean patient?",
        ),
        (
            "default_line = 'supprt'\n[[lines]]\nname = 'support'\n[[lines]]\nname = 'sales'",
            "default_line: no line 'supprt' among the [[lines]]; did you mean support?",
        ),
        (
            "[operators.101]\ngrade = 'senor'",
            ("operators.101.grade: no profile has a limit for the grade 'senor'; did you mean senior?"
            " (a profile's hold_limit_by_grade_s names it)"),
        ),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_answered_with_the_nearest(complaints, text, said):
    assert complaints(text) == [said]


def test_no_complaint_has_more_than_three_names(complaints):
    for section, field in Config.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None or section in {"lines", "profiles", "operators"}:
            continue
        for key in inner.model_fields:
            (said,) = complaints(f"[{section}]\n{key[:-1]}{key[-1] * 2} = 1")
            assert f"did you mean {key}" in said
            assert len(re.findall(r", | or |did you mean", said)) <= 3


@pytest.mark.parametrize(
    "text",
    [
        "default_line = 'default'\n[[lines]]\nname = 'x'",
        "default_line = 'hotline'",
        "[operators.101]\ngrade = 'junior'\n[profiles.standard.hold_limit_by_grade_s]\njunior = 60",
        "[operators.101]\ngrade = 'senior'\n[profiles.standard]\nhold_limit_by_grade_s = {}",
    ],
)
def test_a_name_that_something_has_is_right(complaints, text):
    assert complaints(text) == []


# --- the environment -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("CALLSTEWARD_MQT__PORT", "no such section: mqt; did you mean CALLSTEWARD_MQTT__PORT?"),
        ("CALLSTEWARD_XYZZY__PORT", "no such section: xyzzy"),
        ("CALLSTEWARD_MQTT_PORT", "no such key; did you mean CALLSTEWARD_MQTT__PORT?"),
        ("CALLSTEWARD_ASTERISK_PASSWORD", "no such key; did you mean CALLSTEWARD_ASTERISK__PASSWORD?"),
        ("CALLSTEWARD_DEFAULT_LIN", "no such key; did you mean CALLSTEWARD_DEFAULT_LINE?"),
        ("CALLSTEWARD_MQTT__PROT", "mqtt.prot: no such key; did you mean root or port?"),
    ],
)
def test_a_misspelt_variable_is_named(complaints, variable, said):
    assert complaints("", **{variable: "1"}) == [f"environment variable {variable}: {said}"]


def test_a_variable_of_another_program_is_ignored(complaints):
    assert (
        complaints("", CALLSTEWARD_REQUIRE_LIVE="1", CALLSTEWARD_HARM_RATE="1", CALLSTEWARD_CACHE="x") == []
    )


def test_who_is_set_away_must_be_able_to_get_back(complaints):
    away = "[profiles.patient]\naway_after_unanswered = 3\n"
    (said,) = complaints(away)
    assert said == (
        "profiles.patient.away_after_unanswered: nobody would be paused, or could get back: set"
        " codes = true under [statuses]"
    )
    assert complaints(away + "[statuses]\ncodes = true") == []


# --- what HTTP serves ----------------------------------------------------------------------------------

_WEB = "[web]\nenabled = true\ntoken = 'a token nobody guesses'\n"


def test_commands_over_http_need_the_server(complaints):
    assert complaints("[commands]\nhttp = true") == [
        "commands.http: no server is on for it: set enabled = true and a token under [web]"
    ]
    assert complaints(_WEB + "[commands]\nhttp = true") == []


def test_a_server_has_something_to_serve(complaints):
    assert complaints(_WEB) == []
    assert complaints(_WEB + "metrics = false\n[commands]\nhttp = true") == []
    (told,) = complaints(_WEB + "metrics = false")
    assert told == (
        "web.enabled: there is nothing to serve: set metrics = true under [web], http = true under"
        " [commands], or enabled = false"
    )


# --- all at once ---------------------------------------------------------------------------------------


def test_every_mistake_is_told_in_one_pass(complaints, tmp_path):
    text = """
default_line = "supprt"
[site]
timezone = "Europe/Mosow"
[mqtt]
prot = 1883
port = "x"
ca_file = "/x"
cloudevents = "binary"
version = "3.1.1"
password_file = "/nonexistent/mqtt"
[callback]
hours_from = 21:00:00
hours_to = 20:00:00
max_parallel = 0
[rating]
language = "de"
app = "callsteward"
[web]
enabled = true
prot = 1
[[lines]]
name = "support"
profile = "pateint"
queues = ["q"]
[[lines]]
title = "no name"
queues = ["q"]
[operators.101]
grade = "senor"
[profiles.patient]
hold_limit_s = -1
"""
    said = complaints(text, daemon=True, CALLSTEWARD_MQT__HOST="x", CALLSTEWARD_LOG__LEVEL="loud")
    assert [line.partition(": ")[0] + "|" + line.partition(": ")[2][:34] for line in said] == [
        "environment variable CALLSTEWARD_MQT__HOST|no such section: mqt; did you mean",
        "site.timezone|not an IANA time zone; did you mea",
        "lines.#2.name|is missing and has no default",
        "profiles.patient.hold_limit_s|must be at least 0.0 (is -1)",
        "mqtt.port|must be a whole number (is 'x')",
        "mqtt.prot|no such key; did you mean root or ",
        "callback.max_parallel|must be at least 1 (is 0)",
        "web.prot|no such key; did you mean port?",
        "environment variable CALLSTEWARD_LOG__LEVEL|log.level: must be 'debug', 'info'",
        "mqtt|ca_file, cert_file and key_file ne",
        'mqtt|cloudevents = "binary" needs versi',
        "callback|hours_from must be before hours_to",
        "web|enabled = true needs a token or a ",
        "rating.app|must differ from asterisk.app, sin",
        "lines.support.profile|no profile 'pateint'; did you mean",
        "lines.-1.queues|'q' belongs to line 'support' alre",
        "default_line|no line 'supprt' among the [[lines",
        "operators.101.grade|no profile has a limit for the gra",
        "rating.language|there are no prompts in 'de'; ther",
    ]


def test_a_file_everybody_can_read_does_not_hide_its_other_mistakes(complaints, tmp_path):
    file = tmp_path / "c.toml"
    file.touch(0o644)
    file.chmod(0o644)
    said = complaints("[mqtt]\npassword = 'hunter2hunter2'\nport = 0")
    assert len(said) == 2
    assert f"run: chmod o= {file}" in said[0]
    assert said[1] == "mqtt.port: must be at least 1 (is 0)"


# --- the rating's language -----------------------------------------------------------------------------


def test_a_language_without_prompts_is_a_mistake_unless_somebody_recorded_it(complaints, tmp_path):
    text = f'[rating]\nlanguage = "de"\nprompts_dir = "{tmp_path}/prompts"\n'
    assert complaints(text, daemon=True) == [
        (
            "rating.language: there are no prompts in 'de'; there is ru, en (recordings of your own belong"
            f" into {tmp_path}/prompts/de)"
        )
    ]
    # Reading commands may run where the prompts are not.
    assert complaints(text) == []
    (tmp_path / "prompts" / "de").mkdir(parents=True)
    assert complaints(text, daemon=True) == []


def test_a_lines_language_is_asked_about_where_it_asks_for_ratings(complaints, tmp_path):
    text = (
        f'[rating]\nenabled = true\nprompts_dir = "{tmp_path}/prompts"\n'
        '[[lines]]\nname = "x"\nlanguage = "kk"\n[profiles.standard]\nrating = "{}"\n'
    )
    assert complaints(text.replace("{}", "off"), daemon=True) == []
    (said,) = complaints(text.replace("{}", "stay"), daemon=True)
    assert said.startswith("lines.x.language: there are no prompts in 'kk'; there is ru, en")


# --- how the file is written ---------------------------------------------------------------------------


def test_a_file_that_begins_with_a_byte_order_mark_is_read(complaints):
    assert complaints("\ufeff[mqtt]\nport = 1884\n") == []
    assert complaints("\ufeff[mqtt]\nport = 0\n") == ["mqtt.port: must be at least 1 (is 0)"]


def test_another_character_set_is_said_with_the_line(tmp_path):
    file = tmp_path / "c.toml"
    file.write_bytes('[[lines]]\nname = "x"\ntitle = "Поддержка"\n'.encode("cp1251"))
    with pytest.raises(ConfigError, match=r"not TOML: line 3 is not in UTF-8: save the file as UTF-8"):
        load(file)


def test_a_text_without_quotes_is_reported(complaints):
    assert complaints("[site]\nname = main\n") == [
        "not TOML: Invalid value (at line 2, column 8): put the text in quotes"
    ]


VALUES = (
    '"x y z"', '""', "3", "-1", "1e99", "nan", "true", "[]", '["x y"]', "[3]", "{ a = 3 }", "2026-11-29",
    "1979-05-27T07:32:00Z", '"25:99"', "99999999999999999999", f'"{"a" * 500}"', "[{}]", "[[1]]",
)  # fmt: skip


def leaves() -> Iterator[tuple[str, str]]:
    heads = {
        "lines": '[[lines]]\nname = "x"\n',
        "profiles": "[profiles.p]\n",
        "operators": "[operators.101]\n",
    }
    for section, field in Config.model_fields.items():
        yield "", section
        inner = section_of(field.annotation)
        head = heads.get(section, f"[{section}]\n")
        for key in () if inner is None else inner.model_fields:
            yield "[[lines]]\n" if (section, key) == ("lines", "name") else head, key


@pytest.mark.parametrize(("head", "key"), list(leaves()))
def test_no_complaint_speaks_of_the_library_that_found_it(complaints, head, key):
    for value in VALUES:
        for said in complaints(f"{head}{key} = {value}\n", daemon=True):
            assert not re.search(r"Input|Value error|valid(ation|ator)|should|Tuple|pydantic|Error", said), (
                said
            )


def test_a_standby_daemon_needs_a_database_that_two_can_share(tmp_path: Path) -> None:
    file = tmp_path / "callsteward.toml"
    file.write_text('[standby]\ninstance = "a"\n')
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert str(refused.value) == (
        f"{file}: standby.instance: two daemons share one database, and an SQLite file has one daemon: set"
        " store.url to a PostgreSQL database (postgresql://…), or leave [standby] out"
    )
    file.write_text('[standby]\ninstance = "a"\n[store]\nurl = "postgresql://user@host/calls"\n')
    assert load(file).standby.instance == "a"
