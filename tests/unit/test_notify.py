"""Messages to systemd, over a real socket."""

import os
import socket
import subprocess
import sys

import pytest

from callsteward.notify import Notify, handed_down
from tests.lab.fd_store import FdStore


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    """systemd's end, and the address it gives."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        listener.bind("\0" + name)
        yield listener, "@" + name
    else:
        listener.bind(name)
        yield listener, name
    listener.close()


def heard(listener: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_the_messages_are_sd_notifys(systemd):
    listener, address = systemd
    notify = Notify(address)
    notify.ready()
    notify.alive()
    notify.status("connected\nto Asterisk")
    notify.status("connected\nto Asterisk")
    notify.reloading()
    notify.stopping()
    said = heard(listener)
    assert said[:3] == ["READY=1", "WATCHDOG=1", "STATUS=connected to Asterisk"]
    assert said[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert int(said[3].rpartition("=")[2]) > 0
    assert said[4:] == ["STOPPING=1"]
    notify.close()
    notify.alive()
    assert heard(listener) == []


def test_a_systemd_that_does_not_listen_is_not_waited_for(systemd):
    listener, address = systemd
    notify = Notify(address)
    for _ in range(10_000):
        notify.alive()
    assert 0 < len(heard(listener)) < 10_000
    notify.close()


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify = Notify()
    notify.ready()
    notify.close()


def test_open_files_are_kept_and_handed_down(tmp_path):
    """By this process, to one that says what it got."""
    (tmp_path / "kept").write_text("what stands in it")
    said = "import os; from callsteward.notify import handed_down\n"
    said += "found = handed_down()\n"
    said += "print({name: [os.read(file, 99) for file in files] for name, files in found.items()})\n"
    said += "print(handed_down(), [name for name in os.environ if name.startswith('LISTEN')])\n"
    said += "print([os.get_inheritable(file) for files in found.values() for file in files])"
    with FdStore() as store, (tmp_path / "kept").open("rb") as file:
        notify = Notify(store.address)
        notify.keep("one", file.fileno())
        notify.keep("other", file.fileno())
        notify.release("other")
        notify.close()
        assert store.names == ["one"]
        command, environment, files = store.command([sys.executable, "-c", said])
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            pass_fds=files,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines() == ["{'one': [b'what stands in it']}", "{} []", "[False]"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "another's"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""},
    ],
)
def test_files_handed_down_to_another_process_are_ignored(environment):
    assert handed_down(environment) == {}
    assert environment == {}
