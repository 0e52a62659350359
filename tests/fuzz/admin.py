"""Texts by an admin or an analyst: the configuration, the environment, a date, a list of clients' zones.

Nobody of them is an enemy, but a file may be anything: cut off, of another program, in another character set.
It is refused in words, by the errors that the command line shows without a traceback.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from callsteward import config
from callsteward.exceptions import CallstewardError, ConfigError
from callsteward.outgoing import office_file
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.zones import read_list
from callsteward.terminal import dates
from callsteward.terminal import options as cli_options
from tests.fuzz.target import Target

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "callsteward.toml"
PREFIX = "CALLSTEWARD_"
# Of the libraries beneath, which an admin has never heard of.
_INSIDE = re.compile(r"Value error|pydantic|tomllib|sqlalchemy|NoneType|object at 0x", re.IGNORECASE)
_GUARD = Guard(config.Config())
# Where clocks change, where they stand still, and one that left out a whole day.
_ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia")]
_NOON = datetime(2026, 11, 29, 12, tzinfo=_ZONES[0])


def _loaded(path: Path | None) -> None:
    said = ""
    try:
        found = config.load(path, warn=lambda _: None)
    except ConfigError as error:
        said = str(error)
        assert said
    else:
        assert isinstance(found, config.Config)
        # A secret in a file that is not there is said, and no more.
        assert all(config.read_secrets(found))
    # What stands in the file itself may be said again.
    assert not _INSIDE.search(re.sub(r"'.*'|\".*\"", "", said)), said


def _config(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="callsteward-fuzz-") as folder:
        path = Path(folder) / "c.toml"
        path.write_bytes(data)
        path.chmod(0o600)
        _loaded(path)


@contextmanager
def _environment(variables: dict[bytes, bytes]) -> Iterator[None]:
    before = {name: value for name, value in os.environb.items() if name.startswith(PREFIX.encode())}
    for name in before:
        del os.environb[name]
    os.environb.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environb.pop(name, None)
        os.environb.update(before)


def _environ(data: bytes) -> None:
    """A line for each variable, its name without what all of ours begin with."""
    variables = {}
    for line in data.replace(b"\0", b"").split(b"\n"):
        name, equals, value = line.partition(b"=")
        if equals:
            variables[PREFIX.encode() + name] = value
    with _environment(variables):
        _loaded(None)


def _dates(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for zone in _ZONES:
        found = dates.read(text, _NOON.astimezone(zone))
        assert found is None or isinstance(found, date)
        with suppress(typer.BadParameter):
            from_ms = cli_options.moment(text, zone, "--from")
            to_ms = cli_options.moment(text, zone, "--to", end_of_day=True)
            assert 0 <= to_ms - from_ms <= timedelta(hours=25) / timedelta(milliseconds=1)
            assert found is not None


def _zones(data: bytes) -> None:
    with suppress(CallstewardError):
        found = read_list(office_file.text_in(data, "list.csv").text, "list.csv", _GUARD.read, None)
        for number, zone in found.items():
            assert re.fullmatch(r"\+[1-9][0-9]{5,14}", number)
            ZoneInfo(zone)


def _configs() -> Iterator[bytes]:
    """The shipped file by its sections, as it is and with all that is switched off in it."""
    text = SHIPPED.read_text(encoding="utf-8")
    parts = re.split(r"(?m)^(?=\[)", text)
    for part in parts:
        yield part.encode()
        yield re.sub(r"(?m)^#(?=[a-z_]+ = |\[)", "", part).encode()
    yield b"[[lines]]\nname = 'a'\n[[lines]]\nname = 'a'\ndids = [1, {}]\n[profiles.x.y]\nz = 1979-05-27\n"


_VARIABLES = (
    b"MQTT__PORT=1884\nMQT__HOST=x\nASTERISK__PASSWORD=secret",
    b'LINES=[{"name": "a", "dids": ["100"]}]\nOPERATORS={"101": {"grade": "senior"}}',
    b"STORE__URL=postgresql://a:b@[::1]:5432/x?ssl=1\nDEFAULT_LINE=\xff",
)
_DATES = (
    b"today", b"monday", b"29.11.2026", b"29.11.2026 08:30", b"2026-11-29", b"2026-11-29T08:30:00+03:00",
    b"20261129T083000Z", b"2026-W48-7", b"0001-01-01", b"9999-12-31T23:59:59.999999-23:59", b"30.12.2011",
)  # fmt: skip
_LISTS = (
    b"number;zone\r\n8 903 123-45-67;Asia/Omsk\r\n+79000000001;Europe/Moscow\r\n",
    "\ufeffКлиент,Пояс\n+79031234567,Asia/Omsk\n".encode(),  # noqa: RUF001
    b"+79031234567\t../../etc/passwd\n",
)

TARGETS = {
    "config": Target(_config, _configs, 4_000, 0.01),
    "environment": Target(_environ, lambda: iter(_VARIABLES), 1_000, 0.01),
    "dates": Target(_dates, lambda: iter(_DATES), 60, 0.05),
    "zones": Target(_zones, lambda: iter(_LISTS), 2_000, 0.01),
}
