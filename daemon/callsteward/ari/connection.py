"""Builds the link to Asterisk: the only module that knows both ways of being connected."""

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
    """The keeper of a connection that Asterisk opens, beyond the process's end; else one that keeps none."""
    left = handed_down()
    if config.asterisk.connect == "outbound":
        return Keeper(notify, left)
    # Left from a time when Asterisk opened the connection.
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
    closed_gracefully: bool = False,
) -> Link:
    """The link that the configuration asks for.

    `keeper`: the result of `open_keeper`. `gap_from`: the time of the last event that an earlier process saw;
    `recent`: the last such events themselves; `closed_gracefully`: that process closed its connection in good
    order, and nothing was lost.
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
            closed_gracefully=closed_gracefully,
        )
    return ClientLink(config, frames, session=session, on_change=on_change, gap_from=gap_from)
