"""The messages that must arrive, as they go into the outbox. Pure.

Records, callbacks, ratings and intervals are made here, inside the transaction of what they tell. Their
`message_id` follows from what they say, so the same thing told again, also in another year by
`callsteward feed resend`, has the same one.
"""

from __future__ import annotations

import msgspec

from callsteward.callback.states import CallbackMoved
from callsteward.calls.record import CallRecord
from callsteward.config import Config
from callsteward.feed import messages
from callsteward.feed.messages import Message
from callsteward.feed.topics import Topics
from callsteward.store.outbox import DurableKind, Outgoing


class Durable:
    """Makes one site's messages for the outbox."""

    def __init__(self, config: Config) -> None:
        self._site = config.site.name
        self.topics = Topics(config.mqtt.root, self._site)

    def record(self, record: CallRecord, stored_ms: int) -> list[Outgoing]:
        """A call ended and its record is stored."""
        topic = self.topics.call_ended(record.line)
        return [self.message(DurableKind.RECORD, record.line, topic, messages.call_ended(record), stored_ms)]

    def callback(self, moved: CallbackMoved) -> list[Outgoing]:
        """A callback has a new state."""
        line, at_ms = moved.callback.line, moved.callback.changed_at_ms
        told = messages.callback(self._site, moved)
        return [self.message(DurableKind.CALLBACK, line, self.topics.callbacks(line), told, at_ms)]

    def message(
        self,
        kind: DurableKind,
        line: str,
        topic: str,
        message: Message,
        made_ms: int,
        *,
        retain: bool = False,
        expire_s: int | None = None,
    ) -> Outgoing:
        """Any message with a `message_id` of its own. `made_ms` becomes its `ts`."""
        stamped = msgspec.structs.replace(message, ts=messages.stamp(made_ms))
        return Outgoing(
            site=self._site,
            message_id=message.message_id,
            kind=kind,
            line=line,
            topic=topic,
            payload=messages.encode(stamped),
            made_at_ms=made_ms,
            retain=retain,
            expire_s=expire_s,
        )
