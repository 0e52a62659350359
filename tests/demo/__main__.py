"""`make demo`: a hotline of five calls on a real Asterisk, their records arriving over MQTT.

Starts the lab's Asterisk and Mosquitto, the daemon as `callsteward run` with the shipped configuration,
lets real SIP phones call at the same time, and shows what a dashboard would get. Exit code 1 if a record
is not what the phones did.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import msgspec
from rich.console import Console
from rich.table import Table

from callsteward.config import load
from callsteward.demo.screen import Screen
from callsteward.feed.topics import Topics
from callsteward.network.waiting import cancelled
from callsteward.record.call import CallRecord, Decision, Outcome
from callsteward.record.number import Numbers
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.capture import scenario_command
from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.packages import say
from tests.lab.roots import ensure_root

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "config" / "callsteward.toml"
START_S = 20.0
CALLS_S = 90.0
# From a call's end to its record: the network loss is known by the RTP timeout, 5 s.
RECORDS_S = 15.0

records = msgspec.json.Decoder(CallRecord)


@dataclass(frozen=True, slots=True)
class Expected:
    """A scenario and what its record must say."""

    scenario: str
    what: str
    outcome: Outcome
    callback: Decision = Decision.NOT_DUE


SHOW = (
    Expected("dial_hold_twice", "answered, held twice, the client hangs up", Outcome.COMPLETED),
    Expected("early_greeting", "the client hangs up during the greeting", Outcome.EARLY_DROP),
    Expected(
        "netdrop_client",
        "the client's network is lost in mid-dialogue",
        Outcome.MID_DIALOGUE_DROP,
        Decision.DUE,
    ),
    Expected("queue_abandon", "the client gives up in the queue", Outcome.ABANDONED),
    Expected("blind", "operator 1 transfers the client to operator 2", Outcome.COMPLETED),
)
LANES = tuple(Lane(index) for index in range(len(SHOW)))


def environment(pbx: Asterisk, broker: Mosquitto, folder: Path) -> dict[str, str]:
    """The settings that differ from the shipped configuration: addresses, passwords, the lab's lines."""
    numbers = {
        "name": "support",
        "queues": [lane.queue("support") for lane in LANES],
        "dids": ["10[0-9][0-9]", "20[0-9][0-9]"],
    }
    return {
        **os.environ,
        "CALLSTEWARD_ASTERISK__URL": pbx.ari.base_url,
        "CALLSTEWARD_ASTERISK__USERNAME": pbx.ari.user,
        "CALLSTEWARD_ASTERISK__PASSWORD": pbx.ari.password,
        "CALLSTEWARD_MQTT__PORT": str(broker.port),
        "CALLSTEWARD_MQTT__USERNAME": broker.user,
        "CALLSTEWARD_MQTT__PASSWORD": broker.password,
        "CALLSTEWARD_STORE__URL": f"sqlite:///{folder}/callsteward.db",
        "CALLSTEWARD_LOG__LEVEL": "warning",
        "CALLSTEWARD_LINES": json.dumps([numbers]),
    }


