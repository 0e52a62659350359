"""A site without a daemon, for the tests of parts: of this package's and of a program's own.

site = StandIn(store, config, [MyFeature()])
judged = await site.judge([CallEnded(record)])
assert site.told == [...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from callsteward import clock
from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import Rest
from callsteward.calls.tracker import Tracker
from callsteward.clock import wall_ms
from callsteward.config import Config
from callsteward.features import forbidding
from callsteward.feed.output import NoFeed
from callsteward.health import Counters, Health, Readings
from callsteward.network.openings import Openings
from callsteward.outgoing.may import May
from callsteward.part import Feature, Part, Parts, Site
from callsteward.record.facts import Fact
from callsteward.store.direct import flush
from callsteward.store.engine import failing
from callsteward.store.message import Announce, nobody
from callsteward.store.records import Store

if TYPE_CHECKING:
    import aiohttp

P = TypeVar("P", bound=Part)


class StandIn:
    """Parts opened on a real store, with a clock of their own and an Asterisk that the test brings.

    `told`: every fact that was published, in order. `judge` is what the stream would ask. Nothing runs: a
    test awaits what it needs of `part(X).run()`.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        features: Sequence[Feature],
        *,
        now_ms: Callable[[], int] = wall_ms,
        steady_ms: Callable[[], int] = clock.steady_ms,
        rest: object = None,
        session: object = None,
        announce: Announce = nobody,
        tracker: Tracker | None = None,
    ) -> None:
        self.told: list[object] = []
        self.changes = 0
        parts = Parts()
        counters = Counters()
        tracker = tracker or Tracker(config)
        frames = FrameQueue(counters)
        self.site = Site(
            config=config,
            boot_id="boot of a test",
            store=store,
            session=cast("aiohttp.ClientSession", session),
            rest=cast("Rest", rest),
            tracker=tracker,
            frames=frames,
            now_ms=now_ms,
            steady_ms=steady_ms,
            publish=self.publish,
            announce=announce,
            may=May.of(config, store.engine),
            forbidding=forbidding(
                store.engine, config.site.name, now_ms=now_ms, announce=announce, told=self.publish
            ),
            counters=counters,
            readings=Readings(
                counters=counters,
                asterisk=lambda: (True, ""),
                feed=NoFeed().state,
                open_calls=lambda: tracker.open_calls,
                event_lag_s=lambda: 0.0,
                frames_waiting=lambda: frames.depth,
                journal_bytes=lambda: 0,
                tasks=lambda: 0,
                health=Health,
            ),
            openings=Openings(),
            changed=self._changed,
            parts=parts,
        )
        parts.open(features, self.site)
        self._judge = parts.judge()

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts as they are to be told; what the parts store with the records is stored, too."""
        judged = await self._judge(facts)
        with failing("write to"):
            await flush(self.site.store.engine)
        return judged

    def part(self, kind: type[P]) -> P:
        """A part that was opened. Raises LookupError where the configuration switches it off."""
        found = self.site.part(kind)
        if found is None:
            raise LookupError(kind.__name__)
        return found

    def publish(self, fact: object) -> None:
        self.told.append(fact)
        self.site.parts.tell(fact)

    def _changed(self) -> None:
        self.changes += 1
