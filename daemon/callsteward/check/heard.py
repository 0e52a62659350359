"""Checks by the calls so far that the endpoints that talk with clients are heard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from callsteward.ari.events import Listened
from callsteward.calls.voices import DEAF_AFTER
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.records import Store
from callsteward.store.url import StoreUrlError, store_url
from callsteward.terminal.result import Result, ok, warning

_CHECK = "heard"
_NAMED = 8


async def heard(config: Config) -> Result | None:
    """Names the endpoints in use without any talk event so far; None if nothing is known yet."""
    if config.asterisk.talk_detect == "off":
        return None
    if not_there_yet(config):
        return None
    try:
        opened = await Store.open(config.store.url, create=False)
        try:
            known = [item.listened for item in await HeardEndpoints(opened.engine, config.site.name).known()]
        finally:
            await opened.close()
    except CallstewardError:
        return None  # the store's own check reports it
    never = [item for item in known if not item.heard and item.quiet]
    no_more = [item for item in known if item.heard and item.quiet >= DEAF_AFTER]
    if not known:
        return None
    if not never and not no_more:
        return ok(_CHECK, f"each of the {len(known)} endpoints that talk with clients is heard")
    found = []
    if never:
        found.append(f"never heard: {_named(never)}")
    if no_more:
        found.append(f"heard once, but not in {DEAF_AFTER} talks in a row: {_named(no_more)}")
    means = (
        'they count as heard all the same (talk_detect = "on")'
        if config.asterisk.talk_detect == "on"
        else "speech, silences and interruptions of their calls are null"
    )
    return warning(
        _CHECK,
        f"{'; '.join(found)}: {means}",
        f"put set_var = TALK_DETECT(set)={config.asterisk.silence_ms},256 into these endpoints (pjsip.conf;"
        " setvar in sip.conf, iax.conf, chan_dahdi.conf), or call callsteward-arm and callsteward-predial of"
        " dialplan/callsteward.conf wherever they call and are called; the next word that is spoken there"
        " settles it",
    )


def not_there_yet(config: Config) -> bool:
    """True if there is no database to read: the daemon has not run yet."""
    try:
        url = store_url(config.store.url)
    except StoreUrlError:
        # The store's check reports that.
        return True
    return url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists())


def _named(listened: Sequence[Listened]) -> str:
    shown = [f"{item.endpoint} ({_talks(item.quiet)})" for item in listened[:_NAMED]]
    more = len(listened) - _NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _talks(quiet: int) -> str:
    if quiet >= DEAF_AFTER:
        return f"{DEAF_AFTER} talks or more"
    return "1 talk" if quiet == 1 else f"{quiet} talks"
