"""How a daemon comes to act: at once where it is alone, else when the site is its own ([standby])."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import structlog

from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.config import Config
from callsteward.daemon.linked import Linked
from callsteward.daemon.standby import StandBy
from callsteward.daemon.stopping import Tasks
from callsteward.exceptions import StoreError
from callsteward.feed.output import Output
from callsteward.health import Health
from callsteward.network.waiting import cancelled
from callsteward.part import Parts, Site
from callsteward.store.claim import SiteClaim
from callsteward.store.pair import Pair
from callsteward.stream.deliveries import DeliveryCounts
from callsteward.stream.held import HeldBack
from callsteward.stream.pump import Pump

log = structlog.get_logger(__name__)

AGAIN_S = 0.2

Begins = Callable[[], Coroutine[Any, Any, None]]


@runtime_checkable
class Warns(Protocol):
    """A feed that has a place for alerts."""

    def warn(self, rule: str, detail: str) -> None: ...


class Own:
    """Work of a daemon that acts."""

    def __init__(self, **works: Begins) -> None:
        self._works = works

    def begin(self, tasks: Tasks) -> None:
        """Start the daemon's own."""
        tasks.start(**{name: work() for name, work in self._works.items()})

    def start(self, tasks: Tasks) -> None:
        """Start the daemon's own, and then the parts'."""
        self.begin(tasks)
        tasks.start_parts()


@dataclass(frozen=True, slots=True)
class Works:
    """The things a daemon works with. `ready` is called once it follows calls."""

    site: Site
    tasks: Tasks
    own: Own
    pump: Pump
    feed: Output
    kinds: DeliveryCounts
    linked: Linked
    ready: Callable[[], None]


class Duty(Protocol):
    """One daemon's way to acting. In the order in which it is asked."""

    @property
    def stands_by(self) -> bool:
        """True for a daemon that does not act from its start on."""
        ...

    @property
    def claim(self) -> SiteClaim | Pair:
        """Keeps other daemons from acting for the site."""
        ...

    @property
    def held(self) -> HeldBack | None:
        """Where the pump's facts wait until this daemon acts; None: they do not wait."""
        ...

    async def identify(self, config: Config) -> None:
        """Before the claim is taken."""
        ...

    async def join(self) -> None:
        """The claim is taken. Raises StoreError where the daemon has no place at its site."""
        ...

    def may_act(self) -> bool:
        """True if this daemon may act at this moment."""
        ...

    def health(self, health: Health) -> Health:
        """The health with what is known of the site's daemons."""
        ...

    @property
    def recalled(self) -> Callable[[str], None] | None:
        """Gets each call that is in today's counts already; None: nobody asks."""
        ...

    async def resume(self, parts: Parts) -> None:
        """Take up open work, unless another daemon has it."""
        ...

    def link(self, connected: bool, why: str) -> None:
        """Asterisk is connected, or the connection is lost and why."""
        ...

    async def act(self, works: Works, stop: asyncio.Event) -> None:
        """Act as soon as that is this daemon's business, until `stop`; raise what ended it."""
        ...

    async def hand_over(self) -> None:
        """The daemon stops: another one may go on."""
        ...


def duty_of(config: Config, boot_id: str, now_ms: Callable[[], int]) -> Duty:
    """The duty of a daemon that is alone, or of one of two. `now_ms` is Asterisk's clock."""
    return Alone(config) if config.standby.instance is None else OneOfTwo(config, boot_id, now_ms)


class Alone:
    """The site's only daemon, which acts from its start to its end."""

    stands_by: Final = False
    held: Final = None
    recalled: Final = None

    def __init__(self, config: Config) -> None:
        self.claim = SiteClaim(config.site.name)

    async def identify(self, config: Config) -> None:
        """Whichever Asterisk it is, there is nobody to compare it with."""

    async def join(self) -> None:
        """The claim is enough."""

    def may_act(self) -> bool:
        return True

    def health(self, health: Health) -> Health:
        return health

    async def resume(self, parts: Parts) -> None:
        await parts.load()

    def link(self, connected: bool, why: str) -> None:
        """Nobody else has heard Asterisk meanwhile."""

    async def act(self, works: Works, stop: asyncio.Event) -> None:
        works.own.start(works.tasks)
        works.ready()
        await works.tasks.until(stop)

    async def hand_over(self) -> None:
        """To nobody."""


class OneOfTwo:
    """A daemon with [standby]: it follows every call, and acts once the site is its own."""

    stands_by: Final = True

    def __init__(self, config: Config, boot_id: str, now_ms: Callable[[], int]) -> None:
        self._standby = standby = StandBy(config, boot_id, now_ms)
        self.claim = standby.pair
        self.held = standby.held
        self.recalled = standby.recalled
        self.may_act = standby.may_act
        self.health = standby.health
        self.link = standby.link
        self.hand_over = standby.hand_over

    async def identify(self, config: Config) -> None:
        async with open_session(config.asterisk) as session:
            await self._standby.identify(Rest(HttpTransport(session, config.asterisk)))

    async def join(self) -> None:
        await self._standby.pair.join()

    async def resume(self, parts: Parts) -> None:
        """The daemon that acts has the open work."""

    async def act(self, works: Works, stop: asyncio.Event) -> None:
        """Stand by until the site is this daemon's, then act until `stop`, or until it is asked to switch."""
        standby, tasks, pair, site = self._standby, works.tasks, self._standby.pair, works.site
        standby.follows(works.linked, site.tracker, site.frames)
        tasks.start(
            follow=standby.follow(site.store, works.feed.recall, site.frames.put, works.kinds.forget),
            # A daemon that may not act asks all the same.
            asterisk=standby.ask(Rest(HttpTransport(site.session, site.config.asterisk))),
            heard=standby.watch(),
        )
        tasks.start_parts(standing_by=True)
        works.ready()
        log.info("stands by", action="standby_begun", instance=pair.seat.instance)
        await tasks.until(stop, pair.taken)
        if stop.is_set():
            return
        began_s = time.monotonic()
        await tasks.end("follow")
        over = asyncio.Event()
        acting = asyncio.create_task(self._take_over(works), name="take over")
        acting.add_done_callback(lambda _: over.set())
        try:
            await tasks.until(stop, over)
            if acting.done():
                acting.result()
        finally:
            await cancelled(acting)
        if stop.is_set():
            return
        log.info("acts", action="standby_took_over", took_s=round(time.monotonic() - began_s, 3))
        await tasks.until(stop, pair.asked)
        if pair.asked.is_set():
            log.warning("hands the site over, as it was asked to", action="standby_switched")

    async def _take_over(self, works: Works) -> None:
        """Go on where the other daemon left, as after a restart."""
        standby = self._standby
        before = standby.pair.before
        # The feed connects meanwhile, and delivers what that one left in the outbox.
        works.own.begin(works.tasks)
        while True:
            try:
                await standby.keep_up(works.site.store, works.feed.recall)
                await works.site.parts.load()
                break
            except StoreError as error:
                log.error("the open work waits for the store", action="standby_store", error=str(error))  # noqa: TRY400
                await asyncio.sleep(AGAIN_S)
        # As after a restart: what was heard before is not news to parts that count on the link.
        await works.pump.act()
        works.site.parts.take_over(standby.linked_since_ms)
        standby.acts = True
        works.tasks.start_parts()
        if before is not None and isinstance(works.feed, Warns):
            detail = (
                f"{standby.pair.seat.instance} acts from now on, after {before.instance} (on {before.host})"
            )
            works.feed.warn("standby_acts", detail)
