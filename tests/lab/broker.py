"""A real Mosquitto on 127.0.0.1: password file, TLS from a CA of its own, optional ACL.

It runs in the Asterisk 22 root with chroot, so that the host gets no system broker.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import trustme

from tests.lab.errors import LabError
from tests.lab.packages import Progress, say
from tests.lab.ports import free_port
from tests.lab.roots import ensure_root
from tests.lab.server import Server

START_TIMEOUT_S = 10.0
SHIPPED = Path(__file__).parents[2] / "config/mosquitto/callsteward.conf"


class Mosquitto(Server):
    """One broker process; use as a context manager.

    ``tls=True`` listens with TLS on ``port``; ``ca_file`` is the CA to trust. ``acl`` is
    the text of an ACL file. ``persistence=True`` keeps retained messages and sessions
    over ``restart()`` and ``kill()`` (a killed broker loses what it had not saved: it
    saves after every change here).
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        tls: bool = False,
        acl: str | None = None,
        persistence: bool = True,
        options: str = "",
        log_type: str = "all",
        keep: bool = False,
        progress: Progress = say,
    ) -> None:
        super().__init__(ensure_root("22", progress), "m", keep=keep)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.user = "callsteward"
        self.password = secrets.token_hex(8)
        self.users = {self.user: self.password, **(users or {})}
        self.tls = tls
        self._install(acl, persistence, options, log_type)

    @property
    def ca_file(self) -> Path:
        """The CA's certificate (PEM) a client has to trust."""
        return self.folder / "ca.pem"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start and wait until it takes connections."""
        if self.running:
            return
        self._launch(self.folder / "log", "/usr/sbin/mosquitto", "-c", f"{self.home}/conf")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._listens():
            if not self.running or time.monotonic() > deadline:
                message = f"Mosquitto does not start:\n{self.log[-2000:]}"
                raise LabError(message)
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: every client's connection breaks, their wills are not sent by it."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End politely and start again on the same port."""
        self._end()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay, and nobody answers on them. Until `thaw`, or `stop`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Read users and ACL again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def _end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if how is signal.SIGTERM:
            self.thaw()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                if self.tls:
                    context = ssl.create_default_context(cafile=str(self.ca_file))
                    with context.wrap_socket(connection, server_hostname=self.host):
                        pass
        except OSError:
            return False
        return True

    def _install(self, acl: str | None, persistence: bool, options: str, log_type: str) -> None:
        (self.folder / "data").mkdir(parents=True)
        home = self.home
        # As admins have it; what stands below it has the last word.
        shipped = SHIPPED.read_text().replace(
            "persistence true\n", f"persistence {str(persistence).lower()}\n"
        )
        conf = [
            shipped,
            # Root in the chroot: it needs no other user's rights to these files.
            "user root",
            f"listener {self.port} 127.0.0.1",
            f"password_file {home}/passwords",
            "log_dest stderr",
            f"log_type {log_type}",
        ]
        if persistence:
            conf += [
                f"persistence_location {home}/data/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        if acl is not None:
            self._write("acl", acl)
            conf.append(f"acl_file {home}/acl")
        if self.tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.ca_file))
            server = authority.issue_cert("127.0.0.1", "localhost")
            server.private_key_pem.write_to_path(str(self.folder / "key.pem"))
            chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
            (self.folder / "cert.pem").write_bytes(chain)
            conf += [f"certfile {home}/cert.pem", f"keyfile {home}/key.pem"]
        self._write("conf", "\n".join(conf) + "\n" + options)
        self._write("passwords", "")
        for user, password in self.users.items():
            subprocess.run(
                [
                    "chroot", str(self.root), "/usr/bin/mosquitto_passwd", "-b",
                    f"{home}/passwords", user, password,
                ],
                check=True,
                capture_output=True,
                env={**os.environ, "HOME": "/"},
            )  # fmt: skip

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
