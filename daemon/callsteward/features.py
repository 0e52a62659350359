"""The features of callsteward, in the order in which data passes. This is the only file that names them all.

Those of a program's own are given to it in their place: `Daemon(config, features=(*FEATURES, Mine()))`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from callsteward.agi.feature import AgiFeature
from callsteward.callback.feature import CallbackFeature
from callsteward.commands.feature import CommandsFeature
from callsteward.compression.feature import CompressionFeature
from callsteward.feed import calls
from callsteward.feed.tell import Forget, Tell, Tells, Topic, announced
from callsteward.intervals.feature import IntervalsFeature
from callsteward.lost.feature import LostFeature
from callsteward.metrics.feature import MetricsFeature
from callsteward.part import Feature
from callsteward.rating.feature import RatingFeature
from callsteward.retention.feature import RetentionFeature
from callsteward.sites.feature import SitesFeature
from callsteward.standby.feature import StandbyFeature
from callsteward.status.feature import StatusFeature
from callsteward.statuses.feature import StatusesFeature
from callsteward.store.message import Announce
from callsteward.tags.feature import TagsFeature
from callsteward.web.feature import WebFeature

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from callsteward.config import Config
    from callsteward.feed.resend import ResendSource
    from callsteward.outgoing.forbidding import Forbidding
    from callsteward.outgoing.plan import Plan

Features = Sequence[Feature]

FEATURES: tuple[Feature, ...] = (
    LostFeature(),
    StatusesFeature(),
    SitesFeature(),
    CallbackFeature(),
    TagsFeature(),
    RatingFeature(),
    IntervalsFeature(),
    RetentionFeature(),
    CompressionFeature(),
    CommandsFeature(),
    MetricsFeature(),
    WebFeature(),
    AgiFeature(),
    StatusFeature(),
    StandbyFeature(),
)


def topics(features: Features = FEATURES) -> dict[str, Topic]:
    """The topics of all messages, for the contract."""
    found = dict(calls.TOPICS)
    for feature in features:
        found |= feature.topics
    return found


def tells(config: Config, features: Features = FEATURES) -> Tells:
    """The table of all messages of a site."""
    return Tells(config, _table(features))


def announce(config: Config, features: Features = FEATURES) -> Announce:
    """Makes the messages that go into the outbox; none with `mqtt.enabled = false`."""
    return announced(config, _table(features))


def durable_kinds(features: Features = FEATURES) -> list[str]:
    """The kinds of messages that must arrive."""
    return [entry.durable for entry in _table(features) if isinstance(entry, Tell) and entry.durable]


def _table(features: Features) -> list[Tell[Any] | Forget[Any]]:
    return [*calls.TELLS, *(entry for feature in features for entry in feature.tells)]


def sources(features: Features = FEATURES) -> Mapping[str, ResendSource]:
    """Where each kind of message that must arrive comes from again."""
    from callsteward.feed.resend import ResendSource, records
    from callsteward.store.message import RECORD

    found = {RECORD: ResendSource(records)}
    for feature in features:
        found |= feature.sources()
    return found


def plans(features: Features = FEATURES) -> list[Plan[Any, Any]]:
    """Every kind of calls to clients."""
    return [plan for feature in features for plan in feature.plans()]


def forbidding(
    engine: AsyncEngine,
    site: str,
    *,
    now_ms: Callable[[], int],
    announce: Announce,
    told: Callable[[object], None] = lambda _: None,
    features: Features = FEATURES,
) -> Forbidding:
    """The way onto the do-not-call list, by which every feature's open calls to the client end."""
    from callsteward.outgoing.forbidding import Forbidding

    return Forbidding(engine, site, now_ms=now_ms, plans=plans(features), announce=announce, told=told)
