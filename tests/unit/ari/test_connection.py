import os

import pytest

from callsteward.ari import connection
from callsteward.ari.connection import open_keeper
from callsteward.ari.keeper import RING_NAME, SOCKET_NAME, Keeper, NoKeeper
from callsteward.config import Config
from callsteward.notify import Notify
from tests.lab.fd_store import FdStore


@pytest.fixture
def left(monkeypatch):
    """The descriptors that systemd kept of an earlier process, and the store for them."""
    with FdStore() as store:
        notify = Notify(store.address)
        file = os.memfd_create("left")
        for name in (RING_NAME, SOCKET_NAME):
            notify.keep(name, file)
        os.close(file)
        files = store.files
        monkeypatch.setattr(connection, "handed_down", lambda: files)
        yield store, notify, files
        notify.close()


@pytest.mark.parametrize("connect", ["client", "outbound"])
def test_a_useless_kept_connection_is_closed(left, connect: str):
    store, notify, files = left
    keeper = open_keeper(Config.model_validate({"asterisk": {"connect": connect}}), notify)
    assert isinstance(keeper, NoKeeper) is (connect == "client")
    assert store.names == []
    for kept in files.values():
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(kept[0])
    if isinstance(keeper, Keeper):
        assert keeper.resumed is None
    keeper.close()
