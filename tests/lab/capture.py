"""Record what Asterisk says about each scenario, as fixtures for the replay tests.

``python -m tests.lab.capture [NAME…]`` plays scenarios on real Asterisks (``--workers``
at once, each with one scenario at a time, so that a stream holds one call) and writes
into tests/replay/streams/ (``--endings``: tests/replay/endings/; ``--field``: the field site's calls, into
tests/replay/field/): NAME.jsonl (ARI events),
NAME.truth.json (what the phones did) and NAME.pbx.json (CDR, CEL and queue_log rows of the same call).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import json
import secrets
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import aiohttp

from tests.lab.asterisk import Asterisk
from tests.lab.breaks import BREAKS
from tests.lab.endings import ENDINGS
from tests.lab.errors import LabError
from tests.lab.field_scenarios import FIELD_SCENARIOS
from tests.lab.field_site import field_files
from tests.lab.iax import IAX, linked
from tests.lab.lanes import TECHNOLOGIES
from tests.lab.pbx_config import REPOSITORY
from tests.lab.scenarios import SCENARIOS

STREAMS = REPOSITORY / "tests" / "replay" / "streams"
ENDED = REPOSITORY / "tests" / "replay" / "endings"
OVER_IAX = REPOSITORY / "tests" / "replay" / "streams_iax"
FIELD = REPOSITORY / "tests" / "replay" / "field"
APPLICATION = "callsteward"
UNFILTERED = frozenset({"dial_hold_twice", "queue_second"})
"""Kept exactly as sent, so that a test sees what the filter leaves out."""
DROPPED = frozenset({"ChannelVarset", "ChannelDialplan", "DeviceStateChanged"})
LIMIT_S = 150
QUIET_S = 0.7
"""How long nothing new must come before a call is taken as over."""
AFTER_S = 10
"""How long the PBX may be busy with a call after its phones are done."""


@dataclasses.dataclass(frozen=True, slots=True)
class Captured:
    """Asterisk's events of one scenario, and the acts of its phones."""

    name: str
    frames: tuple[str, ...]
    truth: tuple[dict[str, object], ...]
    pbx: dict[str, list[dict[str, object]]]
    status: int
    errors: str


def scenario_command(pbx: Asterisk, name: str, lane: int = 0, module: str = "") -> list[str]:
    """The command line that plays ``name`` on ``pbx``. `module`: where it is, if not among the lab's own."""
    return [
        sys.executable, "-m", module or _module_of(name), name,
        "--sip-port", str(pbx.sip_port), "--lane", str(lane), "--driver", pbx.driver,
        "--console", json.dumps(pbx.console),
        "--ari-url", pbx.ari.base_url, "--ari-authorization", pbx.ari.authorization,
    ]  # fmt: skip


def _module_of(name: str) -> str:
    if name in ENDINGS:
        return "tests.lab.endings"
    if name in IAX:
        return "tests.lab.iax"
    if name in FIELD_SCENARIOS:
        return "tests.lab.field_scenarios"
    return "tests.lab.breaks" if name in BREAKS else "tests.lab.scenarios"


