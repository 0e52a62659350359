"""Why a connection failed is said in an admin's words, by whichever library it was made."""

import asyncio
import datetime as dt
import re
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.check import services
from callsteward.config import Asterisk, Config, Mqtt, load
from callsteward.exceptions import AriError, ConfigError, StoreError
from callsteward.network.causes import cause
from callsteward.store.engine import connect

# What only a programmer knows.
INTERNAL = re.compile(
    r"ssl:|_ssl\.c|Connect call|Cannot connect to host|Errno|asyncpg|<class|sqlalche|sqlite3\.|pool_use_lifo"
    r"|keyword argument|int\(\)|aiohttp|Traceback|getaddrinfo|\[code:",
    re.IGNORECASE,
)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ready\r\n")
    await writer.drain()
    await reader.read(100)


async def a_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
    await writer.drain()


async def asked(url: str, ca_file: Path | None = None) -> str:
    """The message about an Asterisk at this URL."""
    settings = Asterisk(url=url, ca_file=ca_file)
    async with open_session(settings) as session:
        with pytest.raises(AriError) as error:
            await Rest(HttpTransport(session, settings)).info()
    said = str(error.value)
    assert not INTERNAL.search(said), said
    return said


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# --- Asterisk ------------------------------------------------------------------------------------------


async def test_an_asterisk_that_is_not_there():
    port = closed_port()
    assert await asked(f"http://127.0.0.1:{port}") == (
        f"Asterisk does not answer at http://127.0.0.1:{port} (nothing listens there): is it running, is"
        " http.conf enabled = yes, is asterisk.url right?"
    )
    assert "(there is no such host name): is it spelt right" in await asked("http://nowhere.invalid:8088")


async def test_something_else_than_asterisk():
    async with serving(hang_up) as port:
        assert "(it closed the connection at once)" in await asked(f"http://127.0.0.1:{port}")
        assert "(it closed the connection at once)" in await asked(f"https://127.0.0.1:{port}")
    async with serving(chatter) as port:
        assert "(what answers there does not speak HTTP)" in await asked(f"http://127.0.0.1:{port}")
        assert "(it does not speak TLS on this port)" in await asked(f"https://127.0.0.1:{port}")
    async with serving(a_page) as port:
        assert "does asterisk.url name Asterisk's own HTTP server" in await asked(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "said"),
    [
        (
            "127.0.0.1",
            True,
            True,
            "(its certificate has expired): renew the certificate there",
        ),
        (
            "127.0.0.1",
            False,
            False,
            (
                "(its certificate is signed by nobody this machine trusts): name the CA that signed it, or a"
                " self-signed certificate itself, in asterisk.ca_file"
            ),
        ),
        (
            "pbx.example",
            False,
            True,
            (
                "(its certificate is made out for another name): write the name in the certificate into"
                " [asterisk]"
            ),
        ),
    ],
)
async def test_a_certificate_that_is_refused(tmp_path, name, expired, trusted, said):
    authority = trustme.CA()
    ends = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) if expired else None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=ends).configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(hang_up, tls) as port:
        found = await asked(f"https://127.0.0.1:{port}", tmp_path / "ca.pem" if trusted else None)
    assert found.endswith(said)


def test_a_file_that_is_no_ca(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    for file, why in (
        ("ca.pem", "there is no certificate (PEM) in it"),
        ("no.pem", "No such file or directory"),
    ):
        with pytest.raises(ConfigError) as error:
            open_session(Asterisk(ca_file=tmp_path / file))
        assert str(error.value) == f"asterisk.ca_file: cannot use {tmp_path / file}: {why}"


# --- the broker, as check tells it ---------------------------------------------------------------------


async def broker(**settings: object) -> tuple[str, str]:
    row = await services.broker(Config(mqtt=Mqtt.model_validate(settings)))
    assert not INTERNAL.search(f"{row.found} {row.mend}"), row
    return row.found, row.mend or ""


async def test_a_broker_that_is_not_there():
    port = closed_port()
    found, mend = await broker(port=port)
    assert found == f"127.0.0.1:{port}: nothing listens there"
    assert mend == (
        "is the broker running? Are host and port right? Else: compare mqtt.host, port, username, password"
        " and"
        " tls with its settings; its user must be allowed to write callsteward/main/#"
    )
    found, _ = await broker(host="nowhere.invalid")
    assert found == "nowhere.invalid:1883: there is no such host name"


async def test_a_broker_that_refuses_the_login():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes([0x20, 0x02, 0x00, 0x05]))
        await writer.drain()

    async with serving(refuse) as port:
        found, mend = await broker(port=port, version="3.1.1")
    assert found == f"127.0.0.1:{port}: the broker refused the user name or password"
    assert mend.startswith("compare mqtt.username and its password")