@asynccontextmanager
async def child(
    *command: str, env: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a session of its own, ended with all it started when the block is left."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=REPOSITORY,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(8):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def play(pbx: Asterisk, expected: Expected, lane: Lane, screen: Screen) -> None:
    """One scenario's phones. Raises LabError where they could not do their part."""
    async with child(*scenario_command(pbx, expected.scenario, lane.index)) as process:
        assert process.stderr is not None
        errors = await process.stderr.read()
        if await process.wait():
            message = f"{expected.scenario}: {errors.decode().strip()[-500:]}"
            raise LabError(message)
    screen.status(f"{expected.what}: done")


async def until_online(messages: AsyncIterator[aiomqtt.Message], status_topic: str) -> None:
    """Return once the daemon says that it hears Asterisk."""
    async for message in messages:
        if str(message.topic) == status_topic:
            status = json.loads(bytes(message.payload))
            if status["state"] == "online" and status["asterisk"] == "connected":
                return


async def show(pbx: Asterisk, broker: Mosquitto, folder: Path) -> list[CallRecord]:
    """Run the daemon and the calls; returns the records that arrived."""
    config = load(CONFIG)
    topics = Topics(config.mqtt.root, config.site.name)
    title = f"call records arriving on {config.mqtt.root}/{config.site.name}/calls/+/ended"
    subscriber = aiomqtt.Client(broker.host, broker.port, username=broker.user, password=broker.password)
    command = (str(Path(sys.executable).with_name("callsteward")), "run", "--config", str(CONFIG))
    async with child(*command, env=environment(pbx, broker, folder)) as daemon, subscriber as mqtt:
        await mqtt.subscribe(topics.everything, qos=1)
        messages = mqtt.messages

        async def failed() -> None:
            assert daemon.stderr is not None
            errors = await daemon.stderr.read()
            message = f"the daemon ended:\n{errors.decode()[-2000:]}"
            raise LabError(message)

        ended = asyncio.create_task(failed())
        online = asyncio.create_task(until_online(messages, topics.status))
        await asyncio.wait({ended, online}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        came = online.done()
        await cancelled(online)
        if ended.done():
            ended.result()
        if not came:
            message = "the daemon does not come online"
            raise LabError(message)

        with Screen(title, config.site.zone) as screen:
            watching = asyncio.create_task(watch(messages, screen))
            screen.status("real phones are calling")
            try:
                async with asyncio.timeout(CALLS_S), asyncio.TaskGroup() as calls:
                    for expected, lane in zip(SHOW, LANES, strict=True):
                        calls.create_task(play(pbx, expected, lane, screen))
                await asyncio.wait({watching, ended}, timeout=RECORDS_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancelled(watching)
                await cancelled(ended)
        return screen.records


async def watch(messages: AsyncIterator[aiomqtt.Message], screen: Screen) -> None:
    """Show records as they arrive; returns when all are there."""
    async for message in messages:
        topic = str(message.topic)
        if topic.endswith("/ended"):
            screen.add(records.decode(bytes(message.payload)))
            if len(screen.records) == len(SHOW):
                return
        elif "/alerts/" in topic:
            screen.status(f"alert: {topic.rpartition('/')[2]}")


def summarise(arrived: list[CallRecord]) -> bool:
    """Print what was expected beside what was recorded; returns whether all of it agrees."""
    numbers = Numbers(load(CONFIG).site.region, None)
    by_client = {record.client_masked: record for record in arrived}
    table = Table("what the phones did", "expected", "recorded", "", title="summary", header_style="bold")
    right = 0
    for expected, lane in zip(SHOW, LANES, strict=True):
        record = by_client.get(numbers.masked(lane.outside(1).number))
        good = (
            record is not None
            and record.outcome is expected.outcome
            and record.callback.decision is expected.callback
            and record.complete
        )
        right += good
        table.add_row(
            expected.what,
            f"{expected.outcome.value}, callback {expected.callback.value}",
            f"{record.outcome.value}, callback {record.callback.decision.value}" if record else "no record",
            "[green]ok[/]" if good else "[bold red]wrong[/]",
        )
    Console().print(table)
    print(f"{right} of {len(SHOW)} calls recorded as they were")
    return right == len(SHOW)


async def main() -> int:
    # SIGTERM ends it as Ctrl-C does: nothing is left running.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    ensure_root("22", say)
    say("starting Asterisk, Mosquitto and the daemon")
    with (
        tempfile.TemporaryDirectory(prefix="callsteward-demo-") as folder,
        Asterisk("22") as pbx,
        Mosquitto() as broker,
    ):
        say(f"up after {time.monotonic() - began:.0f} s; five clients call now, the longest call lasts 25 s")
        arrived = await show(pbx, broker, Path(folder))
    return 0 if summarise(arrived) else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except* LabError as group:
        for error in group.exceptions:
            say(f"demo: {error}")
        sys.exit(1)
    except* (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped")
        sys.exit(130)