async def play(pbx: Asterisk, name: str, lane: int = 0) -> Captured:
    """Play one scenario and record the whole stream meanwhile, unfiltered."""
    # A name never used before: Asterisk may still be shutting down the last run's
    # application of the same name, and then says nothing at all to the new websocket.
    application = f"{APPLICATION}-{secrets.token_hex(3)}"
    before = (len(pbx.cdr()), len(pbx.cel()), len(pbx.queue_log()))
    frames: list[str] = []
    async with (
        aiohttp.ClientSession(headers={"Authorization": pbx.ari.authorization}) as session,
        session.ws_connect(
            pbx.ari.websocket_url,
            params={"app": application, "subscribeAll": "true"},
            max_msg_size=0,
        ) as socket,
    ):

        async def record() -> None:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    frames.append(message.data)  # noqa: PERF401 - what came is kept when cancelled

        recorder = asyncio.create_task(record())
        process = await asyncio.create_subprocess_exec(
            *scenario_command(pbx, name, lane),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
        except TimeoutError:
            process.kill()
            out, errors = await process.communicate()
            errors += f"did not end within {LIMIT_S} s".encode()
        seen, channels = -1, list[dict[str, object]]()
        deadline = asyncio.get_running_loop().time() + AFTER_S
        while seen != len(frames) or channels:
            seen = len(frames)
            await asyncio.sleep(QUIET_S)
            channels = await (await session.get(f"{pbx.ari.base_url}/channels")).json()
            if asyncio.get_running_loop().time() > deadline:
                break
        recorder.cancel()
    if channels:
        errors += f"\nchannels left: {[channel['name'] for channel in channels]}".encode()
    rows: Sequence[Sequence[object]] = (
        pbx.cdr()[before[0] :],
        pbx.cel()[before[1] :],
        pbx.queue_log()[before[2] :],
    )
    pbx_rows = {
        title: [dataclasses.asdict(row) for row in part]  # type: ignore[call-overload]
        for title, part in zip(("cdr", "cel", "queue_log"), rows, strict=True)
    }
    truth = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
    truth.sort(key=lambda row: row["t"])
    return Captured(name, tuple(frames), tuple(truth), pbx_rows, process.returncode or 0, errors.decode())


def keep(frame: str) -> bool:
    """False for frames that only fill the repository."""
    return json.loads(frame)["type"] not in DROPPED


def write(played: Captured, folder: Path = STREAMS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frames = played.frames
    if played.name not in UNFILTERED:
        frames = tuple(frame for frame in frames if keep(frame))
    (folder / f"{played.name}.jsonl").write_text("".join(f"{frame}\n" for frame in frames))
    truth = ",\n".join(json.dumps(row, ensure_ascii=False) for row in played.truth)
    (folder / f"{played.name}.truth.json").write_text(f"[\n{truth}\n]\n")
    parts = []
    for title, rows in played.pbx.items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(f'"{title}": [\n{lines}\n]')
    (folder / f"{played.name}.pbx.json").write_text("{" + ",\n".join(parts) + "}\n")


async def _worker(
    made: Callable[[], AbstractContextManager[Asterisk]],
    names: asyncio.Queue[str],
    folder: Path,
    failed: list[str],
) -> None:
    with made() as pbx:
        while not names.empty():
            name = names.get_nowait()
            played = await play(pbx, name)
            if not played.frames:
                failed.append(name)
                print(f"{name}: Asterisk sent no event", flush=True)
                continue
            if played.status or played.errors:
                failed.append(name)
            print(
                f"{name}: {len(played.frames)} events, {len(played.truth)} acts"
                f"{' FAILED: ' + played.errors.strip() if played.errors else ''}",
                flush=True,
            )
            if not played.status:
                write(played, folder)


async def _capture(arguments: argparse.Namespace) -> int:
    names: asyncio.Queue[str] = asyncio.Queue()
    plays: Collection[str] = {**SCENARIOS, **BREAKS}
    usual: Collection[str] = SCENARIOS
    folder = STREAMS
    if arguments.endings:
        plays, usual, folder = ENDINGS, ENDINGS, ENDED
    elif arguments.iax:
        plays, usual, folder = IAX, IAX, OVER_IAX
    elif arguments.field:
        plays, usual, folder = FIELD_SCENARIOS, FIELD_SCENARIOS, FIELD
    for name in arguments.names or usual:
        if name not in plays:
            message = f"no scenario {name!r}; there are: {', '.join(sorted(plays))}"
            raise LabError(message)
        names.put_nowait(name)
    failed: list[str] = []
    folder = Path(arguments.folder or folder)
    if arguments.iax:
        # Two Asterisks for each, since one of them may not live through it.
        made = functools.partial(linked, arguments.version)
        while not names.empty():
            alone: asyncio.Queue[str] = asyncio.Queue()
            alone.put_nowait(names.get_nowait())
            await _worker(made, alone, folder, failed)
    else:
        started = functools.partial(
            Asterisk,
            arguments.version,
            driver=arguments.driver,
            site=field_files if arguments.field else None,
        )
        workers = min(arguments.workers, names.qsize())
        await asyncio.gather(*(_worker(started, names, folder, failed) for _ in range(workers)))
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--version", default="22", choices=("22", "16"))
    parser.add_argument("--driver", default="pjsip", choices=tuple(TECHNOLOGIES))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder")
    parser.add_argument("--endings", action="store_true", help="those of tests.lab.endings")
    parser.add_argument("--iax", action="store_true", help="those of tests.lab.iax")
    parser.add_argument("--field", action="store_true", help="those of tests.lab.field_scenarios")
    return asyncio.run(_capture(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
