"""Open work as the database has it, counted for `callsteward status`."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.ledger import CallbackLedger
from callsteward.exceptions import CallstewardError
from callsteward.lost.calls import LostCalls
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger

if TYPE_CHECKING:
    from callsteward.status.report import OpenWork

log = structlog.get_logger(__name__)

# A database that hangs must not delay the answer to somebody who wants to know why nothing moves.
WITHIN_S = 3.0


async def open_work(engine: AsyncEngine, site: str, *, within_s: float = WITHIN_S) -> OpenWork | None:
    """How much work is open, or None where the database gives no answer within `within_s` seconds."""
    try:
        async with asyncio.timeout(within_s):
            return {
                "callbacks": Counter(item.state for item in await CallbackLedger(engine, site).opened()),
                "ratings": Counter(item.state for item in await RatingLedger(engine, site).opened()),
                "lost": await LostCalls(engine, site).counts(),
                "complaints": Counter(item.line for item in await Complaints(engine, site).listed()),
            }
    except TimeoutError:
        return None
    except CallstewardError as error:
        log.warning("cannot count the open work", action="status_work", error=str(error))
        return None
