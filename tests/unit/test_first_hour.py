"""A new admin's first hour: the shipped configuration on a machine of its own, and the mistakes people make.

Each mistake is made as an admin makes it: in the file, in the environment, at the shell. What the command
says has to name what is wrong, where, and what to do; nothing is made and nothing is lost by it. Mistakes
that take a real Asterisk or a real broker are in tests/live/test_first_hour.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.ports import free_port
from tests.unit import forked

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("callsteward")
CONFIG = "config/callsteward.toml"
NO_FILE = "nowhere.toml: no such file: name the configuration with -c FILE or $CALLSTEWARD_CONFIG"
NO_DATABASE = (
    "callsteward: there is no database at {folder}/config/callsteward.db: the daemon makes it when it"
    " first starts"
    " (callsteward run -c FILE, or systemctl start callsteward)"
)


class Admin:
    """Somebody with the shipped files, a shell, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "callsteward"
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copytree(REPOSITORY / "config", self.folder / "config")
        self.config = self.folder / CONFIG
        self.config.chmod(0o600)
        # Nobody listens there, whatever runs on this machine.
        self.replace('url = "http://127.0.0.1:8088"', f'url = "http://127.0.0.1:{free_port()}"')
        self.replace("port = 1883", f"port = {free_port()}")

    def replace(self, old: str, new: str) -> None:
        text = self.config.read_text(encoding="utf-8")
        assert text.count(old) == 1, old
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def run(
        self,
        *arguments: object,
        cwd: Path | None = None,
        by: tuple[str, ...] = (),
        environment: Mapping[str, str] = types.MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        if not by and "PYTHONPATH" not in environment:
            return forked.run_for_text(
                *arguments, cwd=cwd or self.folder, environment={**self.environment, **environment}
            )
        return subprocess.run(
            [*by, str(COMMAND), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            cwd=cwd or self.folder,
            env={**self.environment, **environment},
        )

    @contextmanager
    def daemon(self, config: object = CONFIG) -> Iterator[subprocess.Popen[str]]:
        """`callsteward run`, stopped as systemd stops it."""
        process = subprocess.Popen(
            [str(COMMAND), "run", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "250",
            "NO_COLOR": "1",
        }

    @property
    def files(self) -> dict[str, bytes]:
        """All there is, with what is in it."""
        return {
            str(path.relative_to(self.folder.parent)): path.read_bytes()
            for path in sorted(self.folder.parent.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    return Admin(tmp_path)


def entry(process: subprocess.Popen[str], action: str) -> dict[str, str]:
    """The next line of the log about this."""
    assert process.stderr is not None
    for line in process.stderr:
        found: dict[str, str] = json.loads(line)
        if found["action"] == action:
            return found
    raise AssertionError(action)


def told(result: subprocess.CompletedProcess[str]) -> str:
    """The message, without the frame that typer draws."""
    assert "Traceback" not in result.stderr
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())


# --- in the file ---------------------------------------------------------------------------------------

Mistake = Callable[[Admin], None]


def change(old: str, new: str) -> Mistake:
    return lambda admin: admin.replace(old, new)


def line_of(text: str) -> int:
    """Where a text stands first in the shipped configuration."""
    shipped = (REPOSITORY / "config" / "callsteward.toml").read_text(encoding="utf-8")
    return shipped[: shipped.index(text)].count("\n") + 1


def utf_16(admin: Admin) -> None:
    admin.config.write_text(admin.config.read_text(encoding="utf-8"), encoding="utf-16")


def windows_1251(admin: Admin) -> None:
    text = admin.config.read_text(encoding="utf-8").replace("Support hotline", "Горячая линия")
    admin.config.write_bytes(text.encode("cp1251"))


def without_http(admin: Admin) -> None:
    admin.config.write_text('[asterisk]\nurl = "127.0.0.1:8088"\n')


def everybody_reads(admin: Admin) -> None:
    admin.replace('password = "CHANGE_ME"', 'password = "a real one"')
    admin.config.chmod(0o644)


IN_THE_FILE: dict[str, tuple[Mistake, str]] = {
    "everybody can read a password": (
        everybody_reads,
        f"{CONFIG}: it holds secrets (asterisk.password) and everybody can read it; run: chmod o= {CONFIG}",
    ),
    "a section misspelt": (
        change("[asterisk]", "[asterix]"),
        f"{CONFIG}: asterix: no such key; did you mean asterisk?",
    ),
    "a key misspelt": (
        change("\npassword = ", "\npasword = "),
        f"{CONFIG}: asterisk.pasword: no such key; did you mean password or password_file?",
    ),
    "a profile misspelt": (
        change('profile = "standard"\n# For', 'profile = "standart"\n# For'),
        f"{CONFIG}: lines.support.profile: no profile 'standart'; did you mean standard?",
    ),
    "a line misspelt": (
        change('#default_line = "default"', 'default_line = "supprt"'),
        f"{CONFIG}: default_line: no line 'supprt' among the [[lines]]; did you mean support?",
    ),
    "a time zone misspelt": (
        change('timezone = "Europe/Moscow"\n# Numbers w', 'timezone = "Europe/Moskow"\n# Numbers w'),
        (
            f"{CONFIG}: site.timezone: not an IANA time zone; did you mean Europe/Moscow, Europe/Oslo or"
            " Europe/Minsk? (is 'Europe/Moskow')"
        ),
    ),
    "a country's name for its code": (
        change('region = "RU"', 'region = "Russia"'),
        f"{CONFIG}: site.region: not a region; it has two capital letters, such as RU, KZ, DE (is 'Russia')",
    ),
    "a text without quotes": (
        change('name = "main"', "name = main"),
        f"{CONFIG}: not TOML: Invalid value (at line 15, column 8): put the text in quotes",
    ),
    "a quote not closed": (
        change('name = "main"', 'name = "main'),
        (
            f"{CONFIG}: not TOML: Illegal character '\\n' (at line 15, column 13): the quote that closes"
            " the text is"
            " missing on that line"
        ),
    ),
    "a key twice": (
        change('name = "main"', 'name = "main"\nname = "other"'),
        (
            f"{CONFIG}: not TOML: Cannot overwrite a value (at line 16, column 15): that key is already"
            " in its section; remove one of the two"
        ),
    ),
    "a section twice": (
        change("[asterisk]", "[site]"),
        (
            f"{CONFIG}: not TOML: Cannot declare ('site',) twice (at line 21, column 6): that section"
            " already exists; remove one heading and put the keys together"
        ),
    ),
    "a path of Windows": (
        change("sqlite:///callsteward.db", r"sqlite:///C:\data\calls.db"),
        (
            f"{CONFIG}: not TOML: Unescaped '\\' in a string (at line {line_of('sqlite:///callsteward.db')},"
            " column 22): in a path write /"
            " for each \\,"
            r" or put it between single quotes: 'C:\data'"
        ),
    ),
    "a path for a URL": (
        change("sqlite:///callsteward.db", "/var/lib/calls.db"),
        f"{CONFIG}: store.url: sqlite:///… or postgresql://… (is '/var/lib/calls.db')",
    ),
    "a port that is none": (
        change("sqlite:///callsteward.db", "postgresql://callsteward@127.0.0.1:five/calls"),
        f"{CONFIG}: store.url: the port after the host's colon must be a number from 1 to 65535",
    ),
    "Asterisk's address without http": (
        without_http,
        (
            f"{CONFIG}: asterisk.url: http(s)://host:port without a user name and without a question mark;"
            " the password has its own key"
            " (is '127.0.0.1:8088')"
        ),
    ),
    "the broker's address as a URL": (
        change('host = "127.0.0.1"\nport', 'host = "mqtt://127.0.0.1"\nport'),
        (
            f"{CONFIG}: mqtt.host: give a host name or address alone; port, TLS, user name and password"
            " have keys of their own (is 'mqtt://127.0.0.1')"
        ),
    ),
    "saved as UTF-16": (utf_16, f"{CONFIG}: not TOML: line 1 is not in UTF-8: save the file as UTF-8"),
    "saved as Windows-1251": (
        windows_1251,
        f"{CONFIG}: not TOML: line {line_of('Support hotline')} is not in UTF-8: save the file as UTF-8",
    ),
    "a password's file that is not there": (
        change('#password_file = "/etc/callsteward/asterisk', 'password_file = "/nowhere/asterisk'),
        f"{CONFIG}: cannot read the secret file /nowhere/asterisk.password: No such file or directory",
    ),
    "no token for [web]": (
        change("[web]\nenabled = false", "[web]\nenabled = true"),
        (
            f"{CONFIG}: web: enabled = true needs a token or a token_file: at least 16 characters"
            " that nobody can guess"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_FILE)
def test_a_mistake_in_the_file_is_named_with_what_to_do_and_nothing_is_made(admin: Admin, name: str) -> None:
    mistake, said = IN_THE_FILE[name]
    mistake(admin)
    before = admin.files
    result = admin.run("run", "-c", CONFIG)
    assert (told(result), result.stdout) == (f"callsteward: {said}", "")
    assert result.returncode == 2
    checked = admin.run("check", "-c", CONFIG)
    assert checked.returncode == 2
    assert json.loads(checked.stdout) == {
        "check": "config",
        "status": "failed",
        "found": said,
        "mend": "correct that, then check again",
    }
    assert admin.files == before


def test_several_mistakes_are_all_told_at_once(admin: Admin) -> None:
    several = ("a section misspelt", "a time zone misspelt", "a profile misspelt", "a line misspelt")
    for name in several:
        IN_THE_FILE[name][0](admin)
    result = admin.run("run", "-c", CONFIG, environment={"CALLSTEWARD_MQT__PORT": "1884"})
    assert result.returncode == 2
    lines = result.stderr.replace("callsteward: ", "").splitlines()
    assert set(lines) == {
        *(IN_THE_FILE[name][1] for name in several),
        (
            "environment variable CALLSTEWARD_MQT__PORT: no such section: mqt;"
            " did you mean CALLSTEWARD_MQTT__PORT?"
        ),
    }
    assert len(lines) == 5


def test_a_byte_order_mark_is_no_mistake(admin: Admin) -> None:
    admin.config.write_bytes(b"\xef\xbb\xbf" + admin.config.read_bytes())
    first = json.loads(admin.run("check", "-c", CONFIG).stdout.splitlines()[0])
    assert (first["check"], first["found"]) == (
        "config",
        f"{CONFIG} is valid, but asterisk.password is not set",
    )


# --- at the shell, and in the environment --------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("run",), {"CALLSTEWARD_CONFIG": "nowhere.toml"}, NO_FILE),
        (("run", "-c", "nowhere.toml"), {}, NO_FILE),
        (("run", "-c", "config"), {}, "config: cannot read it: Is a directory"),
        (
            ("run", "-c", "config/mosquitto/callsteward.conf"),
            {},
            "config/mosquitto/callsteward.conf: not TOML: ",
        ),
        (("chek", "-c", CONFIG), {}, "No such command 'chek'. Did you mean 'check'"),
        (
            ("calls", "-c", CONFIG, "--outcome", "dropped"),
            {},
            "'--outcome': 'dropped' is not one of 'abandoned',",
        ),
        (
            ("report", "intervals", "-c", CONFIG, "--from", "today", "--output", "exel"),
            {},
            "'--output': 'exel' is not one of 'table', 'jsonl', 'csv', 'xlsx', 'parquet'.",
        ),
        (
            ("report", "intervals", "-c", CONFIG, "--from", "2026-13-45"),
            {},
            (
                "'2026-13-45' is no date or time; write today, yesterday, monday, 22.11.2026, 2026-11-22 or"
                " 2026-11-22T08:30:00+03:00 (without an offset: Europe/Moscow)"
            ),
        ),
        (
            ("report", "intervals", "-c", CONFIG, "--from", "22.11.2026", "--to", "01.11.2026"),
            {},
            "--to: nothing lies between --from 22.11.2026 and --to 01.11.2026: --to is not after --from",
        ),
        (("dnc", "import", "nowhere.csv", "-c", CONFIG), {}, "ile 'nowhere.csv' does not exist."),
        (
            ("check", "-c", CONFIG),
            {"CALLSTEWARD_MQTT__PRT": "1884"},
            "environment variable CALLSTEWARD_MQTT__PRT: mqtt.prt: no such key; did you mean port?",
        ),
        (
            ("check", "-c", CONFIG),
            {"CALLSTEWARD_MQTT_PORT": "1884"},
            "environment variable CALLSTEWARD_MQTT_PORT: no such key; did you mean CALLSTEWARD_MQTT__PORT?",
        ),
        (
            ("check", "-c", CONFIG),
            {"CALLSTEWARD_MQTT__PORT": "a lot"},
            "environment variable CALLSTEWARD_MQTT__PORT: mqtt.port: must be a whole number (is 'a lot')",
        ),
    ],
)
def test_what_is_wrong_at_the_shell_is_named_and_nothing_is_made(
    admin: Admin, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    before = admin.files
    result = admin.run(*arguments, environment=environment)
    assert said in told(result)
    assert "Value error" not in result.stderr
    assert result.returncode == 2
    assert admin.files == before


@pytest.mark.parametrize(
    "command",
    [
        ("calls",),
        ("lost",),
        ("tags",),
        ("callbacks",),
        ("callbacks", "show", "1795313835.6"),
        ("dnc", "list"),
        ("zones", "list"),
        ("complaints", "list"),
        ("feed", "status"),
        ("feed", "resend", "--from", "today"),
        ("report", "intervals", "--from", "today"),
        ("report", "operators", "--from", "today"),
        ("report", "calls", "--from", "today"),
        ("report", "ratings", "--from", "today"),
    ],
    ids=" ".join,
)
def test_a_command_that_reads_makes_no_database_before_the_first_run(
    admin: Admin, command: tuple[str, ...]
) -> None:
    before = admin.files
    result = admin.run(*command, "-c", CONFIG)
    assert told(result) == NO_DATABASE.format(folder=admin.folder)
    assert (result.returncode, result.stdout) == (1, "")
    assert admin.files == before


# --- what is not there yet -----------------------------------------------------------------------------


def checks(result: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str, str]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {item["check"]: (item["status"], item["found"], item.get("mend", "")) for item in found}


def test_a_check_without_asterisk_and_broker_says_so_and_makes_nothing(admin: Admin) -> None:
    before = admin.files
    result = admin.run("check", "-c", CONFIG)
    assert result.returncode == 1
    found = checks(result)
    assert found["config"] == (
        "warning",
        f"{CONFIG} is valid, but asterisk.password is not set",
        "set asterisk.password or asterisk.password_file to what ari.conf has",
    )
    status, text, mend = found["asterisk"]
    assert (status, text.endswith("; what depends on it was not checked")) == ("failed", True)
    assert (
        "(nothing listens there): is it running, is http.conf enabled = yes, is asterisk.url right?" in mend
    )
    status, text, mend = found["broker"]
    assert (status, text.endswith(": nothing listens there")) == ("failed", True)
    assert mend == (
        "is the broker running? Are host and port right? Else: compare mqtt.host, port, username, password"
        " and tls"
        " with its settings; its user must be allowed to write callsteward/main/#"
    )
    assert found["store"][:2] == (
        "ok",
        f"{admin.folder}/config/callsteward.db: not there yet, the daemon will create it",
    )
    assert admin.files == before


def test_a_daemon_without_asterisk_and_broker_waits_for_both_and_says_what_it_waits_for(admin: Admin) -> None:
    with admin.daemon() as process:
        asterisk = entry(process, "ari_disconnected")
        broker = entry(process, "mqtt_unreachable")
    assert asterisk["why"].endswith(
        "(nothing listens there): is it running, is http.conf enabled = yes, is asterisk.url right?"
    )
    assert broker["error"] == "nothing listens there: is it running, are host and port right?"
    made = {name: (admin.folder.parent / name).stat().st_mode & 0o777 for name in admin.files}
    assert {name: mode for name, mode in made.items() if "callsteward.db" in name or "journal" in name} == {
        "callsteward/config/callsteward.db": 0o600,
        "callsteward/config/callsteward.journal": 0o600,
    }


def test_a_port_that_is_taken_is_named_and_the_daemon_goes_on(admin: Admin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        admin.replace(
            "[web]\nenabled = false",
            f'[web]\nenabled = true\nport = {port}\ntoken = "a token nobody guesses"',
        )
        with admin.daemon() as process:
            waits = entry(process, "part_waits")
            assert waits["error"] in json.loads(admin.run("status", "-c", CONFIG).stdout)["problems"]
            taken.close()
            entry(process, "part_open")
    assert waits["error"] == (
        f"[web]: cannot listen on 127.0.0.1 port {port} (Address already in use); give [web] another port,"
        " or stop what"
        " listens there"
    )


def test_a_port_for_asterisk_that_is_taken_is_said_by_log_and_status_and_the_daemon_goes_on(
    admin: Admin,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        admin.replace('connect = "client"', f'connect = "outbound"\nlisten_port = {port}')
        with admin.daemon() as process:
            waits = entry(process, "part_waits")
            status = admin.run("status", "-c", CONFIG)
            taken.close()
            entry(process, "ari_listening")
    assert waits["error"].startswith(
        f"[asterisk]: cannot listen on 127.0.0.1 port {port} for Asterisk (Address"
    )
    assert status.returncode == 1
    assert any(waits["error"] in problem for problem in json.loads(status.stdout)["problems"])


def test_a_second_daemon_in_the_same_folder_is_refused_and_the_first_goes_on(admin: Admin) -> None:
    with admin.daemon() as process:
        entry(process, "daemon_start")
        second = admin.run("run", "-c", CONFIG)
        assert second.returncode == 1
        assert told(second).endswith(
            f"callsteward: the journal {admin.folder}/config/callsteward.journal is in use: another"
            " callsteward runs"
            " with it; stop that one first"
        )
        assert process.poll() is None


# --- the store -----------------------------------------------------------------------------------------


def test_a_relative_store_is_the_same_from_every_folder(admin: Admin) -> None:
    added = admin.run("dnc", "add", "+7 903 123-45-67", "-c", CONFIG)
    assert (added.returncode, added.stdout) == (0, "")
    elsewhere = admin.run("dnc", "list", "-c", admin.config, cwd=admin.home)
    assert elsewhere.returncode == 0
    assert json.loads(elsewhere.stdout)["client_masked"] == "+7903***4567"
    assert list(admin.home.iterdir()) == []
    assert [name for name in admin.files if name.endswith(".db")] == ["callsteward/config/callsteward.db"]


def test_a_folder_that_is_not_there_is_named(admin: Admin) -> None:
    admin.replace("sqlite:///callsteward.db", "sqlite:////nowhere/at/all/calls.db")
    before = admin.files
    result = admin.run("run", "-c", CONFIG)
    assert result.returncode == 1
    assert told(result) == (
        "callsteward: cannot open the journal /nowhere/at/all/calls.journal: the folder /nowhere/at/all"
        " does not exist:"
        " create it, owned by the user of callsteward, or correct store.url"
    )
    status, found, mend = checks(admin.run("check", "-c", CONFIG))["store"]
    assert (status, found) == ("failed", "/nowhere/at/all/calls.db: cannot be created")
    assert mend == "make /nowhere/at/all writable for the daemon"
    assert admin.files == before


def test_a_folder_in_which_the_daemon_may_not_write_is_named(admin: Admin) -> None:
    folder = admin.folder / "state"
    folder.mkdir(mode=0o500)
    admin.replace("sqlite:///callsteward.db", f"sqlite:///{folder}/calls.db")
    # Root may write everywhere, unless it has given that up.
    by = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    result = admin.run("run", "-c", CONFIG, by=by)
    assert result.returncode == 1
    assert told(result) == (
        f"callsteward: cannot open the journal {folder}/calls.journal: Permission denied; let the user"
        " callsteward runs"
        f" as (uid {os.geteuid()}) write in {folder}, or correct store.url"
    )
    status, found, mend = checks(admin.run("check", "-c", CONFIG, by=by))["store"]
    assert (status, found) == ("failed", f"{folder}/calls.db: cannot be created")
    assert mend == f"make {folder} writable for the daemon"
    assert list(folder.iterdir()) == []


def test_a_postgresql_that_is_not_there_is_named_without_its_password(admin: Admin) -> None:
    port = free_port()
    admin.replace("sqlite:///callsteward.db", f"postgresql://callsteward:hidden-words@127.0.0.1:{port}/calls")
    for command in ("run", "calls", "check"):
        result = admin.run(command, "-c", CONFIG)
        assert result.returncode == 1
        said = told(result) + result.stdout
        assert (
            f"cannot open the database postgresql://callsteward:***@127.0.0.1:{port}/calls: nothing listens"
            " there: is it"
            " running, are host and port right?"
        ) in said
        assert "hidden-words" not in said


def test_postgresql_without_its_driver_says_what_to_install(admin: Admin) -> None:
    missing = admin.home / "asyncpg.py"
    missing.write_text("raise ModuleNotFoundError(\"No module named 'asyncpg'\", name='asyncpg')\n")
    admin.replace("sqlite:///callsteward.db", "postgresql://callsteward@127.0.0.1/calls")
    result = admin.run("calls", "-c", CONFIG, environment={"PYTHONPATH": str(admin.home)})
    assert result.returncode == 1
    assert told(result) == "callsteward: store.url needs asyncpg: pip install 'callsteward[postgresql]'"


# --- lists, and reports --------------------------------------------------------------------------------


def test_a_list_from_excel_is_taken_whole_or_not_at_all(admin: Admin) -> None:
    file = admin.folder / "list.csv"
    right = "Кто;Телефон;Почему\r\nИванов;8 903 123-45-67;просил\r\n".encode("cp1251")
    file.write_bytes(right + b";7,90312E+10;\r\n")
    refused = admin.run("dnc", "import", file, "--column", "Телефон", "-c", CONFIG)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "list.csv is read as Windows-1251",
        (
            f"callsteward: {file}:3: '7,90312E+10' is a number that Excel has rounded: its last digits are"
            " gone. In Excel"
            " give the column the format Number without decimal places, then save the file again"
        ),
        "nothing was imported",
    ]
    file.write_bytes(right)
    unnamed = admin.run("dnc", "import", file, "-c", CONFIG)
    assert unnamed.returncode == 1
    assert "Телефон" in unnamed.stderr
    taken = admin.run("dnc", "import", file, "--column", "Телефон", "-c", CONFIG)
    assert taken.returncode == 0
    listed = json.loads(admin.run("dnc", "list", "-c", CONFIG).stdout)
    assert (listed["client_masked"], listed["comment"]) == ("+7903***4567", "Иванов, просил")


@pytest.mark.parametrize(
    "command",
    [("calls",), ("lost",), ("complaints", "list"), ("report", "ratings", "--from", "today")],
    ids=" ".join,
)
def test_an_unknown_line_is_reported(admin: Admin, command: tuple[str, ...]) -> None:
    assert admin.run("dnc", "add", "+7 903 123-45-67", "-c", CONFIG).returncode == 0
    result = admin.run(*command, "--line", "supprt", "-c", CONFIG)
    assert result.returncode == 0
    assert (
        "warning: the configuration has no line 'supprt'; did you mean support?" in result.stderr.splitlines()
    )


def test_a_report_of_a_time_that_nobody_observed_has_no_zeros(admin: Admin) -> None:
    with admin.daemon() as process:
        entry(process, "daemon_start")
    result = admin.run("report", "intervals", "-c", CONFIG, "--from", "yesterday", "--to", "yesterday")
    assert result.returncode == 0
    rows = [line.split(",") for line in result.stdout.splitlines()[1:]]
    assert len(rows) == 48
    assert {tuple(row[6:]) for row in rows} == {("",) * (len(rows[0]) - 6)}
