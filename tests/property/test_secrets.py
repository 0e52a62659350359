"""A secret planted in any place of any setting stands in nothing that callsteward says.

Each example is a configuration with one secret in it: under a name that says so, in a URL, in a parameter of
a URL, in a key that is none. The commands are run as an admin runs them, with nothing there to talk to.
"""

from __future__ import annotations

import io
import json
import logging
import string
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from callsteward.cli import app as cli
from callsteward.config import Config, secret_words
from callsteward.config.errors import section_of
from callsteward.daemon import crash
from tests.lab.pbx_config import REPOSITORY
from tests.lab.ports import free_port

CAPTURE = REPOSITORY / "tests" / "replay" / "captures" / "netdrop.jsonl"
# As a URL's grammar leaves them: what would end the part they stand in is written %XX.
WORDS = st.text(string.ascii_letters + string.digits + "!$%()*+,-.:;=^_~ ", min_size=8, max_size=24).filter(
    lambda word: word == word.strip()
)
NAMES = ("password", "passwd", "sslpassword", "PWD", "api_key", "token", "p%61ssword", "scram_client_key")
URLS = (
    *(f"postgresql://u@127.0.0.1:PORT/calls?{name}=SECRET" for name in NAMES),
    *(f"postgresql://127.0.0.1:PORT/calls?ssl=disable&{name}=SECRET&x=1" for name in NAMES),
    "postgresql://u:SECRET@127.0.0.1:PORT/calls",
    "postgresql://u@corp:SECRET@127.0.0.1:PORT/calls",
    "postgresql://u:SECRET@nowhere.invalid/calls?sslmode=require",
    "postgresql://u:SECRET@127.0.0.1:99999/calls",
    "postgresql://u:SECRET@127.0.0.1:x/calls",
    "postgresql+psycopg://u:SECRET@127.0.0.1:PORT/calls",
    "postgresql:/u:SECRET@127.0.0.1/calls",
    "mysql://u:SECRET@127.0.0.1/calls",
    "sqlite:///FOLDER/calls.db?password=SECRET",
    "sqlite://u:SECRET@127.0.0.1/calls.db",
    "http://u:SECRET@127.0.0.1:PORT",
    "http://127.0.0.1:PORT/ari?api_key=u:SECRET",
    "mqtt://u:SECRET@127.0.0.1",
    "u:SECRET@127.0.0.1",
)
COMMANDS = (
    ("check", "-c"),
    ("run", "-c"),
    ("feed", "status", "-c"),
    ("status", "-c"),
    ("calls", "-c"),
    ("replay", str(CAPTURE), "-c"),
)


def places() -> Iterator[tuple[str, str]]:
    """Section and key of every setting, and of some that there are not."""
    for section, field in Config.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None and section not in {"lines", "profiles", "operators"}:
            yield from ((section, key) for key in (*inner.model_fields, "passwd", "secret_word"))
    yield from (("nothing", "token"), ("store", "ulr"))


PLACES = sorted(places())


def configured(folder: Path, place: tuple[str, str], value: str) -> Path:
    section, key = place
    written: dict[str, dict[str, str]] = {
        "asterisk": {"url": f"http://127.0.0.1:{free_port()}"},
        "mqtt": {"host": "127.0.0.1"},
        # Without a database `run` ends by itself.
        "store": {"url": f"postgresql://u@127.0.0.1:{free_port()}/calls"},
    }
    written.setdefault(section, {})[key] = value
    file = folder / "c.toml"
    file.touch(0o600)
    lines = [
        f"[{name}]\n" + "".join(f"{item} = {json.dumps(text)}\n" for item, text in keys.items())
        for name, keys in written.items()
    ]
    file.write_text("".join(lines))
    return file


def said(*arguments: str) -> str:
    """All that a command writes."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    root = logging.getLogger()
    before = (root.handlers, root.level)
    try:
        with (
            patch.object(sys, "argv", ["callsteward", *arguments]),
            # It needs a stderr with a descriptor; a crash would be an exception here.
            patch.object(crash, "tell_scrubbed"),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit),
        ):
            cli.main()
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()
    written = b"".join(stream.detach().getvalue() for stream in (out, err))
    return str(written, "utf-8")


def leaks(command: tuple[str, ...], place: tuple[str, str], shape: str, word: str) -> str:
    """The lines of a command's output that have the secret in them; empty if it is kept."""
    spelled = word if shape == "SECRET" else quote(word, safe="!$()*,-.;^_~ :")
    with tempfile.TemporaryDirectory() as folder:
        value = shape.replace("PORT", str(free_port())).replace("FOLDER", folder).replace("SECRET", spelled)
        file = configured(Path(folder), place, value)
        with patch.object(secret_words, "_words", set()):
            text = said(*command, str(file))
    assert text, "the command says nothing at all"
    return text if any(form in text for form in (word, spelled, json.dumps(word)[1:-1])) else ""


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(COMMANDS), st.sampled_from(PLACES), st.sampled_from(URLS), WORDS)
def test_a_secret_in_a_url_is_never_printed(command, place, shape, word):
    assert leaks(command, place, shape, word) == ""


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(COMMANDS), st.sampled_from(URLS), WORDS)
def test_a_secret_in_the_stores_address_is_never_printed(command, shape, word):
    assert leaks(command, ("store", "url"), shape, word) == ""


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(COMMANDS),
    st.sampled_from([place for place in PLACES if secret_words.is_secret(place[1])]),
    WORDS,
)
def test_a_secret_under_a_telling_name_is_never_printed(command, place, word):
    assert leaks(command, place, "SECRET", word) == ""


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([url for url in URLS if "://" in url]),
    st.sampled_from(["{}", "error: {} (x)", "'{}'", "see {}, then"]),
    WORDS,
)
def test_an_unknown_secret_in_a_librarys_message_is_taken_out(shape, around, word):
    spelled = quote(word, safe="!$()*,-.;^_~:")
    with patch.object(secret_words, "_words", set()):
        assert spelled not in secret_words.masked(around.format(shape.replace("SECRET", spelled)))
