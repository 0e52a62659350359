"""`callsteward check` names endpoints that talk with clients and cannot be heard."""

from pathlib import Path

import pytest

from callsteward.ari.events import Listened
from callsteward.calls.voices import DEAF_AFTER
from callsteward.check.heard import heard
from callsteward.config import Config
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.records import Store
from callsteward.terminal.result import Status


async def known(folder: Path, *listened: Listened, **asterisk: str) -> Config:
    """A configuration whose store knows of these endpoints."""
    config = Config.model_validate(
        {
            "store": {"url": f"sqlite:///{folder}/calls.db"},
            "asterisk": {"url": "http://127.0.0.1:1"} | asterisk,
        }
    )
    store = await Store.open(config.store.url)
    endpoints = HeardEndpoints(store.engine, config.site.name)
    await endpoints.keep([(item.endpoint, item) for item in listened])
    await HeardEndpoints(store.engine, "another site").keep(
        [("PJSIP/999", Listened("PJSIP/999", heard=False, quiet=1))]
    )
    await store.close()
    return config


HEARD = Listened("PJSIP/trunk", heard=True)
DEAF = Listened("PJSIP/221", heard=False, quiet=2)


async def test_an_endpoint_that_talks_and_was_never_heard_is_named_with_what_to_do(tmp_path):
    result = await heard(
        await known(tmp_path, HEARD, DEAF, Listened("SIP/222", heard=False, quiet=DEAF_AFTER))
    )
    assert result is not None
    assert result.status is Status.WARNING
    assert result.found == (
        "never heard: PJSIP/221 (2 talks), SIP/222 (5 talks or more):"
        " speech, silences and interruptions of their calls are null"
    )
    assert "set_var = TALK_DETECT(set)=500,256" in str(result.mend)


async def test_an_endpoint_whose_detector_was_switched_off_is_named_too(tmp_path):
    result = await heard(await known(tmp_path, Listened("PJSIP/101", heard=True, quiet=DEAF_AFTER)))
    assert result is not None
    assert result.found.startswith("heard once, but not in 5 talks in a row: PJSIP/101 (5 talks or more): ")


async def test_with_talk_detect_on_unheard_endpoints_count_as_heard(tmp_path):
    result = await heard(await known(tmp_path, DEAF, talk_detect="on"))
    assert result is not None
    assert (
        result.found
        == 'never heard: PJSIP/221 (2 talks): they count as heard all the same (talk_detect = "on")'
    )


async def test_with_all_endpoints_heard_the_check_is_ok(tmp_path):
    result = await heard(await known(tmp_path, HEARD, Listened("PJSIP/101", heard=True, quiet=1)))
    assert result is not None
    assert (result.status, result.found) == (
        Status.OK,
        "each of the 2 endpoints that talk with clients is heard",
    )


async def test_before_the_first_call_and_with_detection_off_there_is_no_result(tmp_path):
    empty = Config.model_validate({"store": {"url": f"sqlite:///{tmp_path}/none.db"}})
    assert await heard(empty) is None
    assert not (tmp_path / "none.db").exists()
    assert await heard(await known(tmp_path)) is None
    assert await heard(await known(tmp_path, DEAF, talk_detect="off")) is None


async def test_many_are_counted(tmp_path):
    deaf = [Listened(f"PJSIP/9{number:02}", heard=False, quiet=1) for number in range(9)]
    result = await heard(await known(tmp_path, *deaf))
    assert result is not None
    assert "PJSIP/907 (1 talk) and 1 more" in result.found


@pytest.mark.parametrize("gone", [True, False])
async def test_an_endpoints_state_is_stored_once_until_it_is_dropped(tmp_path, gone):
    config = await known(tmp_path, DEAF, HEARD)
    store = await Store.open(config.store.url)
    endpoints = HeardEndpoints(store.engine, config.site.name)
    now = Listened("PJSIP/221", heard=True)
    await endpoints.keep([("PJSIP/221", now), ("PJSIP/trunk", None if gone else HEARD)])
    assert {item.listened for item in await endpoints.known()} == ({now} if gone else {now, HEARD})
    await store.close()
