"""Secrets: where they come from, and that a file everybody can read is refused with what to run."""

import os
from pathlib import Path

import pytest

from callsteward import config
from callsteward.exceptions import ConfigError
from tests.lab.pbx_config import REPOSITORY


def written(path: Path, text: str, mode: int) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


SECRET = '[asterisk]\npassword = "hidden words"\n'


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o664])
def test_a_configuration_with_secrets_that_everybody_can_read_is_refused(tmp_path, mode):
    file = written(tmp_path / "c.toml", SECRET, mode)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert str(caught.value) == (
        f"{file}: it holds secrets (asterisk.password) and everybody can read it; run: chmod o= {file}"
    )
    # What it says is what helps.
    file.chmod(mode & ~0o007)
    assert config.load(file).asterisk.secret == "hidden words"


@pytest.mark.parametrize(
    "text",
    [
        '[mqtt]\npassword = "x"\n',
        '[privacy]\nhmac_key = "x"\n',
        '[store]\nurl = "postgresql://user:x@host/name"\n',
    ],
)
def test_each_kind_of_secret_counts(tmp_path, text):
    with pytest.raises(ConfigError, match="everybody can read it"):
        config.load(written(tmp_path / "c.toml", text, 0o644))


@pytest.mark.parametrize(
    "text",
    ["", '[asterisk]\npassword = "CHANGE_ME"\n', '[store]\nurl = "postgresql://user@host/name"\n'],
)
def test_one_without_secrets_may_be_read_by_all(tmp_path, text):
    config.load(written(tmp_path / "c.toml", text, 0o644))


def test_the_shipped_example_may_be_read_by_all():
    config.load(REPOSITORY / "config" / "callsteward.toml")


def test_a_secret_file_that_everybody_can_read_is_refused(tmp_path):
    secret = written(tmp_path / "secret", "words\n", 0o644)
    settings = config.load(written(tmp_path / "c.toml", f'[mqtt]\npassword_file = "{secret}"\n', 0o644))
    with pytest.raises(ConfigError, match=f"chmod o= {secret}"):
        _ = settings.mqtt.secret
    secret.chmod(0o600)
    assert settings.mqtt.secret == "words"


def test_secrets_come_from_systemds_credentials(tmp_path, monkeypatch):
    for name in ("asterisk_password", "mqtt_password", "hmac_key"):
        written(tmp_path / name, f"{name} by systemd\n", 0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = config.load(None)
    assert settings.asterisk.secret == "asterisk_password by systemd"
    assert settings.mqtt.secret == "mqtt_password by systemd"
    assert settings.privacy.key == b"hmac_key by systemd"


def test_a_credential_that_is_not_there_leaves_the_value(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CALLSTEWARD_ASTERISK__PASSWORD", "by the environment")
    assert config.load(None).asterisk.secret == "by the environment"


def test_bytes_that_are_not_text_are_no_secret(tmp_path):
    file = tmp_path / "c.toml"
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe")
    written(file, f'[mqtt]\npassword_file = "{secret}"\n', 0o600)
    with pytest.raises(ConfigError, match="not text"):
        _ = config.load(file).mqtt.secret


def test_a_configuration_from_a_pipe_is_not_readable_by_others(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o644)
    if os.fork() == 0:
        fifo.write_text(SECRET)
        os._exit(0)
    assert config.load(fifo).asterisk.secret == "hidden words"
    os.wait()
