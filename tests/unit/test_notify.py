"""What systemd is told, over a real socket."""

import socket

import pytest

from callsteward.notify import Notify


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
