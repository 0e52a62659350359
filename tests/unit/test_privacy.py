"""Nothing a run says has a client's number or a secret in it, also where everything goes wrong.

The daemon runs as a process of its own against an ARI server that sends calls, broken frames and hostile
ones, with a broker that refuses it; then it crashes with a number and a password in the exception. What it
wrote is searched for both: log and crash reports for either, every file for the password. Full numbers
are where they belong and nowhere else: in the journal, and in a recording that is asked for.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from callsteward.demo.ari_server import FakeAri
from tests.lab.ports import free_port

PASSWORD = "planted-password-Zx81"
MQTT_PASSWORD = "planted-broker-Qw77"
KEY = "planted-key-of-the-hmac"
NUMBER = "79031234567"
SPELLED = (NUMBER, f"+{NUMBER}", "9031234567")
SECRETS = (PASSWORD, MQTT_PASSWORD, KEY)

CRASHING = f"""
import sys
from callsteward import cli
from callsteward.store import records

async def save(self, found):
    raise RuntimeError("cannot store +{NUMBER} with {PASSWORD}", {{"number": "{NUMBER}"}})

records.Store.save = save
sys.argv = ["callsteward", "run", "-c", sys.argv[1]]
cli.main()
"""


def configured(folder: Path, url: str) -> Path:
    file = folder / "c.toml"
    file.write_text(
        f"""
[asterisk]
url = "{url}"
password = "{PASSWORD}"
[mqtt]
port = {free_port()}
username = "callsteward"
password = "{MQTT_PASSWORD}"
[store]
url = "sqlite:///{folder}/calls.db"
[privacy]
hmac_key = "{KEY}"
[log]
level = "debug"
"""
    )
    return file


def frame(kind: str, second: int, channel: str = "1795313835.6", **more: object) -> str:
    party = {"name": f"Client +{NUMBER}", "number": f"+{NUMBER}"}
    return json.dumps(
        {
            "type": kind,
            "timestamp": f"2026-11-22T02:00:{second:02d}.000+0000",
            "channel": {
                "id": channel,
                "name": f"PJSIP/trunk-{second:08x}" if channel != "1795313835.6" else "PJSIP/trunk-00000001",
                "state": "Up",
                "caller": party,
                "connected": party,
                "dialplan": {"context": "from-trunk", "exten": NUMBER},
            },
            **more,
        }
    )


HOSTILE = [
    f'{{"type":"ChannelCreated","channel":"+{NUMBER}"}}',
    f"not JSON at all: {NUMBER}, {PASSWORD}",
    f'{{"type":"+{NUMBER}","timestamp":"+{NUMBER}"}}',
    frame("ChannelHold", 2, channel=f"+{NUMBER}"),
]
CALL = [frame("ChannelCreated", 1), *HOSTILE, frame("ChannelDestroyed", 5, cause=16)]


async def run(ari: FakeAri, command: list[str | Path], log: Path, *, stop: bool) -> int:
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=log.parent
        )
    try:
        async with asyncio.timeout(60):
            await ari.connected()
            for text in CALL:
                await ari.send(text)
            if stop:
                while b'"mqtt_unreachable"' not in log.read_bytes():  # noqa: ASYNC110, ASYNC240
                    await asyncio.sleep(0.05)
                await asyncio.sleep(1)
                process.send_signal(signal.SIGTERM)
            while process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        process.kill()
    return process.wait()


async def test_no_number_and_no_secret_in_anything_a_run_says(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("callsteward")
    async with FakeAri(password=PASSWORD) as ari:
        file = configured(tmp_path, ari.url)
        log = tmp_path / "run.log"
        assert await run(ari, [command, "run", "-c", file], log, stop=True) == 0
    async with FakeAri(password=PASSWORD) as ari:
        folder = tmp_path / "crash"
        folder.mkdir()
        file = configured(folder, ari.url)
        crash = folder / "crash.log"
        assert await run(ari, [sys.executable, "-c", CRASHING, file], crash, stop=False) == 1
    async with FakeAri(password="another") as ari:
        file = configured(tmp_path, ari.url)
        checked = await asyncio.to_thread(
            lambda: subprocess.run([command, "check", "-c", file], capture_output=True, check=False)
        )
        (tmp_path / "check.out").write_bytes(checked.stdout + checked.stderr)
    # It has indeed said what it went through.
    said = log.read_bytes()
    for action in (b"ari_connected", b"event_malformed", b"mqtt_unreachable", b"daemon_stop"):
        assert action in said
    assert b"RuntimeError: ('cannot store ***" in crash.read_bytes()
    for path in (log, crash, tmp_path / "check.out"):
        text = path.read_text()
        for planted in (*SPELLED, *SECRETS):
            assert planted not in text, f"{planted} in {path.name}"
    for path in tmp_path.rglob("*.*"):  # noqa: ASYNC240
        # Those hold what they are for: the secrets, and what Asterisk sent.
        if path.suffix not in {".toml", ".journal"}:
            for secret in SECRETS:
                assert secret.encode() not in path.read_bytes(), f"{secret} in {path.name}"
        assert path.stat().st_mode & 0o007 == 0, f"{path.name} can be read by all"
