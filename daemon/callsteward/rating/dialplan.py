"""The daemon's requests to Asterisk for rating calls; see dialplan/callsteward-rating.conf."""

from __future__ import annotations

import structlog

from callsteward.ari.rest import Rest
from callsteward.config import Config
from callsteward.exceptions import AriError
from callsteward.outgoing.fence import Fence, Place
from callsteward.rating.states import RatingRow

log = structlog.get_logger(__name__)

CONTEXT = "callsteward-rating-call"
INCLUDED = "CALLSTEWARD_RATING"
CONFIRMS = 2
"""The first version of the dialplan that reports when a fence is gone."""
PLACE = Place(
    context=CONTEXT,
    verbs="callsteward-rating",
    included=INCLUDED,
    missing="nobody is called for a rating: include callsteward-rating.conf in extensions.conf",
    kind="rating",
    prefix="rating:",
)


class RatingDialplan(Fence):
    """Begins rating calls, and deletes spoken comments."""

    def __init__(self, config: Config, rest: Rest) -> None:
        super().__init__(rest, PLACE)
        self._config = config

    async def call(self, rating: RatingRow, number: str) -> AriError | None:
        """Begin a rating call: the dialplan dials if the fence lets it. Returns an error of Asterisk."""
        line = self._config.line(rating.line)
        ring_s = self._config.rating.ring_s
        prefix, suffix = (line.callback_dial or self._config.callback.dial).split("{number}")
        return await self.begin(
            {
                "endpoint": f"Local/s@{CONTEXT}/n",
                "context": CONTEXT,
                "extension": "h",
                "priority": "1",
                "timeout": str(ring_s + 30),
                "channelId": rating.channel_id or "",
            },
            {
                "CS_ID": rating.id,
                "CS_NUMBER": number.removeprefix("+"),
                "CS_PREFIX": prefix,
                "CS_SUFFIX": suffix,
                "CS_RING": str(ring_s),
                "CS_CALLER": line.callback_caller_id or self._config.callback.caller_id or "",
            },
        )

    async def deleted(self, comment: str) -> bool:
        """Delete a recording. True if Asterisk has none of this name any more."""
        try:
            # If there is none of that name, the request succeeds, too.
            await self._rest.delete_recording(comment)
        except AriError as error:
            log.warning("a comment was not deleted", action="rating_forget", error=str(error))
            return False
        return True
