"""The whole tree of commands: the same option is the same everywhere, and every help can be read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from callsteward.cli import app as cli

# What is slow to import, and what only the work needs. (Pydantic is typer's own, too.)
SLOW = {
    "aiohttp",
    "aiomqtt",
    "aiosqlite",
    "alembic",
    "amqtt",
    "asyncpg",
    "phonenumbers",
    "prometheus_client",
    "pyarrow",
    "sqlalchemy",
    "structlog",
    "callsteward.config",
    "websockets",
    "xlsxwriter",
}


def tree(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, (*path, name))


COMMANDS: dict[str, Any] = {
    " ".join(path): command for path, command in tree(typer.main.get_command(cli.app))
}


def options(command: Any) -> dict[str, Any]:
    return {item.opts[0]: item for item in command.params if item.param_type_name == "option"}


def ran(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environment)


def text_of(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


# --- named alike -----------------------------------------------------------------------------------------


def test_every_command_is_there() -> None:
    assert set(COMMANDS) == {
        "", "run", "status", "operators", "standby", "standby switch",
        "check", "demo", "record", "replay", "calls", "tags", "prompts", "schema",
        "config-schema",
        "report", "report calls", "report intervals", "report operators", "report ratings", "report rebuild",
        "lost", "lost settle",
        "callbacks", "callbacks show", "callbacks cancel",
        "dnc", "dnc add", "dnc remove", "dnc list", "dnc import",
        "backup", "restore", "compress", "client", "client export", "client erase",
        "zones", "zones import", "zones list", "zones remove",
        "complaints", "complaints list", "complaints ack",
        "feed", "feed status", "feed resend", "feed undiscover",
    }  # fmt: skip


FORMS = (
    "table, jsonl, csv, xlsx or parquet. Default: a table on a terminal, {} in a pipe; of --file, what its"
)
# An option of which a command may say something else, and all that is said of it.
SAID = {
    "--output": {
        f"{FORMS.format('jsonl')} name ends in.": {
            "calls", "callbacks", "complaints list", "dnc list", "lost", "operators", "replay",
            "report ratings", "tags", "zones list",
        },
        f"{FORMS.format('csv')} name ends in.": {"report calls", "report intervals", "report operators"},
        "table or jsonl. Default: a table on a terminal, jsonl in a pipe.": {
            "callbacks show", "check", "client erase", "client export", "demo", "feed status", "standby",
            "status",
        },
    },
    # What is there is another thing each time.
    "--force": {
        "Put a database that is there aside, and its journal.": {"restore"},
        "Replace a file that is there.": {"backup"},
        "Write over files that are there, recordings included.": {"prompts"},
    },
}  # fmt: skip


def test_an_option_has_one_name_one_help_and_one_form_of_its_value_everywhere() -> None:
    known: dict[str, dict[tuple[Any, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    for path, command in COMMANDS.items():
        for name, option in options(command).items():
            known[name][*option.opts, *option.secondary_opts, option.metavar, option.help].add(path)
    differing = {
        name: {form[-1]: paths for form, paths in forms.items()}
        for name, forms in known.items()
        if len(forms) > 1
    }
    assert differing == SAID
    assert {form[:-1] for form in known["--output"]} == {("--output", "FORM")}


def test_what_says_the_same_is_called_the_same() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for command in COMMANDS.values():
        for name, option in options(command).items():
            names[option.help].add(name)
    assert {help_: found for help_, found in names.items() if len(found) > 1} == {}


def test_every_listing_command_has_every_form_and_writes_into_a_file() -> None:
    forms = {"--output", "--file", "--excel"}
    for path, command in COMMANDS.items():
        here = forms & set(options(command))
        plain = path in SAID["--output"]["table or jsonl. Default: a table on a terminal, jsonl in a pipe."]
        assert here == ({"--output"} if plain else forms) or not here, path


@pytest.mark.parametrize("module", ["callback", "intervals", "lost", "rating", "tags"])
def test_a_features_commands_are_in_its_folder(module: str) -> None:
    feature = __import__(f"callsteward.{module}.cli", fromlist=["add_to"])
    alone = typer.Typer()
    feature.add_to(alone)
    assert alone.registered_commands or alone.registered_groups


# --- can be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_fits_a_narrow_terminal(path: str) -> None:
    result = ran(*path.split(), "--help", COLUMNS="80", TERMINAL_WIDTH="80")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    # An ellipsis: something was cut off. The one of a help's own text is in --excel.
    assert "…" not in result.stdout.replace("German …", "")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_option_and_argument_says_what_it_is(path: str) -> None:
    command = COMMANDS[path]
    first = " ".join(command.help.split("\n\n")[0].split())
    assert first.endswith(".")
    assert len(first) <= 120
    for item in command.params:
        assert item.help, item.name
        assert item.help.endswith("."), item.name


def test_help_imports_nothing_that_only_the_work_needs() -> None:
    code = (
        "import sys; from callsteward.cli import app; sys.argv = ['callsteward', *sys.argv[1:]]\n"
        "try:\n    app.main()\nexcept SystemExit:\n    print(sorted(sys.modules), file=sys.stderr)"
    )
    for arguments in (["--help"], ["callbacks", "--help"], ["report", "intervals", "--help"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, check=True, timeout=60, text=True
        )
        assert "Usage: callsteward" in result.stdout
        modules = set(ast.literal_eval(result.stderr))
        assert "typer" in modules
        assert modules & SLOW == set()


# --- names that were -------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with nothing in its database but a number that nobody calls."""
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n[[lines]]\nname = "support"\n')
    assert ran("dnc", "add", "+7 900 000-00-01", "-c", file).exit_code == 0
    return file


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("report intervals", "--only", "--line"),
        ("report calls", "--only", "--line"),
        ("report operators", "--only", "--operator"),
    ],
)
def test_an_option_that_was_called_otherwise_goes_on_and_says_its_name(
    config: Path, command: str, old: str, new: str
) -> None:
    by_new = ran(*command.split(), new, "support", "-c", config)
    assert by_new.exit_code == 0, by_new.output
    for written in ([old, "support"], [f"{old}=support"]):
        by_old = ran(*command.split(), *written, "-c", config)
        assert (by_old.exit_code, by_old.stdout) == (0, by_new.stdout)
        assert by_old.stderr == f"warning: {old} is an old name: it is called {new} now\n{by_new.stderr}"


