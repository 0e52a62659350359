"""The place where a worker plays its runs: a PBX, a wire between it and the daemon, a broker if needed."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chaos.dashboard import Dashboard
from tests.chaos.disk import Disk
from tests.chaos.record_cells import Connect
from tests.chaos.server import Server
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import Outbound
from tests.lab.ports import free_port
from tests.lab.postgresql import PostgreSql
from tests.lab.wire import Wire

RTP_TIMEOUT_S = 2


class Field:
    """One worker's own. Context manager.

    `connect`: which side dials; `wire` lies in that connection. Where Asterisk dials, what the daemon asks
    over HTTP has one of its own: `cut` and `mend` are for whatever there is between the two. `broker`: with
    a Mosquitto and a dashboard. `postgresql`: the daemon's database is on a server of the field's own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        connect: Connect = Connect.CLIENT,
        broker: bool = False,
        postgresql: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.connect = connect
        self._stack = ExitStack()
        self._outbound: Outbound | None = None
        self.listen_port = free_port()
        if connect is not Connect.CLIENT:
            self.wire = Wire(self.listen_port)
            # One password both ways: callbacks go over HTTP here, too.
            password = secrets.token_hex(8)
            self._outbound = Outbound(
                uri=f"ws://127.0.0.1:{self.wire.port}/ari", user="callsteward", password=password
            )
            self.pbx = Asterisk(rtp_timeout_s=RTP_TIMEOUT_S, outbound=self._outbound, ari_password=password)
        else:
            self.pbx = Asterisk(rtp_timeout_s=RTP_TIMEOUT_S)
            self.wire = Wire(self.pbx.http_port)
        self._http = self.wire if self._outbound is None else Wire(self.pbx.http_port)
        self._broker = Mosquitto() if broker else None
        self._dashboard = None if self._broker is None else Dashboard(self._broker)
        self._server = PostgreSql() if postgresql else None
        self._to_server = None if self._server is None else Wire(self._server.port)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.pbx)
            for wire in self._wires:
                stack.enter_context(wire)
            if self._broker is not None and self._dashboard is not None:
                stack.enter_context(self._broker)
                stack.enter_context(self._dashboard)
            if self._server is not None and self._to_server is not None:
                stack.enter_context(self._server)
                stack.enter_context(self._to_server)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def broker(self) -> Mosquitto:
        assert self._broker is not None, "this field has no broker"
        return self._broker

    @property
    def dashboard(self) -> Dashboard:
        assert self._dashboard is not None, "this field has no dashboard"
        return self._dashboard

    def disk(self, folder: Path) -> Disk | Server:
        """The place of a run's database: a small disk, or the server."""
        if self._server is None or self._to_server is None:
            return Disk(folder)
        return Server(folder, self._server, self._to_server)

    def database(self, file: Path) -> Path | str:
        """A new database for a run whose disk does not get full."""
        return file if self._server is None else self._server.new_database(file.stem)

    @property
    def _wires(self) -> tuple[Wire, ...]:
        return tuple(dict.fromkeys((self.wire, self._http)))

    def cut(self) -> None:
        """Every connection between daemon and Asterisk breaks, and no new one is made."""
        for wire in self._wires:
            wire.cut()

    def mend(self) -> None:
        for wire in self._wires:
            wire.mend()

    def tidy(self) -> None:
        """Bring everything back to its beginning, after whatever the last run left."""
        self.wire.flow()
        self.cut()
        self.mend()
        if not self.pbx.running:
            self.pbx.start()
        if self._broker is not None and not self._broker.running:
            self._broker.start()
        self.pbx.cli("channel request hangup all")

    def asterisk_settings(self) -> dict[str, Any]:
        """The daemon's `[asterisk]`, with the wire in it."""
        settings: dict[str, Any] = {"talk_detect": "on", "url": f"http://127.0.0.1:{self._http.port}"}
        if self._outbound is None:
            return settings | {"password": self.pbx.ari.password}
        return settings | {
            "connect": "outbound",
            "listen_port": self.listen_port,
            "username": self._outbound.user,
            "password": self._outbound.password,
        }
