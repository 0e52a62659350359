"""A PostgreSQL server that goes away, or answers nonsense, at each message of a connection in turn.

A server that is shut down while a connection is made is met in the middle of the log-in, or of the questions
that the driver asks of a new connection. Some of what asyncpg raises there SQLAlchemy hands on as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from callsteward.exceptions import StoreError
from callsteward.store.records import CallQuery, Store
from tests.lab.bad_postgresql import FAULTS, BadWire, bad_wire
from tests.lab.postgresql import PASSWORD, PostgreSql

ENDED = "the server ended the connection in the middle: wait a moment, and see its log where that goes on ("
SHUT_DOWN = "the server was shut down: wait a moment (terminating connection due to administrator command)"
NO_PROTOCOL = "the server answered what is not PostgreSQL's protocol: what listens there, or stands between?"
# The error after a fault names it, or the connection that the driver gave up because of it.
WORDS: dict[str, tuple[str, ...]] = {
    "cut": (ENDED,),
    "shut down": (ENDED, SHUT_DOWN),
    "refused": ("out of memory", ENDED, NO_PROTOCOL),
    "out of turn": (ENDED, NO_PROTOCOL),
}
# A connection whose log-in asyncpg takes for done too early is left to the collector of garbage, by asyncpg.
_LEFT = pytest.mark.filterwarnings(
    "ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)
EACH = [
    pytest.param(fault, marks=_LEFT) if fault == "out of turn" else pytest.param(fault) for fault in FAULTS
]


@pytest.fixture
async def wire(postgresql: PostgreSql) -> AsyncIterator[BadWire]:
    async with bad_wire(postgresql.port) as made:
        yield made


@pytest.fixture
async def url(postgresql: PostgreSql, wire: BadWire) -> str:
    """The address of a migrated database behind the wire."""
    store = await Store.open(postgresql.url())
    await store.close()
    return postgresql.url().replace(f":{postgresql.port}/", f":{wire.port}/")


async def answered(question: Awaitable[object]) -> str:
    """The error, or an empty text for an answer. Anything but an answer or a StoreError fails the test."""
    try:
        async with asyncio.timeout(60):
            await question
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("fault", EACH)
async def test_a_start_is_refused_in_words_where_the_server_fails(
    wire: BadWire, url: str, fault: str
) -> None:
    async def start() -> None:
        await (await Store.open(url)).close()

    await start()
    messages = wire.messages
    # Each message of a new connection is the other test's.
    said = [await answered(wire.failing(fault, at, start)) for at in range(1, messages + 1, 3)]
    assert messages > 50
    shown = url.replace(PASSWORD.replace(" ", "%20"), "***")
    assert_words(fault, f"cannot open the database {shown}: ", said)


@pytest.mark.parametrize("fault", EACH)
async def test_a_question_of_a_running_daemon_is_refused_in_words_wherever_the_server_fails(
    wire: BadWire, url: str, fault: str
) -> None:
    store = await Store.open(url)

    async def ask() -> None:
        assert [record async for record in store.calls(CallQuery())] == []

    try:
        await wire.failing(fault, 0, ask)
        asked = wire.messages
        # On the connection that is there, and on a new one.
        await store.engine.dispose()
        await wire.failing(fault, 0, ask)
        connecting = wire.messages
        said = []
        for at in range(1, asked + 1):
            said.append(await answered(wire.failing(fault, at, ask)))
            await answered(ask())
        for at in range(1, connecting + 1):
            await store.engine.dispose()
            said.append(await answered(wire.failing(fault, at, ask)))
        assert connecting > asked > 5
        assert_words(fault, "cannot read the database: ", said)
        wire.fails_at = 0
        assert await answered(ask()) == ""
    finally:
        await store.close()


def assert_words(fault: str, before: str, said: list[str]) -> None:
    """Each refusal says what this fault may be taken for, after `before`; and there are refusals."""
    failed = [text for text in said if text]
    wrong = {text for text in failed if not text.removeprefix(before).startswith(WORDS[fault])}
    assert not wrong
    assert [text for text in failed if not text.startswith(before)] == []
    assert len(failed) > 5
