"""The messages that must arrive, as they go into the outbox. Pure.

Records, callbacks, ratings, complaints and intervals are made here, inside the transaction of what they
tell. Their `message_id` follows from what they say, so the same thing told again, also in another year by
`callsteward feed resend`, has the same one.
"""

from __future__ import annotations

import msgspec

from callsteward.callback.states import CallbackMoved
from callsteward.config import Config
from callsteward.feed import messages, rating_messages
from callsteward.feed.messages import Message
from callsteward.feed.topics import Topics
from callsteward.intervals.row import IntervalRow, Kind
from callsteward.rating.states import Complaint, Rating
from callsteward.record.call import CallRecord
from callsteward.store.outbox import DurableKind, Outgoing


class Durable:
    """Makes one site's messages for the outbox."""

    def __init__(self, config: Config) -> None:
        self._site = config.site.name
        self._expire_s = config.intervals.expire_hours * 3600
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

    def rating(self, moved: Rating) -> list[Outgoing]:
        """A rating has a new state, or more was answered."""
        told = rating_messages.rating(self._site, moved)
        topic = self.topics.ratings(moved.line)
        return [self.message(DurableKind.RATING, moved.line, topic, told, moved.changed_at_ms)]

    def complaint(self, raised: Complaint) -> list[Outgoing]:
        """A call was put on the supervisors' list."""
        told = rating_messages.complaint(self._site, raised)
        topic = self.topics.complaint(raised.line)
        return [self.message(DurableKind.COMPLAINT, raised.line, topic, told, raised.raised_at_ms)]

    def interval(self, row: IntervalRow, stored_ms: int) -> list[Outgoing]:
        """A row of an interval has a new revision. The broker keeps it, with MQTT 5 until it expires.

        The revision before, where it still waits, is not sent any more: the new one says all that it said.
        """
        topic = self.topics.interval(row.kind, row.name, row.start_ms)
        return [
            self.message(
                DurableKind.INTERVAL,
                # An operator's row is on no line.
                row.name if row.kind is Kind.LINE else "",
                topic,
                messages.interval(row),
                stored_ms,
                retain=True,
                expire_s=self._expire_s,
                replaces=None if row.revision < 2 else messages.interval_id(row, row.revision - 1),
            )
        ]

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
        replaces: str | None = None,
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
            replaces=replaces,
        )
