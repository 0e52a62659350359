"""The table by which facts become messages: used when a fact is stored, and when it is published.

Each feature lists its own facts. A durable message is made in the transaction that stores its fact, and waits
in the outbox; publishing then needs only its message_id. A message that goes from memory at once is that same
one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from callsteward.feed import messages
from callsteward.feed.backlog import MessageKind
from callsteward.feed.messages import Message
from callsteward.feed.topics import Topics
from callsteward.store.message import Announce, Outgoing, nobody

if TYPE_CHECKING:
    from callsteward.config import Config

F = TypeVar("F")

# Messages that were stored and may be published from memory: more wait only where the broker is away.
REMEMBERED = 1_000


class Topic(NamedTuple):
    """A topic below the site's, for the contract.

    `message`: the type of its messages; `retained`: the broker keeps the last one; `from_daemon`: who sends
    it. `described`: the type with what its schema says beyond the type itself. `published_as`: the name that
    a type has in the published contract, where its name in the code is another one.
    """

    path: str
    message: type[msgspec.Struct]
    retained: bool = False
    from_daemon: bool = True
    described: Callable[[], Any] | None = None
    published_as: Mapping[type, str] = {}

    @property
    def schema_type(self) -> Any:
        return self.message if self.described is None else self.described()


@dataclass(frozen=True, kw_only=True)
class Tell(Generic[F]):
    """The message of one kind of fact. `topic`: its levels below the site; `kind`: the queue for it.

    `durable`: its kind in the outbox, for messages that must arrive; the `message_id` of such a message is
    derived from the fact. `made_ms`: when it was made, None for the moment at which it is stored. `at_once`:
    it may go from memory if no message waits before it. `expire_s`: the broker retains it for this many
    seconds. `replaces`: the message_id of an earlier message that this one makes obsolete.
    """

    fact: type[F]
    message: Callable[[str, F], Message]
    topic: Callable[[F], tuple[str, ...]]
    kind: MessageKind = MessageKind.RECORD
    durable: str = ""
    message_id: Callable[[str, F], str] = lambda _site, _fact: ""
    line: Callable[[F], str] = lambda _: ""
    made_ms: Callable[[F], int | None] = lambda _: None
    at_once: bool = False
    expire_s: Callable[[Config], int] | None = None
    replaces: Callable[[F], str | None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Forget(Generic[F]):
    """A fact after which a topic's retained message is deleted, for brokers that cannot expire messages."""

    fact: type[F]
    topic: Callable[[F], tuple[str, ...]]


class Tells:
    """The table of one site."""

    def __init__(self, config: Config, table: Iterable[Tell[Any] | Forget[Any]]) -> None:
        self._config = config
        self._site = config.site.name
        self._by_fact = {entry.fact: entry for entry in table}
        self._made: OrderedDict[str, Message] = OrderedDict()
        self.topics = Topics(config.mqtt.root, self._site)

    def of(self, fact: object) -> Tell[Any] | Forget[Any] | None:
        """The entry of a fact, None if no message is made of it."""
        return self._by_fact.get(type(fact))

    def topic(self, entry: Tell[F] | Forget[F], fact: F) -> str:
        return self.topics.of(*entry.topic(fact))

    def message_id(self, entry: Tell[F], fact: F) -> str:
        return entry.message_id(self._site, fact)

    def message(self, entry: Tell[F], fact: F) -> Message:
        """The message without its envelope."""
        return entry.message(self._site, fact)

    def stored(self, entry: Tell[F], fact: F, message_id: str) -> Message:
        """A message that is in the outbox: as its fact's transaction made it, from memory or made again."""
        made = self._made.pop(message_id, None)
        return self.message(entry, fact) if made is None else made

    def expire_s(self, entry: Tell[Any]) -> int | None:
        return None if entry.expire_s is None else entry.expire_s(self._config)

    def outgoing(self, fact: object, stored_ms: int | None = None, /) -> Sequence[Outgoing]:
        """The messages for the outbox in a fact's transaction; `stored_ms`: that moment, ms since 1970."""
        entry = self.of(fact)
        if not isinstance(entry, Tell) or not entry.durable:
            return ()
        message = entry.message(self._site, fact)
        if entry.at_once:
            self._made[message.message_id] = message
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        made_ms = entry.made_ms(fact)
        return [
            outgoing(
                self._site,
                message,
                kind=entry.durable,
                line=entry.line(fact),
                topic=self.topic(entry, fact),
                made_ms=(stored_ms or 0) if made_ms is None else made_ms,
                expire_s=self.expire_s(entry),
                replaces=entry.replaces(fact),
            )
        ]


def announced(config: Config, table: Iterable[Tell[Any] | Forget[Any]]) -> Announce:
    """The function that makes the messages for the outbox; it makes none with `mqtt.enabled = false`."""
    return Tells(config, table).outgoing if config.mqtt.enabled else nobody


def outgoing(
    site: str,
    message: Message,
    *,
    kind: str,
    line: str,
    topic: str,
    made_ms: int,
    expire_s: int | None = None,
    replaces: str | None = None,
) -> Outgoing:
    """A message as the outbox keeps it. `made_ms` becomes its `ts`; with `expire_s` the broker retains it."""
    stamped = msgspec.structs.replace(message, ts=messages.stamp(made_ms))
    return Outgoing(
        site=site,
        message_id=message.message_id,
        kind=kind,
        line=line,
        topic=topic,
        payload=messages.encode(stamped),
        made_at_ms=made_ms,
        retain=expire_s is not None,
        expire_s=expire_s,
        replaces=replaces,
    )