def test_a_folder_was_asked_for_with_to(tmp_path: Path) -> None:
    result = ran("schema", "--to", tmp_path / "contract")
    assert (tmp_path / "contract" / "asyncapi.json").is_file()
    assert result.stderr.startswith("warning: --to is an old name: it is called --folder now\n")


def test_prompts_were_asked_for_with_out() -> None:
    result = ran("prompts", "--out", "/proc/nowhere", "--language", "en")
    assert result.exit_code == 1
    assert result.stderr == "warning: --out is an old name: it is called --folder now\n"


@pytest.mark.parametrize(
    ("written", "old"), [(["-o", "x"], "-o"), (["-ox"], "-o"), (["--output", "x"], "--output"),
                         (["--output=x"], "--output")],
)  # fmt: skip
def test_a_recording_was_named_by_an_option(
    tmp_path: Path, written: list[str], old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text("")
    seen: list[Path] = []

    async def record(_settings: object, path: Path, *_: object) -> int:
        seen.append(path)
        return 0

    monkeypatch.setattr("callsteward.recording.recording.record", record)
    monkeypatch.setattr("callsteward.cli.recordings.for_daemon", lambda _file: None)
    result = ran("record", *written, "-c", file)
    assert result.exit_code == 0, result.output
    assert seen == [Path("x")]
    assert result.stderr.startswith(f"warning: {old} is an old name: write its value alone\nrecording to x")


def test_arguments_after_two_dashes_are_no_options() -> None:
    result = ran("schema", "--", "--to")
    assert result.exit_code == 2
    assert "no message '--to'" in text_of(result)


# --- the same words ---------------------------------------------------------------------------------------

TIMED = [path for path, command in COMMANDS.items() if "--from" in options(command)]


def test_a_time_is_asked_for_in_six_commands() -> None:
    assert sorted(TIMED) == [
        "calls", "feed resend", "report calls", "report intervals", "report operators", "report ratings",
    ]  # fmt: skip
    assert all("--to" in options(COMMANDS[path]) for path in TIMED)


@pytest.mark.parametrize("path", TIMED)
@pytest.mark.parametrize(
    "when", ["today", "yesterday", "monday", "22.11.2026", "2026-11-22", "2026-11-22T08:30:00+03:00", "now"]
)
def test_a_time_is_written_in_the_same_words_everywhere(config: Path, path: str, when: str) -> None:
    begin = "2026-11-01" if path != "report ratings" else "2020-01-01"
    assert ran(*path.split(), "--from", begin, "--to", when, "-c", config).exit_code == 0


@pytest.mark.parametrize("path", TIMED)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "someday"), "Invalid value for --from: 'someday' is no date or time; write today"),
        (("--from", "2026-11-22", "--to", "31.11.2026"), "for --to: '31.11.2026' is no date or time"),
        (
            ("--from", "2026-11-23", "--to", "2026-11-21"),
            "Invalid value for --to: nothing lies between --from 2026-11-23 and --to 2026-11-21: --to is not",
        ),
    ],
)
def test_a_wrong_time_is_named_alike_everywhere(
    config: Path, path: str, arguments: tuple[str, ...], said: str
) -> None:
    result = ran(*path.split(), *arguments, "-c", config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in text_of(result)


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if "--line" in options(command)])
def test_a_line_that_is_mistyped_is_said_alike_everywhere(config: Path, path: str) -> None:
    more = ("--from", "yesterday") if path in TIMED else ()
    result = ran(*path.split(), *more, "--line", "suport", "-c", config)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") <= 1  # csv has its heading
    assert result.stderr.splitlines()[-1] == (
        "warning: the configuration has no line 'suport'; did you mean support?"
    )
