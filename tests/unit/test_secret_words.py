"""A secret is told by its name wherever it stands, and a text is shown without it."""

import time

import pytest

from callsteward import config
from callsteward.config.secret_words import is_secret, keep_back, masked, secrets
from callsteward.daemon import logs
from callsteward.exceptions import ConfigError
from callsteward.feed.status_message import status
from callsteward.health import Health
from callsteward.store.engine import shown
from callsteward.terminal.result import failed


@pytest.mark.parametrize(
    "name",
    ["password", "passwd", "passphrase", "pwd", "db_pwd", "pass", "PASSWORD", "sslpassword", "secret",
     "token", "access_token", "api_key", "apikey", "hmac_key", "key", "scram_client_key",
     "oauth_client_secret", "credentials", "Authorization"],
)  # fmt: skip
def test_a_key_with_a_secrets_name_is_a_secret(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["url", "username", "password_file", "passfile", "token_file", "key_file", "sslkey", "passive", "sslmode",
     "keepalive_s", "host"],
)  # fmt: skip
def test_a_key_with_another_name_is_no_secret(name):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("postgresql://wfm:hunter2@db/calls", "postgresql://wfm:***@db/calls"),
        ("postgresql://wfm@db/calls?password=hunter2", "postgresql://wfm@db/calls?password=***"),
        ("postgresql://db/calls?ssl=on&PassWd=a b&x=1", "postgresql://db/calls?ssl=on&PassWd=***&x=1"),
        ("postgresql://db/calls?p%61ssword=hunter2", "postgresql://db/calls?p%61ssword=***"),
        ("postgresql://db/c?dsn=postgresql%3A%2F%2Fu%3Ahunter2%40h", "postgresql://db/c?dsn=***"),
        ("postgresql://wfm:my pa@ss/word?x=1&y@db/calls", "postgresql://wfm:***@db/calls"),
        ("postgresql://wfm@corp:hunter2@db/calls", "postgresql://wfm@corp:***@db/calls"),
        ("wfm:hunter2@broker", "wfm:***@broker"),
        ("postgresql://wfm@db:5432/calls", "postgresql://wfm@db:5432/calls"),
        ("sqlite:////srv/a@b/calls.db", "sqlite:////srv/a@b/calls.db"),
        ("PJSIP/{number}@trunk", "PJSIP/{number}@trunk"),
        ("http://[::1]:8088", "http://[::1]:8088"),
    ],
)
def test_a_value_is_shown_without_its_secrets(value, said):
    assert masked(value, whole=True) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("refused by ws://u:hunter2@pbx/ari?api_key=u:hunter2 now",
         "refused by ws://u:***@pbx/ari?api_key=*** now"),
        ("{'user': 'u', 'password': 'hunter2'}", "{'user': 'u', 'password': '***'}"),
        ('{"token": "hunter2", "port": 1}', '{"token": "***", "port": 1}'),
        ("host=db password=hunter2 port=5", "host=db password=*** port=5"),
        ("the server refused the user or password: compare store.url with it",
         "the server refused the user or password: compare store.url with it"),
    ],
)  # fmt: skip
def test_a_sentence_is_shown_without_the_secrets_in_it(text, said):
    assert masked(text) == said


def test_the_configurations_secrets_are_removed_in_every_spelling():
    keep_back("hunter%202", b"key of the hmac", None, "")
    assert masked("it said hunter 2 and hunter%202, key of the hmac") == "it said *** and ***, ***"


def test_every_secret_in_a_configuration_is_found():
    values = {
        "store": {"url": "postgresql://u:one@h/d?sslpassword=two"},
        "web": {"token": "three", "token_file": "/etc/token"},
        "lines": [{"name": "a", "pwd": "four"}],
        "asterisk": {"password": "CHANGE_ME", "secret": ""},
    }
    assert [tuple(secret) for secret in secrets(values)] == [
        ("store.url", "one"),
        ("store.url", "two"),
        ("web.token", "three"),
        ("lines.pwd", "four"),
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[store]\nurl = "postgresql://u@h/d?password=x"', "store.url"),
        ('[store]\nurl = "postgresql://u@h/d?sslpassword=x"', "store.url"),
        ('[web]\ntoken = "0123456789abcdef"', "web.token"),
        ('[mqtt]\nhost = "u:x@broker"', "mqtt.host"),
        ('[mqtt]\npasswd = "x"', "mqtt.passwd"),
        ('[[lines]]\nname = "a"\nsecret = "x"', "lines.secret"),
    ],
)
def test_a_file_that_everybody_can_read_is_refused_for_each(tmp_path, text, where):
    file = tmp_path / "c.toml"
    file.write_text(text)
    file.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert str(caught.value).startswith(
        f"{file}: it holds secrets ({where}) and everybody can read it; run: chmod o= {file}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[web]\ntoken = 1234567890123456",
        "[mqtt]\npassword = 12345678",
        '[store]\nurl = "postgres:/u:12345678@h/d?password=12345678"',
        '[store]\nurl = "mysql://h/d?password=12345678"',
        '[asterisk]\nurl = "http://h:8088/ari?api_key=u:12345678"',
        '[mqtt]\nhost = "mqtt://u:12345678@broker"',
        '[mqtt]\nhost = "u:12345678@broker"',
        '[mqtt]\nport = "?password=12345678"',
    ],
)
def test_a_mistake_is_told_without_the_secret(tmp_path, text):
    file = tmp_path / "c.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[mqtt]\nhost = "mqtt://broker"', ("mqtt.host: give a host name or address alone; port, TLS, user"
         " name and password have keys of their own (is 'mqtt://broker')")),
        ('[web]\nhost = "127.0.0.1:80"', ("web.host: give a host name or address alone; port, TLS, user"
         " name and password have keys of their own (is '127.0.0.1:80')")),
        ('[store]\nurl = "postgresql://u:p@ss@db/calls"', ("store.url: there is more than one @: write the"
         " one in the password as %40 (and / as %2F, : as %3A)")),
        ('[asterisk]\nurl = "http://h:8088/?x=1"', ("asterisk.url: http(s)://host:port without a user name"
         " and without a question mark; the password has its own key (is 'http://h:8088/?x=1')")),
    ],
)  # fmt: skip
def test_a_secret_in_the_wrong_place_is_reported(tmp_path, text, said):
    file = tmp_path / "c.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert str(caught.value) == f"{file}: {said}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "[::1]", "fe80::1%eth0", "broker.lan", "b_1", "почта.рф"]
)
def test_a_host_may_be(host):
    assert config.Mqtt(host=host).host == host


def test_one_function_serves_check_log_status_and_store():
    url = "postgresql://u@h/d?password=hunter2"
    said = "postgresql://u@h/d?password=***"
    assert shown(url) == said
    assert failed("store", url, url).found == said
    assert logs.scrubbed(url) == said
    told = status(
        site="main", started_ms=0, state="online", reason="running", asterisk_detail=url,
        health=Health(config_detail=url),
    )  # fmt: skip
    assert (told.asterisk_detail, told.config_detail) == (said, said)


@pytest.mark.parametrize("piece", ["a", "://", "://a:", '"a"', "a=b&", '"key": "', "://a:@", "key="])
def test_a_hostile_text_costs_no_time(piece):
    began = time.thread_time()
    masked(piece * (200_000 // len(piece)))
    # This thread's own time; work with the square of the letters would take hours.
    assert time.thread_time() - began < 20
