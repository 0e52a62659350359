"""`callsteward check` for a site with two daemons: that they fit together, and the other could take over."""

from __future__ import annotations

from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.standby.both import both
from callsteward.store.records import Store
from callsteward.terminal.result import Result, failed, ok, warning

_CHECK = "standby"


async def pair(config: Config) -> list[Result]:
    """One result, none for a site with one daemon."""
    own = config.standby.instance
    if own is None:
        return []
    try:
        store = await Store.open(config.store.url, create=False)
        try:
            found = await both(store.engine, config.site.name)
        finally:
            await store.close()
    except CallstewardError:
        # The check of the database says why.
        return [warning(_CHECK, "the other daemon is not known: the database gives no answer", "see `store`")]
    others = [one for one in found.daemons if one.instance != own]
    clash = next((one for one in others if one.heard and one.app == config.asterisk.app), None)
    if clash is not None:
        return [
            failed(
                _CHECK,
                f"{clash.instance} (on {clash.host}) has the same ARI application, {clash.app}",
                "give each of the two daemons a name of its own in asterisk.app",
            )
        ]
    said = ", ".join(f"{one.instance} (on {one.host}) {one.state}" for one in found.daemons)
    if found.problems:
        mend = "start both daemons; `callsteward status` beside each says what it waits for"
        return [warning(_CHECK, said or "no daemon of the site has run yet", mend)]
    return [ok(_CHECK, said)]
