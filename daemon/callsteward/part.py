"""The shape of a feature: `Feature` describes it without a daemon, `Part` is the feature at work in one.

A feature is a folder with a `feature.py` and, where it works in the daemon, a `part.py`; `features.py` lists
it. The daemon asks its parts in the order of that list, which is the order in which data passes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from callsteward.record.facts import CallTagged, Fact, LineNow, OperatorNow

if TYPE_CHECKING:
    import aiohttp
    import typer

    from callsteward.ari.events import Event
    from callsteward.ari.frames import FrameQueue
    from callsteward.ari.rest import Rest
    from callsteward.calls.tracker import Tracker
    from callsteward.config import Config
    from callsteward.feed.resend import ResendSource
    from callsteward.feed.tell import Forget, Tell, Topic
    from callsteward.health import Counters, Readings
    from callsteward.network.openings import Openings
    from callsteward.outgoing.forbidding import Forbidding
    from callsteward.outgoing.guard import Guard
    from callsteward.outgoing.may import May
    from callsteward.outgoing.plan import Plan
    from callsteward.store.message import Announce
    from callsteward.store.records import Store
    from callsteward.terminal.result import Result

P = TypeVar("P", bound="Part")


class Part:
    """A feature at work in one daemon. A method that a part does not override is never called."""

    talks_with_clients: ClassVar[bool] = False
    """Its task ends before the connection to Asterisk, for it has clients on the line."""

    stands_by: ClassVar[bool] = False
    """Its task runs also while another daemon of the site acts ([standby])."""

    async def load(self) -> None:
        """Take up what an earlier process left, before the journal is run again. Raises StoreError."""

    def take_over(self, since_ms: int) -> None:
        """This daemon acts from now on, and has received each event since then (Asterisk's clock).

        Called after another daemon of the site has acted. Neither waits nor fails.
        """

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """Decide on facts before anything of them is stored; the facts as they are to be told.

        A tag comes alone, everything else together. Raises StoreError, and is asked again then: what is
        decided twice is the same decision.
        """
        return facts

    def hear(self, event: Event) -> None:
        """An event came, from Asterisk or from the journal. Neither waits nor fails."""

    def told(self, fact: object) -> None:
        """A fact was published, by the stream or by any part. Neither waits nor fails."""

    def lines_now(self, lines: list[LineNow]) -> list[LineNow]:
        """The lines at this moment, with what this feature knows of them. Neither waits nor fails."""
        return lines

    def operators_now(self, operators: list[OperatorNow]) -> list[OperatorNow]:
        """The operators at this moment, with what this feature knows of them. Neither waits nor fails.

        The first part gets those who have a channel, from the tracker; one at rest may be added.
        """
        return operators

    def shown(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        """The gauges of lines and operators have changed; `now_ms` is Asterisk's clock."""

    def reconfigure(self, config: Config) -> None:
        """From now on go by this configuration, of which lines, profiles and operators may differ."""

    def link(self, connected: bool, why: str) -> None:
        """Asterisk is connected, or the connection is lost and why. Neither waits nor fails."""

    async def run(self) -> None:
        """Work until cancelled."""


class Rehearsal:
    """The decisions of a feature in `replay`, by the stream's own clock and without a database."""

    def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        return facts

    def hear(self, event: Event) -> None:
        pass


class Feature:
    """A feature without a daemon. Imports that a method needs are inside it.

    `tells`: how its facts become messages; `topics`: where the messages go, for the contract.
    """

    name: ClassVar[str]
    tells: ClassVar[Sequence[Tell[Any] | Forget[Any]]] = ()
    topics: ClassVar[Mapping[str, Topic]] = {}

    def wanted(self, config: Config) -> bool:
        """True if the configuration switches it on. Otherwise a daemon has no part of it."""
        del config
        return True

    def open(self, site: Site) -> Part:
        """The part at work, made of what the site shares."""
        del site
        return Part()

    async def checks(self, config: Config) -> Sequence[Result]:
        """The results for `callsteward check`."""
        del config
        return ()

    def rehearse(self, config: Config, tracker: Tracker) -> Rehearsal | None:
        """Its decisions in `replay`; None if it makes none."""
        del config, tracker
        return None

    def plans(self) -> Sequence[Plan[Any, Any]]:
        """Its ledgers of calls to clients: what is open there ends for a client who is not to be called."""
        return ()

    def sources(self) -> Mapping[str, ResendSource]:
        """The sources of messages for `callsteward feed resend`, by their kind in the outbox."""
        return {}

    def commands(self, app: typer.Typer) -> None:
        """Add its commands to the command line."""
        del app


class Parts:
    """The parts of one daemon, in the order in which they were opened."""

    def __init__(self, *, stand_by: bool = False) -> None:
        """`stand_by`: another daemon of the site acts, and until `take_over` no part hears about the link."""
        self._parts: dict[str, Part] = {}
        self._told: list[Part] = []
        self._linked: tuple[bool, str] = (False, "not connected yet")
        self._stand_by = stand_by
        self.deciding = asyncio.Lock()
        """Held while facts are judged: what decides beside the stream takes it, too."""

    def open(self, features: Sequence[Feature], site: Site) -> None:
        """Open those that the configuration switches on."""
        for feature in features:
            if feature.wanted(site.config):
                self._parts[feature.name] = feature.open(site)
        self._told = self.having("told")

    def of(self, kind: type[P]) -> P | None:
        return next((part for part in self._parts.values() if isinstance(part, kind)), None)

    def having(self, method: str) -> list[Part]:
        """The parts that override a method."""
        return [part for part in self._parts.values() if _overrides(part, method)]

    def runs(self) -> dict[str, Part]:
        """The parts that work beside the stream, by their feature's name."""
        return {name: part for name, part in self._parts.items() if _overrides(part, "run")}

    async def load(self) -> None:
        for part in self.having("load"):
            await part.load()

    def link(self, connected: bool, why: str) -> None:
        """Asterisk is connected, or the connection is lost and why."""
        self._linked = (connected, why)
        if not self._stand_by:
            for part in self.having("link"):
                part.link(connected, why)

    def take_over(self, since_ms: int) -> None:
        """This daemon acts from now on, and has received each event since then."""
        self._stand_by = False
        for part in self.having("take_over"):
            part.take_over(since_ms)
        if self._linked[0]:
            self.link(*self._linked)

    def judge(self) -> Callable[[Sequence[Fact]], Awaitable[Sequence[Fact]]]:
        """All judges as one.

        A tag is judged by all parts before the fact behind it is looked at, and after all before it: what
        follows from it does not depend on how many facts came together. Asked for the same facts again, after
        a StoreError, it goes on with the part that failed.
        """
        judges = self.having("judge")
        failed: _Round | None = None

        async def judge(facts: Sequence[Fact]) -> Sequence[Fact]:
            nonlocal failed
            begun = failed if failed is not None and failed.facts == list(facts) else _Round(facts)
            failed = begun
            async with self.deciding:
                await begun.go_on(judges)
            failed = None
            # Of one that was told before only what follows had to be sure.
            return [fact for fact in begun.judged if not (isinstance(fact, CallTagged) and fact.repeated)]

        return judge

    def tell(self, fact: object) -> None:
        """A fact was published."""
        for part in self._told:
            part.told(fact)

    def hear(self) -> Callable[[Event], None] | None:
        """All who hear events as one; None for nobody, since every event asks."""
        hearing = [part.hear for part in self.having("hear")]
        if len(hearing) < 2:
            return hearing[0] if hearing else None

        def hear(event: Event) -> None:
            for one in hearing:
                one(event)

        return hear


def _overrides(part: Part, method: str) -> bool:
    return getattr(type(part), method) is not getattr(Part, method)


class _Round:
    """Facts on their way through the judges, each tag apart."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        # A copy: whoever asks may fill the same list again.
        self.facts = list(facts)
        self.judged: list[Fact] = []
        self._pieces: deque[Sequence[Fact]] = deque()
        self._asked = 0
        together: list[Fact] = []
        for fact in facts:
            if isinstance(fact, CallTagged):
                self._pieces += [piece for piece in (together, [fact]) if piece]
                together = []
            else:
                together.append(fact)
        if together:
            self._pieces.append(together)

    async def go_on(self, judges: Sequence[Part]) -> None:
        while self._pieces:
            for part in judges[self._asked :]:
                self._pieces[0] = await part.judge(self._pieces[0])
                self._asked += 1
            self.judged += self._pieces.popleft()
            self._asked = 0


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that the parts of one daemon share; each thing is built once.

    `publish` tells a fact to the feed and to the parts. `now_ms` is Asterisk's clock, ms since 1970;
    `steady_ms` is one that nobody sets.
    `announce` makes a fact's messages for the outbox, in the transaction that stores the fact.
    """

    config: Config
    boot_id: str
    store: Store
    session: aiohttp.ClientSession
    rest: Rest
    tracker: Tracker
    frames: FrameQueue
    now_ms: Callable[[], int]
    steady_ms: Callable[[], int]
    publish: Callable[[object], None]
    announce: Announce
    may: May
    forbidding: Forbidding
    counters: Counters
    readings: Readings
    openings: Openings
    changed: Callable[[], None]
    """Says that a gauge may have changed."""
    parts: Parts
    may_act: Callable[[], bool] = _always
    """True while no other daemon of the site acts. Asked before each act outside the database."""

    @property
    def name(self) -> str:
        return self.config.site.name

    @property
    def guard(self) -> Guard:
        return self.may.guard

    def part(self, kind: type[P]) -> P | None:
        """A part that was opened before, None where it is switched off."""
        return self.parts.of(kind)
