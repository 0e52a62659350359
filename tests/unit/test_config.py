"""The configuration: what an admin gets wrong is named with file, key and what is allowed."""

from pathlib import Path

import pytest

from callsteward.config import Config, load
from callsteward.exceptions import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "callsteward.toml"


@pytest.fixture
def complaint(tmp_path, monkeypatch):
    """The message of load() about a wrong file, without the file's folder."""

    def of(text: str) -> str:
        file = tmp_path / "callsteward.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            load(file)
        assert error.value.exit_code == 2
        return str(error.value).replace(f"{file}: ", "")

    return of


def test_the_shipped_example_is_the_default_configuration_but_for_what_it_names():
    shipped, default = load(SHIPPED), Config()
    assert shipped.profile("support") == default.profile("support")
    assert shipped.asterisk.model_dump(exclude={"password"}) == default.asterisk.model_dump(
        exclude={"password"}
    )
    assert shipped.mqtt == default.mqtt
    assert shipped.store.url == f"sqlite:///{SHIPPED.parent}/callsteward.db"
    assert default.store.url == "sqlite:///callsteward.db"
    assert shipped.site == default.site
    assert shipped.log == default.log
    assert shipped.lines[0].queues == ("support", "support-local")


def test_the_shipped_example_names_every_key():
    text = SHIPPED.read_text(encoding="utf-8")
    schema = Config.model_json_schema()
    for name, section in schema["$defs"].items():
        for key in section["properties"]:
            if key.endswith("_file") or key in {"hmac_key", "attempts"}:
                continue
            assert f"{key} = " in text, f"{name}.{key}"
    for key in schema["properties"]:
        assert f"[{key}" in text or f"{key} = " in text, key


def test_every_default_works_without_a_file():
    config = load(None)
    assert config.asterisk.url == "http://127.0.0.1:8088"
    assert config.profile("any").hold_limit_s == 120


def test_a_line_is_held_to_its_own_profile(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        '[[lines]]\nname = "sales"\nprofile = "patient"\n[profiles.patient]\nhold_limit_s = 300\n'
        "[profiles.standard]\nhold_limit_s = 100\n"
    )
    config = load(file)
    assert config.profile("sales").hold_limit_s == 300
    assert config.profile("another").hold_limit_s == 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mqtt]\nport = 'abc'", "mqtt.port: must be a whole number (is 'abc')"),
        ("[mqtt]\nport = 99999", "mqtt.port: must be at most 65535 (is 99999)"),
        ("[mqtt]\ntls = 'maybe'", "mqtt.tls: must be true or false (is 'maybe')"),
        ("[mqtt]\nversion = '4'", "mqtt.version: must be '3.1.1' or '5' (is '4')"),
        ("[mqtt]\nca_file = '/x'", "mqtt: ca_file, cert_file and key_file need tls = true"),
        (
            "[mqtt]\ncloudevents = true",
            "mqtt.cloudevents: must be 'off', 'structured' or 'binary' (is True)",
        ),
        (
            "[mqtt]\ncloudevents = 'binary'\nversion = '3.1.1'",
            (
                'mqtt: cloudevents = "binary" needs version = "5": MQTT 3.1.1 has no place for the'
                ' attributes; cloudevents = "structured" has'
            ),
        ),
        *(
            (
                f"[mqtt]\ndiscovery_prefix = '{prefix}'",
                (
                    "mqtt.discovery_prefix: empty, too long or with a character that is not allowed:"
                    f" ^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$ (is '{prefix}')"
                ),
            )
            for prefix in ("", "a//b", "home/#", "home/")
        ),
        ("mqtt = 3", "mqtt: must be a section (is 3)"),
        (
            "[site]\ntimezone = 'Mars/Base'",
            (
                "site.timezone: not an IANA time zone; one such as Europe/Moscow or Asia/Yekaterinburg"
                " (is 'Mars/Base')"
            ),
        ),
        (
            "[site]\nregion = 'ru'",
            "site.region: not a region; it has two capital letters, such as RU, KZ, DE (is 'ru')",
        ),
        ("[site]\ntimezone = 3", 'site.timezone: must be a text in quotes: "…" (is 3)'),
        ("[log]\nlevel = 'INFO'", "log.level: must be 'debug', 'info', 'warning' or 'error' (is 'INFO')"),
        (
            "[lines]\nname = 'x'",
            "lines: each line is a table of its own, headed [[lines]] in double brackets",
        ),
        ("[[lines]]\ntitle = 'x'", "lines.#1.name: is missing and has no default"),
        ("[[lines]]\nname = 'x'\nqueues = 'q'", 'lines.x.queues: must be a list: ["…", "…"] (is \'q\')'),
        ("[[lines]]\nname = 'x'\nprofile = 'no'", "lines.x.profile: no profile 'no'; there is standard"),
        (
            "[[lines]]\nname = 'x'\n[[lines]]\nname = 'x'",
            "lines: 'x' is there twice; a line's name must be unique",
        ),
        (
            "[[lines]]\nname = 'x'\nqueues = ['q']\n[[lines]]\nname = 'y'\nqueues = ['q']",
            "lines.y.queues: 'q' belongs to line 'x' already; each belongs to one line",
        ),
        (
            "[profiles.standard]\nhold_limit_s = -1",
            "profiles.standard.hold_limit_s: must be at least 0.0 (is -1)",
        ),
        (
            "[profiles.standard]\ndrop_on_bye = ['farewell']",
            (
                "profiles.standard.drop_on_bye.#1: must be 'operator_mid_word' or 'client_on_hold'"
                " (is 'farewell')"
            ),
        ),
        ("[operators.101]\ngrad = 'x'", "operators.101.grad: no such key; did you mean grade?"),
        ("[store]\nurl = 'mysql://x'", "store.url: sqlite:///… or postgresql://… (is 'mysql://x')"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(complaint, text, said):
    assert complaint(text) == said


def test_every_wrong_key_is_named_at_once(complaint):
    said = complaint("[mqtt]\nport = 0\nkeepalive_s = 1\n[asterisk]\nconnect = 'server'").splitlines()
    assert [line.split(":")[0] for line in said] == ["asterisk.connect", "mqtt.port", "mqtt.keepalive_s"]


@pytest.mark.parametrize(
    "text",
    [
        "[asterisk]\nurl = 'http://callsteward:hunter2@127.0.0.1:8088'",
        "[store]\nurl = 'mysql://callsteward:hunter2@127.0.0.1/calls'",
        "[asterisk]\npassword = ['hunter2']",
        "[mqtt]\npassword = { a = 'hunter2' }",
    ],
)
def test_a_password_is_never_repeated(complaint, text):
    assert "hunter2" not in complaint(text)


def test_a_file_that_is_not_toml_is_said_with_the_line(complaint):
    assert "not TOML" in complaint("[site\n")
    assert "not TOML" in complaint("lines = " + "[" * 5_000)
    assert "line 2" in complaint('[site]\nname = "x\n')


def test_a_file_that_is_not_text_is_reported(tmp_path):
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"not TOML"):
        load(file)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ConfigError, match=r"none.toml: no such file: name the configuration with -c FILE"):
        load(tmp_path / "none.toml")


