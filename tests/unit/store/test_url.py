"""store.url with a port that is none: said as every other mistake of the configuration, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsteward.check.services import store
from callsteward.config import Config, StoreSettings
from callsteward.daemon.core import journal_path
from callsteward.exceptions import ConfigError, StoreError
from callsteward.store.engine import async_url
from callsteward.store.url import StoreUrlError, store_url
from tests.live.daemon import callsteward

WRONG = ["postgresql://u@host:54x2/name", "postgresql://u:secret@host:/name", "postgresql://host:٣x/name"]


@pytest.mark.parametrize("url", WRONG)
def test_a_port_that_is_no_number(url: str) -> None:
    with pytest.raises(StoreUrlError, match="the port after the host's colon must be a number") as told:
        store_url(url)
    assert url not in str(told.value)
    with pytest.raises(StoreUrlError):
        journal_path(Config(store=StoreSettings.model_construct(url=url)))


@pytest.mark.parametrize("url", [*WRONG, "no url", "oracle://host/name"])
async def test_every_wrong_address_ends_as_a_wrong_configuration(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        async_url(url)
    assert isinstance(told.value, StoreError)
    assert told.value.exit_code == 2
    assert (await store(Config(store=StoreSettings.model_construct(url=url)))).status.value == "failed"


def test_the_daemon_ends_with_2_so_that_systemd_does_not_start_it_again(tmp_path: Path) -> None:
    file = tmp_path / "callsteward.toml"
    file.write_text(
        '[asterisk]\npassword = "x"\n[mqtt]\nenabled = false\n[store]\nurl = "postgresql://u@h:p/n"\n'
    )
    file.chmod(0o600)
    done = callsteward("run", "-c", file)
    assert done.returncode == 2
    assert b"store.url: the port after the host's colon must be a number" in done.stderr
    assert b"Traceback" not in done.stderr
