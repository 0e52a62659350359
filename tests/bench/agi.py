"""How long a dialplan waits for FastAGI's `arrival`, beside the same exchange without a look-up."""

from __future__ import annotations

import asyncio
import logging
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping

import msgspec
import structlog

from callsteward import features
from callsteward.agi.request import AgiRequest
from callsteward.agi.server import AnswerQuestion, Server
from callsteward.agi.site import site_questions
from callsteward.callback.ledger import CallbackLedger
from callsteward.config import Config
from callsteward.outgoing.guard import Guard
from callsteward.record.call import CallbackDecision, Decision
from callsteward.record.number import Numbers
from callsteward.store.message import nobody
from callsteward.store.records import Store
from tests.bench.row import Row
from tests.lab.ports import free_port
from tests.unit.store.samples import RECORD

STORED_CALLS = 10_000
STORED_CALLBACKS = 500
QUESTIONS = 500
TARGET_MS = 20.0
_BLOCK = (
    b"agi_network: yes\nagi_network_script: arrival\nagi_uniqueid: 17.1\nagi_callerid: %d\n"
    b"agi_context: from-trunk\nagi_extension: 100\n\n"
)


def measure() -> Row:
    # The table is all that goes to stdout.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="callsteward-bench-") as folder:
        answer, floor = asyncio.run(_measured(f"sqlite:///{folder}/calls.db"))
    p99 = statistics.quantiles(answer, n=100)[98]
    return Row(
        f"FastAGI arrival, p99 over {STORED_CALLS:,} stored calls",
        f"{p99:.1f} ms",
        f"{statistics.quantiles(floor, n=100)[98]:.1f} ms without look-ups",
        f"{statistics.median(answer) / statistics.median(floor):.1f} (medians)",
        f"under {TARGET_MS:g} ms",
        p99 < TARGET_MS,
    )


async def _measured(url: str) -> tuple[list[float], list[float]]:
    config = Config(privacy={"hmac_key": "a key"})
    store = await Store.open(url)
    try:
        await _fill(store, Numbers("RU", b"a key"))
        forbidding = features.forbidding(store.engine, "main", now_ms=lambda: 0, announce=nobody)
        questions = site_questions(config, store.engine, guard=Guard(config), forbidding=forbidding)
        knowing = questions.scripts()
        return await _asked(knowing), await _asked({"arrival": _nothing})
    finally:
        await store.close()


async def _nothing(_request: AgiRequest) -> Mapping[str, str]:
    return {
        "CALLSTEWARD_LAST_OPERATOR": "",
        "CALLSTEWARD_OPEN_CALLBACK": "",
        "CALLSTEWARD_DNC": "0",
        "CALLSTEWARD_LANGUAGE": "",
    }


async def _asked(scripts: Mapping[str, AnswerQuestion]) -> list[float]:
    """Milliseconds from connecting to the last variable, as the dialplan waits for them."""
    port = free_port()
    serving = asyncio.create_task(Server("127.0.0.1", port, scripts).run())
    taken: list[float] = []
    try:
        await asyncio.sleep(0.2)
        # As in Asterisk, each question blocks a thread of its own, not the daemon's loop.
        asking = threading.Thread(target=_ask, args=(port, taken))
        asking.start()
        await asyncio.to_thread(asking.join)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return taken


def _ask(port: int, taken: list[float]) -> None:
    for number in range(QUESTIONS):
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(_BLOCK % _number(number))
            with connection.makefile("rb") as heard:
                while (line := heard.readline()) and line != b"FAILURE\n":
                    connection.sendall(b"200 result=1\n")
                    if b"CALLSTEWARD_ANSWER" in line:
                        taken.append((time.perf_counter() - began) * 1e3)
    if len(taken) != QUESTIONS:
        message = f"{QUESTIONS - len(taken)} of {QUESTIONS} questions had no answer"
        raise RuntimeError(message)


def _number(client: int) -> int:
    """The placeholders of the Russian range that belongs to nobody here."""
    return 79000000000 + client % 100


async def _fill(store: Store, numbers: Numbers) -> None:
    ledger = CallbackLedger(store.engine, "main")
    now_ms = time.time_ns() // 1_000_000
    due = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    records = [
        msgspec.structs.replace(
            RECORD,
            call_id=f"{index}.1",
            started_at=None,
            ended_at=None,
            client_ref=numbers.ref(f"+{_number(index)}"),
        )
        for index in range(STORED_CALLS)
    ]
    await store.save(records)
    for record in records[:STORED_CALLBACKS]:
        await ledger.open(
            record, due, number=f"+{_number(int(record.call_id[:-2]))}", dropped_ms=now_ms, at_ms=now_ms
        )