def test_the_environment_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("CALLSTEWARD_ASTERISK__PASSWORD", "from the environment")
    monkeypatch.setenv("CALLSTEWARD_LINES", '[{"name": "other", "dids": ["1*"]}]')
    config = load(SHIPPED)
    assert config.asterisk.secret == "from the environment"
    assert [line.name for line in config.lines] == ["other"]


def test_a_wrong_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("CALLSTEWARD_MQTT__PORT", "x")
    with pytest.raises(
        ConfigError, match=r"^environment variable CALLSTEWARD_MQTT__PORT: mqtt.port: must be"
    ):
        load(SHIPPED)


def test_an_environment_variable_that_is_not_json_is_reported(monkeypatch):
    monkeypatch.setenv("CALLSTEWARD_LINES", "[{")
    with pytest.raises(ConfigError) as error:
        load(SHIPPED)
    assert str(error.value) == (
        "environment variable CALLSTEWARD_LINES: lines: in the environment a list or a section is JSON,"
        ' such as ["100", "200"]'
    )


def test_a_secret_comes_from_its_file_without_the_line_end(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    file = tmp_path / "c.toml"
    file.write_text(f'[mqtt]\npassword_file = "{secret}"\n[privacy]\nhmac_key_file = "{secret}"\n')
    config = load(file)
    assert config.mqtt.secret == "s3cret"
    assert config.privacy.key == b"s3cret"


def test_an_unreadable_secret_file_is_reported(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[mqtt]\npassword_file = "/nonexistent/secret"\n')
    with pytest.raises(ConfigError, match=r"cannot read the secret file /nonexistent/secret: No such file"):
        _ = load(file).mqtt.secret


def test_secrets_do_not_show_in_the_configuration_printed():
    config = Config.model_validate({"mqtt": {"password": "hunter2"}, "privacy": {"hmac_key": "hunter2"}})
    assert "hunter2" not in repr(config)
    assert config.mqtt.secret == "hunter2"


def test_the_thresholds_of_intervals_are_sorted_and_stand_once():
    assert Config.model_validate(
        {"intervals": {"answer_within_s": [30, 10, 30]}}
    ).intervals.answer_within_s == (
        10,
        30,
    )


def test_intervals_are_a_quarter_or_half_an_hour(complaint):
    assert complaint("[intervals]\nminutes = 20").startswith("intervals.minutes: ")
    assert complaint("[intervals]\nanswer_within_s = []").startswith("intervals.answer_within_s: ")
