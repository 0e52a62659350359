"""The one place that knows both ways of being connected to Asterisk."""

from __future__ import annotations

import os

import aiohttp

from callsteward.ari.census import Census
from callsteward.ari.client import ClientLink
from callsteward.ari.frames import FrameQueue
from callsteward.ari.keeper import Keeper, NoKeeper
from callsteward.ari.link import Link, OnChange
from callsteward.ari.outbound import OutboundLink
from callsteward.ari.recent import Recent
from callsteward.config import Config
from callsteward.notify import Notify, handed_down


def open_keeper(config: Config, notify: Notify) -> Keeper | NoKeeper:
    """What keeps a connection that Asterisk made over the process's end."""
    left = handed_down()
    if config.asterisk.connect == "outbound":
        return Keeper(notify, left)
    # Of a time when Asterisk made it.
    for name, files in left.items():
        notify.release(name)
        for file in files:
            os.close(file)
    return NoKeeper()


def open_link(
    config: Config,
    frames: FrameQueue,
    census: Census,
    *,
    session: aiohttp.ClientSession,
    on_change: OnChange,
    keeper: Keeper | NoKeeper,
    gap_from: str = "",
    recent: Recent | None = None,
    handed_over: bool = False,
) -> Link:
    """The link that the configuration asks for.

    `keeper`: what `open_keeper` returned. `gap_from`: when the last event was that an earlier process saw;
    `recent`: the last ones themselves; `handed_over`: it left Asterisk so that nothing was lost.
    """
    if isinstance(keeper, Keeper):
        return OutboundLink(
            config,
            frames,
            census,
            session=session,
            on_change=on_change,
            keeper=keeper,
            gap_from=gap_from,
            recent=recent,
            handed_over=handed_over,
        )
    return ClientLink(config, frames, session=session, on_change=on_change, gap_from=gap_from)
