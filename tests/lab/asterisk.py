"""A real Asterisk on 127.0.0.1, with its own folders and ports.

It runs in a cached root folder (``roots``) with chroot. Its etc, var, spool, run and
log are a folder of its own inside that root, so nothing is mounted, several run at
once, and cleaning up is removing one folder.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.faketime import SetClock
from tests.lab.lanes import Driver
from tests.lab.packages import Progress, say
from tests.lab.pbx_config import Outbound, PbxSettings, config_files
from tests.lab.ports import free_port
from tests.lab.priority import go_first
from tests.lab.records import Cdr, Cel, QueueEvent, read_cdr, read_cel, read_queue_log
from tests.lab.roots import ensure_root
from tests.lab.server import Server
from tests.lab.sounds import rating_prompts, write_tone

START_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class AriAddress:
    """Where ARI is and who may use it."""

    base_url: str
    user: str
    password: str

    @property
    def websocket_url(self) -> str:
        return self.base_url.replace("http://", "ws://") + "/events"

    @property
    def authorization(self) -> str:
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Basic {token}"


class Asterisk(Server):
    """One Asterisk process; use as a context manager.

    ``with Asterisk() as pbx:`` starts it, answers ARI on return, removes everything at
    the end. ``site`` gives configuration files that take the place of the lab's own. ``first``: it runs
    before other processes (`priority`); not where the question is what they do to it.
    Raises LabUnavailable where no lab can be, LabError if it does not start.
    """

    def __init__(
        self,
        version: str = "22",
        *,
        driver: Driver = "pjsip",
        channelvars: bool = True,
        talk_endpoints: bool = True,
        rtp_timeout_s: int = 5,
        outbound: Outbound | None = None,
        ari_password: str = "",
        set_clock: bool = False,
        first: bool = True,
        site: Callable[[PbxSettings], dict[str, str]] | None = None,
        keep: bool = False,
        progress: Progress = say,
    ) -> None:
        if outbound is not None and version == "16":
            message = "Asterisk 16 has no outbound websocket"
            raise LabError(message)
        if driver == "sip" and version != "16":
            message = f"Asterisk {version} has no chan_sip"
            raise LabError(message)
        self.version = version
        self.driver = driver
        root = ensure_root(version, progress)
        _remove_stale(root)
        _name_this_machine(root)
        super().__init__(root, "a", keep=keep)
        self.sip_port = free_port(socket.SOCK_DGRAM)
        self.http_port = free_port()
        password = ari_password or secrets.token_hex(8)
        self.ari = AriAddress(f"http://127.0.0.1:{self.http_port}/ari", "callsteward", password)
        self._settings = PbxSettings(
            version=version,
            driver=driver,
            home=self.home,
            sip_port=self.sip_port,
            http_port=self.http_port,
            ari_password=self.ari.password,
            channelvars=channelvars,
            talk_endpoints=talk_endpoints,
            rtp_timeout_s=rtp_timeout_s,
            outbound=outbound,
        )
        self._site = site
        self._first = first
        self._install()
        self.clock = SetClock(self.folder, self.home) if set_clock else None

    @property
    def etc(self) -> Path:
        """The configuration folder: a test may change files, then ``cli("... reload")``."""
        return self.folder / "etc"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        """Start and wait until ARI answers and every module is loaded."""
        if self.running:
            return
        # A killed one leaves its control socket behind.
        (self.folder / "run" / "asterisk.ctl").unlink(missing_ok=True)
        command = ["/usr/sbin/asterisk", "-f", "-C", self._conf]
        if self.clock is not None:
            clock = [f"{name}={value}" for name, value in self.clock.environment.items()]
            command = ["/usr/bin/env", *clock, *command]
        process = self._launch(self.log / "console", *command)
        (self.folder / "pids").write_text(f"{os.getpid()} {process.pid}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not self.running:
                message = f"Asterisk {self.version} ended at once:\n{self._tail()}"
                raise LabError(message)
            if time.monotonic() > deadline:
                message = f"Asterisk {self.version} does not answer ARI:\n{self._tail()}"
                raise LabError(message)
            time.sleep(0.1)
        self.cli("core waitfullybooted")
        if self._first:
            go_first(process.pid)

    @property
    def console(self) -> list[str]:
        """The command line of a console, but for the console's own command."""
        return ["chroot", str(self.root), "/usr/sbin/asterisk", "-C", self._conf, "-rx"]

    def cli(self, command: str) -> str:
        """The output of one console command."""
        result = subprocess.run(
            [*self.console, command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return result.stdout

    def request(self, method: str, path: str, body: object = None) -> object:
        """One ARI request (path without ``/ari``): the decoded answer, None if empty."""
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.ari.base_url}{path}",
            data=payload,
            method=method,
            headers={
                "Authorization": self.ari.authorization,
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def request_list(self, path: str) -> list[dict[str, object]]:
        """A GET whose answer is a list of objects (channels, bridges, applications …)."""
        answer = self.request("GET", path)
        if not isinstance(answer, list):
            message = f"ARI {path} gave no list"
            raise LabError(message)
        return answer

    def _end(self) -> None:
        self.thaw()
        if self.running:
            try:
                self.cli("core stop now")
                self._wait(8)
            except (subprocess.TimeoutExpired, OSError):
                self.kill()

    def kill(self) -> None:
        """End it like a power cut: calls are gone, nothing is said to anybody."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._wait(5)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, and nobody answers on them. Until `thaw`, or `stop`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """``core restart``-like: end (calls drop), start with the same folder and ports."""
        if self.running:
            self.cli("core stop now")
            try:
                self._wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.start()

    def restart_in_place(self) -> None:
        """``core restart now``: calls drop, the same process begins anew; returns once it answers again."""
        before = self._booted()
        self.cli("core restart now")
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._booted() in {"", before}:
            if time.monotonic() > deadline or not self.running:
                message = f"Asterisk {self.version} does not come back:\n{self._tail()}"
                raise LabError(message)
            time.sleep(0.05)
        self.cli("core waitfullybooted")
        if self._first:
            go_first(self.pid)

    def cdr(self) -> list[Cdr]:
        """Every CDR row so far, oldest first."""
        return read_cdr(self.log / "cdr-custom" / "cdr.csv")

    def cel(self) -> list[Cel]:
        """Every CEL row so far, oldest first."""
        return read_cel(self.log / "cel-custom" / "cel.csv")

    def queue_log(self) -> list[QueueEvent]:
        """Every queue_log row so far, oldest first."""
        return read_queue_log(self.log / "queue_log")

    @property
    def _conf(self) -> str:
        return f"{self._settings.home}/etc/asterisk.conf"

    def _install(self) -> None:
        for name in ("etc", "spool/recording", "run", "log", "cache", "log/cdr-custom", "log/cel-custom"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.root / "var/lib/asterisk", self.folder / "var", symlinks=True)
        (self.folder / "var" / "keys").mkdir(exist_ok=True)
        (self.folder / "moh").mkdir()
        write_tone(self.folder / "moh" / "music.wav", frequency_hz=440, seconds=4)
        shutil.copytree(rating_prompts(), self.folder / "prompts")
        (self.folder / "pids").write_text(f"{os.getpid()} 0")
        files = config_files(self._settings)
        if self._site is not None:
            files |= self._site(self._settings)
        for name, text in files.items():
            (self.etc / name).write_text(text)

    def _wait(self, seconds: float) -> None:
        if self._process is not None:
            self._process.wait(timeout=seconds)

    def _answers(self) -> bool:
        try:
            self.request("GET", "/asterisk/info")
        except (OSError, urllib.error.URLError, ValueError):
            return False
        return True

    def _booted(self) -> str:
        """When it started, as it says; empty where it does not answer."""
        try:
            answer = self.request("GET", "/asterisk/info?only=status")
        except (OSError, ValueError):
            return ""
        status = answer.get("status") if isinstance(answer, dict) else None
        return str(status.get("startup_time", "")) if isinstance(status, dict) else ""

    def _tail(self) -> str:
        lines: list[str] = []
        for name in ("console", "full"):
            path = self.log / name
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(lines)


def _name_this_machine(root: Path) -> None:
    """Let the root know this machine's name.

    Asterisk looks its own name up for every SIP leg. Where only a name server that does not answer could
    know it, each look-up holds a SIP thread for 5 s, and at some ten calls a second the PBX stands still.
    """
    name = socket.gethostname()
    hosts = root / "etc" / "hosts"
    known = hosts.read_text() if hosts.exists() else ""
    if name not in known.split():
        # Several instances are made at once, also by the threads of one process.
        new = hosts.with_name(f"hosts.{secrets.token_hex(4)}")
        new.write_text(f"{known}127.0.0.1 localhost {name}\n")
        new.replace(hosts)


def _remove_stale(root: Path) -> None:
    """Clear away instances whose test process died without ending them."""
    for folder in (root / "lab").glob("a*"):
        try:
            owner, pid = (int(part) for part in (folder / "pids").read_text().split())
        except (OSError, ValueError):
            continue
        if Path(f"/proc/{owner}").exists():
            continue
        if _is_instance(pid, folder.name):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _is_instance(pid: int, name: str) -> bool:
    """True if ``pid`` still is that Asterisk: numbers are used again."""
    try:
        return f"/lab/{name}/" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
