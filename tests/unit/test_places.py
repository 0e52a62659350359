"""Where the store of a configuration is, wherever a command is run."""

import asyncio
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callsteward.cli import app as cli
from callsteward.config import load, places
from callsteward.daemon.core import journal_path
from callsteward.exceptions import StoreError
from callsteward.store.engine import connect
from callsteward.store.records import Store


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with the shipped URL, and a working folder elsewhere."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(places, "STATE", tmp_path / "none")
    for name in ("etc", "folder", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "c.toml").write_text('[store]\nurl = "sqlite:///callsteward.db"\n')
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path


def url_of(site: Path, *, daemon: bool = False) -> str:
    return load(site / "etc" / "c.toml", daemon=daemon).store.url


def test_a_relative_path_begins_at_the_configuration(site):
    assert url_of(site) == f"sqlite:///{site}/etc/callsteward.db"
    os.chdir("..")
    relative = load(Path("etc/c.toml"))
    assert relative.store.url == f"sqlite:///{site}/etc/callsteward.db"
    assert journal_path(relative) == site / "etc" / "callsteward.journal"


def test_without_a_key_the_default_begins_there_too(site):
    (site / "etc" / "c.toml").write_text("")
    assert url_of(site) == f"sqlite:///{site}/etc/callsteward.db"


def test_systemds_state_folder_comes_first(site, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", f"{site}/state:/elsewhere")
    assert url_of(site, daemon=True) == f"sqlite:///{site}/state/callsteward.db"


def test_by_hand_a_configuration_under_etc_means_the_units_state_folder(site, monkeypatch):
    monkeypatch.setattr(places, "CONFIGURATIONS", site / "etc")
    assert url_of(site) == f"sqlite:///{site}/etc/callsteward.db"
    monkeypatch.setattr(places, "STATE", site / "state")
    assert url_of(site) == f"sqlite:///{site}/state/callsteward.db"


@pytest.mark.parametrize(
    "url", ["sqlite:////abs/calls.db", "postgresql://u@db/calls", "sqlite:///file:calls.db?uri=true"]
)
def test_other_urls_stay_as_they_are(site, url):
    (site / "etc" / "c.toml").write_text(f'[store]\nurl = "{url}"\n')
    assert url_of(site) == url


def test_the_journal_of_a_server_lies_in_the_data_folder_unless_an_older_one_is_left(site):
    (site / "etc" / "c.toml").write_text('[store]\nurl = "postgresql://u@db/calls"\n')
    config = load(site / "etc" / "c.toml", daemon=True)
    assert journal_path(config) == site / "etc" / "callsteward-main.journal"
    (site / "folder" / "callsteward-main.journal").touch()
    assert journal_path(config) == site / "folder" / "callsteward-main.journal"


def test_a_daemon_goes_on_with_the_database_an_earlier_version_left_in_its_working_folder(site):
    old = site / "folder" / "callsteward.db"
    old.touch()
    config = load(site / "etc" / "c.toml", daemon=True)
    assert config.store.url == f"sqlite:///{old}"
    assert str(old) in config.store.warning
    # A command that reads may be run anywhere: what lies there proves nothing.
    assert url_of(site) == f"sqlite:///{site}/etc/callsteward.db"
    (site / "etc" / "callsteward.db").touch()
    config = load(site / "etc" / "c.toml", daemon=True)
    assert (config.store.url, config.store.warning) == (f"sqlite:///{site}/etc/callsteward.db", "")


def test_a_secret_beside_the_configuration_is_found_from_everywhere(site):
    (site / "etc" / "ari.password").write_text("from the file\n")
    (site / "etc" / "ari.password").chmod(0o600)
    (site / "etc" / "c.toml").write_text('[asterisk]\npassword_file = "ari.password"\n')
    assert load(site / "etc" / "c.toml").asterisk.secret == "from the file"
    (site / "etc" / "c.toml").write_text('[asterisk]\npassword_file = "other.password"\n')
    (site / "folder" / "other.password").write_text("as before\n")
    (site / "folder" / "other.password").chmod(0o600)
    assert load(site / "etc" / "c.toml").asterisk.secret == "as before"


READING = [
    "calls",
    "report intervals",
    "report operators",
    "report calls",
    "report ratings",
    "callbacks",
    "callbacks show 1.1",
    "callbacks cancel 1.1",
    "lost",
    "lost settle 1.1 --comment x",
    "dnc list",
    "dnc remove 79031234567",
    "zones list",
    "zones remove 79031234567",
    "complaints list",
    "complaints ack 1",
    "tags",
    "feed status",
    "feed resend --from 2026-11-22",
]


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_makes_no_database_and_says_that_there_is_none(site, command):
    result = CliRunner().invoke(cli.app, [*command.split(), "-c", str(site / "etc" / "c.toml")])
    assert isinstance(result.exception, StoreError)
    assert str(result.exception) == (
        f"there is no database at {site}/etc/callsteward.db: the daemon makes it when it first starts"
        " (callsteward run -c FILE, or systemctl start callsteward)"
    )
    assert sorted(path.name for path in site.rglob("*") if path.is_file()) == ["c.toml"]


def test_one_that_lies_in_the_working_folder_is_named(site):
    (site / "folder" / "callsteward.db").touch()
    result = CliRunner().invoke(cli.app, ["calls", "-c", str(site / "etc" / "c.toml")])
    assert str(result.exception).endswith(
        f" There is one at {site}/folder/callsteward.db: if that is it, write its full path into store.url"
    )


@pytest.mark.parametrize("command", ["dnc add 79031234567", "dnc import list.csv", "zones import list.csv"])
def test_a_list_may_be_filled_before_the_daemon_starts(site, command):
    (site / "folder" / "list.csv").write_text("79031234567,Asia/Omsk\n")
    result = CliRunner().invoke(cli.app, [*command.split(), "-c", str(site / "etc" / "c.toml")])
    assert (result.exit_code, result.exception) == (0, None)
    assert (site / "etc" / "callsteward.db").stat().st_mode & 0o777 == 0o600


async def test_an_empty_database_is_not_taken_for_one_without_calls(site):
    file = site / "folder" / "empty.db"
    file.touch(0o600)
    with pytest.raises(StoreError, match=f"the database {file} holds no tables of callsteward"):
        await Store.open(f"sqlite:///{file}", create=False)
    assert file.read_bytes() == b""
    assert list((site / "folder").iterdir()) == [file]


def test_reading_a_filled_database_works(site):
    async def fill() -> None:
        await (await connect(f"sqlite:///{site}/etc/callsteward.db")).dispose()

    asyncio.run(fill())
    result = CliRunner().invoke(cli.app, ["calls", "-c", str(site / "etc" / "c.toml")])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no calls\n")
