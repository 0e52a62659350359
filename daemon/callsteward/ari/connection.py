"""The one place that knows both ways of being connected to Asterisk."""

from __future__ import annotations

import aiohttp

from callsteward.ari.census import Census
from callsteward.ari.client import ClientLink
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import Link, OnChange
from callsteward.ari.outbound import OutboundLink
from callsteward.ari.recent import Recent
from callsteward.config import Config


def open_link(
    config: Config,
    frames: FrameQueue,
    census: Census,
    *,
    session: aiohttp.ClientSession,
    on_change: OnChange,
    gap_from: str = "",
    recent: Recent | None = None,
    handed_over: bool = False,
) -> Link:
    """The link that the configuration asks for.

    `gap_from`: when the last event was that an earlier process saw; `recent`: the last ones themselves;
    `handed_over`: it left Asterisk so that nothing was lost.
    """
    if config.asterisk.connect == "outbound":
        return OutboundLink(
            config,
            frames,
            census,
            session=session,
            on_change=on_change,
            gap_from=gap_from,
            recent=recent,
            handed_over=handed_over,
        )
    return ClientLink(config, frames, session=session, on_change=on_change, gap_from=gap_from)