# --- the database --------------------------------------------------------------------------------------


async def opened(url: str) -> str:
    with pytest.raises(StoreError) as error:
        await connect(url)
    said = str(error.value)
    assert not INTERNAL.search(said), said
    return said


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
async def test_a_database_in_memory(url):
    said = "store.url: a database in memory keeps nothing; name a file, such as sqlite:///callsteward.db"
    assert await opened(url) == said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://callsteward.db", "a file has three slashes in front, or four where its path is absolute"),
        ("sqlite://", "a database in memory keeps nothing"),
        (
            "postgresql://u@db:5432x/calls",
            "the port after the host's colon must be a number from 1 to 65535",
        ),
        (
            "postgresql://u@db:99999/calls",
            "the port after the host's colon must be a number from 1 to 65535",
        ),
        ("mysql://u@db/calls", "sqlite:///… or postgresql://…"),
    ],
)
def test_a_text_that_is_no_url_is_refused_by_the_configuration(tmp_path, url, said):
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "{url}"\n')
    with pytest.raises(ConfigError, match=re.escape(f"store.url: {said}")):
        load(file)


def test_a_port_of_asterisk_that_is_no_number_is_refused_by_the_configuration(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[asterisk]\nurl = "http://127.0.0.1:http"\n')
    with pytest.raises(ConfigError, match=r"asterisk.url: the port after the host's colon must be a number"):
        load(file)


async def test_a_file_that_is_no_database(tmp_path):
    file = tmp_path / "calls.db"
    file.write_bytes(b"something else entirely, and long enough to be looked at as a database " * 20)
    assert await opened(f"sqlite:///{file}") == (
        f"cannot open the database {file}: the file is not an SQLite database: name another one in store.url"
        " (file is not a database)"
    )
    (tmp_path / "folder").mkdir()
    assert "folder is a folder; name a file in it" in await opened(f"sqlite:///{tmp_path}/folder")


async def test_a_damaged_database(tmp_path):
    file = tmp_path / "calls.db"
    await (await connect(f"sqlite:///{file}")).dispose()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(file.read_bytes())
    content[100:140] = b"\xff" * 40
    file.write_bytes(content)
    said = await opened(f"sqlite:///{file}")
    assert "the file is damaged: stop the daemon and put back a copy" in said


async def test_an_option_that_no_driver_takes(tmp_path):
    assert await opened(f"sqlite:///{tmp_path}/calls.db?colour=blue") == (
        "store.url: the database's driver does not accept what follows the question mark: colour"
    )
    async with serving(hang_up) as port:
        assert "question mark: colour" in await opened(f"postgresql://u@127.0.0.1:{port}/calls?colour=blue")


def refusing(state: str, text: str) -> Answer:
    """A PostgreSQL server that answers every login so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = int.from_bytes(await reader.readexactly(4))
            request = await reader.readexactly(size - 4)
            if request != (80877103).to_bytes(4):  # not the question for TLS
                break
            writer.write(b"N")
        fields = f"SFATAL\0VFATAL\0C{state}\0M{text}\0\0".encode()
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("state", "text", "said"),
    [
        (
            "28P01",
            'password authentication failed for user "wfm"',
            "the server refused the user or password: compare store.url with it",
        ),
        (
            "3D000",
            'database "calls" does not exist',
            "there is no such database on the server: make it with createdb",
        ),
        (
            "53300",
            "sorry, too many clients already",
            "the server has no connection left: raise its max_connections",
        ),
        (
            "57P03",
            "the database system is starting up",
            "the server is starting up or shutting down: wait a moment",
        ),
    ],
)
async def test_a_servers_refusal_is_explained(state, text, said):
    async with serving(refusing(state, text)) as port:
        assert await opened(f"postgresql://wfm:s3cret@127.0.0.1:{port}/calls") == (
            f"cannot open the database postgresql://wfm:***@127.0.0.1:{port}/calls: {said} ({text})"
        )


async def test_a_server_that_is_not_there():
    port = closed_port()
    assert (await opened(f"postgresql://u@127.0.0.1:{port}/calls")).endswith(
        "/calls: nothing listens there: is it running, are host and port right?"
    )
    assert "there is no such host name" in await opened("postgresql://u@nowhere.invalid/calls")
    async with serving(refusing("28000", "x")) as port:
        said = await opened(f"postgresql://u@127.0.0.1:{port}/calls?sslmode=require")
        assert "SSL" in said


# --- what nobody wrapped -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer in time"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), …"),
            "nothing listens there",
        ),
        (PermissionError(1, "Operation not permitted"), "the system forbids it"),
        (OSError(113, "No route to host"), "there is no way to that host"),
        (RuntimeError("what nobody knows"), "what nobody knows"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_usual_causes(error, said):
    assert cause(error, "mqtt").what == said
