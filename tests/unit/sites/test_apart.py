"""No site sees or changes another one's rows in the same database, except where a client is concerned.

Each public method of each class that works for one site is asked, on a store with another site's rows of the
same calls, operators and client. A new method has to be asked here, too: a test names the missing ones.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC
from typing import Any

import msgspec

import callsteward
from callsteward import features
from callsteward.agi.lookups import Lookups
from callsteward.ari.events import Listened
from callsteward.callback.history import steps
from callsteward.callback.ledger import CallbackLedger
from callsteward.calls.deliveries import Delivered
from callsteward.client.erasing import Eraser
from callsteward.client.found import Found, find
from callsteward.clock import DAY_MS
from callsteward.commands.done import CommandsDone
from callsteward.commands.reply import Reply
from callsteward.compression.compressor import Compressor
from callsteward.feed.resend import ResendSpan, resend
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.presence import Change
from callsteward.intervals.slot_sums import merged
from callsteward.intervals.store import Cursor, IntervalStore
from callsteward.intervals.stored_sums import StoredSums
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.contacts import ClientContact, Contacts
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.forbidding import Forbidding
from callsteward.outgoing.words import Actor, Met
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode
from callsteward.record.call import Outcome
from callsteward.record.facts import CallEnded, CallTagged, OperatorStatus
from callsteward.record.tag import Given, Source, Tag
from callsteward.retention.expiry import Expiry
from callsteward.retention.phones import delete_phone_states
from callsteward.standby.both import ask_to_switch, both
from callsteward.status.work import open_work
from callsteward.statuses.ledger import StatusLedger
from callsteward.statuses.states import GivenState, GivenStatus
from callsteward.store.changed_slots import SLOT_MS
from callsteward.store.direct import flush
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.expired import delete_before, deleted_before_ms, said_expired
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from callsteward.stream.trunk_numbers import TrunkNumberCounts
from callsteward.tags.book import TagBook
from callsteward.tags.elsewhere import TagsElsewhere
from tests.unit.client.samples import AT_MS, CONFIG, DUE, NUMBER, NUMBERS, fill, of
from tests.unit.sites.neighbour import CALLS, NEIGHBOUR, OF_SITE, rows_of, settle

SITE = "main"
LATER_MS = AT_MS + 10**10
Work = Callable[[Store], Awaitable[object]]


async def _all(rows: AsyncIterable[Any]) -> list[Any]:
    return [row async for row in rows]


def callbacks(store: Store) -> CallbackLedger:
    return CallbackLedger(store.engine, SITE, features.announce(CONFIG))


def statuses(store: Store) -> StatusLedger:
    return StatusLedger(store.engine, SITE)


async def _given(store: Store) -> GivenStatus:
    return await statuses(store).ask(
        "101",
        OperatorStatus.PAUSED,
        reason="lunch",
        given_by="101",
        token="1",
        members=(),
        at_ms=LATER_MS,
        until_ms=None,
        before=None,
    )


async def _of_given(store: Store, work: Callable[[GivenStatus], Awaitable[object]]) -> object:
    return await work(await _given(store))


def ratings(store: Store) -> RatingLedger:
    return RatingLedger(store.engine, SITE, features.announce(CONFIG))


def outbox(store: Store) -> Outbox:
    return Outbox(store.engine, SITE)


async def _pairs(parts: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in parts]


def intervals(store: Store) -> IntervalStore:
    return IntervalStore(store.engine, SITE)


def book(store: Store) -> TagBook:
    return TagBook(store.engine, SITE)


def message(name: str, replaces: str | None = None) -> Outgoing:
    return Outgoing(
        site=SITE, message_id=name, kind="record", line="support", topic="t", payload=b"{}",
        made_at_ms=AT_MS, replaces=replaces,
    )  # fmt: skip


async def _stepped(store: Store, ledger: Any, act: Callable[[Any], Awaitable[object]]) -> object:
    """A step of our own row of the call that the neighbour has, too."""
    row = await ledger.of_call("a.1")
    assert row is not None
    return await act(row)


async def _removed_along(store: Store) -> None:
    outbox(store).remove_along([f"a message of {NEIGHBOUR} 0"], lambda: None)
    await outbox(store).settle()


async def _noted(store: Store) -> None:
    lost = of(NUMBER, CALLS[0], outcome=Outcome.ABANDONED)
    LostCalls(store.engine, SITE).note(
        [CallEnded(lost, NUMBER), CallEnded(of(NUMBER, "a.9"), NUMBER)], NUMBERS.e164
    )
    await flush(store.engine)


async def _remembered(store: Store) -> None:
    book(store).remember([(of(NUMBER, CALLS[0]), NUMBER)])
    await flush(store.engine)


async def _erased(store: Store) -> object:
    async def deleted(_name: str) -> str:
        return ""

    eraser = Eraser(
        store.engine, SITE, plans=features.plans(), announce=features.announce(CONFIG), deleted=deleted,
        now_ms=lambda: AT_MS, by="admin",
    )  # fmt: skip
    return await eraser.erase(await find(store.engine, SITE, [NUMBER], []))


async def _both(store: Store) -> object:
    """By the clock of a server, which a file has not got; nor has it a second daemon."""
    return await both(store.engine, SITE) if store.engine.dialect.name == "postgresql" else None


async def _tags_elsewhere(store: Store) -> list[bytes]:
    tags = TagsElsewhere(store.engine, SITE)
    tags._last = 0
    return await tags.frames()


async def _revised(store: Store) -> None:
    async with intervals(store).writing() as connection:
        known = await intervals(store).revisions(connection, AT_MS, 1)
        assert known == {}
        await intervals(store).revise(connection, [], AT_MS)


async def _watched(store: Store) -> None:
    span = await intervals(store).watch_from(AT_MS, kept_since_ms=AT_MS)
    await intervals(store).watch_until(span, LATER_MS)


def expiry(store: Store) -> Expiry:
    return Expiry(
        store.engine, SITE, 40, features.plans(), zone=UTC, now_ms=lambda: 10 * LATER_MS,
        machine_ms=lambda: 10 * LATER_MS,
    )  # fmt: skip


def forbidding(store: Store) -> Forbidding:
    return features.forbidding(store.engine, SITE, now_ms=lambda: AT_MS, announce=features.announce(CONFIG))


SPAN = ResendSpan(from_ms=0, to_ms=LATER_MS)
REPLY = Reply(id="c", command="tag", status="done", reason="", detail="", at="x", call_id="a.1")
FACT = CallTagged(call_id="a.1", line="support", tag=Tag.COMMENT, at_ms=AT_MS, by="101", source=Source.PHONE)
OURS = ClientContact(number=NUMBER, site=SITE, at_ms=AT_MS, call_id="a.1", reason=Met.CALLED_AGAIN)


async def _mine(store: Store, ledger: Any, method: str) -> object:
    """A method of a ledger, asked of our own row."""
    row = await ledger.of_call("a.1")
    if method == "fence_gone":
        return await ledger.fence_gone(row, AT_MS)
    if method == "comment_gone":
        return await ledger.comment_gone(row)
    if method == "keep":
        return await ledger.keep(row, at_ms=AT_MS, question=1)
    if method == "stop":
        return await ledger.stop(row, actor=Actor.ADMIN, at_ms=AT_MS, reason="x", evidence="x")
    if method == "move":
        state = next(iter(ledger.plan.over))
        return await ledger.move(row, state, at_ms=AT_MS, among=ledger.plan.states)
    return await getattr(ledger, method)(row)


def _of_both(method: str, *arguments: Any, **named: Any) -> Iterator[tuple[str, Work]]:
    for ledger in (callbacks, ratings):
        made = CallbackLedger if ledger is callbacks else RatingLedger

        async def work(store: Store, ledger: Any = ledger) -> object:
            return await getattr(ledger(store), method)(*arguments, **named)

        yield f"{made.__name__}.{method}", work


def _on_rows(method: str, *ledgers: Any) -> Iterator[tuple[str, Work]]:
    for ledger in ledgers or (callbacks, ratings):
        made = CallbackLedger if ledger is callbacks else RatingLedger

        async def work(store: Store, ledger: Any = ledger) -> object:
            return await _mine(store, ledger(store), method)

        yield f"{made.__name__}.{method}", work


WORK: dict[str, Work] = {
    **dict(_on_rows("forbids")),
    **dict(_on_rows("fence_gone")),
    **dict(_on_rows("story", callbacks)),
    **dict(_on_rows("keep", ratings)),
    **dict(_on_rows("comment_gone", ratings)),
    **dict(_on_rows("move")),
    **dict(_on_rows("stop")),
    **dict(_of_both("find", "a.1")),
    **dict(_of_both("of_call", "a.2")),
    **dict(_of_both("opened")),
    **dict(_of_both("forbidden")),
    **dict(_of_both("kept_until", LATER_MS, limit=9)),
    **dict(_of_both("forget_numbers", LATER_MS)),
    "CallbackLedger.decided": lambda store: callbacks(store).decided("a.2"),
    "CallbackLedger.listed": lambda store: callbacks(store).listed(),
    "CallbackLedger.met_elsewhere": lambda store: callbacks(store).met_elsewhere(),
    "CallbackLedger.open": lambda store: callbacks(store).open(
        of(NUMBER, "a.2"), DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS
    ),
    "RatingLedger.asking": lambda store: ratings(store).asking(),
    "RatingLedger.of_calls": lambda store: ratings(store).of_calls(["a.1", "a.2", "a.3"]),
    "RatingLedger.changed": lambda store: _all(ratings(store).changed(0, LATER_MS)),
    "RatingLedger.open": lambda store: ratings(store).open(
        call_id="a.2",
        mode=Mode.CALL,
        line="support",
        operator="101",
        number=NUMBER,
        client_masked=None,
        client_ref=None,
        at_ms=AT_MS,
        due_ms=AT_MS,
    ),
    "history.steps": lambda store: _all(steps(store.engine, SITE, from_ms=0, to_ms=LATER_MS)),
    "Lookups.caller": lambda store: Lookups(store.engine, SITE).caller(
        "+79000000077", NUMBERS.ref(NUMBER), since_ms=0, now_ms=AT_MS
    ),
    "Forbidding.add": lambda store: forbidding(store).add([NUMBER], by="x", actor=Actor.ADMIN),
    "Forbidding.remove": lambda store: forbidding(store).remove(NUMBER),
    "CommandsDone.find": lambda store: CommandsDone(store.engine, SITE).find(f"{NEIGHBOUR} command_id 0"),
    "CommandsDone.keep": lambda store: CommandsDone(store.engine, SITE).keep("x", REPLY, AT_MS),
    "CommandsDone.forget": lambda store: CommandsDone(store.engine, SITE).forget(LATER_MS),
    "IntervalStore.phones": lambda store: intervals(store).phones(),
    "StoredSums.records_since_ms": lambda store: StoredSums(store.engine, SITE).records_since_ms(),
    "StoredSums.known_since_ms": lambda store: StoredSums(store.engine, SITE).known_since_ms(),
    "StoredSums.kept": lambda store: StoredSums(store.engine, SITE).kept(0, LATER_MS, days=True),
    "StoredSums.stale": lambda store: StoredSums(store.engine, SITE).stale(0, LATER_MS, 99),
    "StoredSums.good_by_day": lambda store: StoredSums(store.engine, SITE).good_by_day(0),
    "StoredSums.summed_days": lambda store: StoredSums(store.engine, SITE).summed_days(),
    "StoredSums.doubt": lambda store: StoredSums(store.engine, SITE).doubt(),
    "StoredSums.begin": lambda store: StoredSums(store.engine, SITE).begin([SLOT_MS]),
    "StoredSums.store": lambda store: StoredSums(store.engine, SITE).store({0: merged([])}, {0: 0}),
    "StoredSums.store_day": lambda store: StoredSums(store.engine, SITE).store_day(0, merged([])),
    "SumsKeeper.parts": lambda store: _pairs(SumsKeeper(store.engine, SITE).parts(0, 2 * SLOT_MS, days=True)),
    "SumsKeeper.names": lambda store: SumsKeeper(store.engine, SITE).names(0, LATER_MS),
    "SumsKeeper.made": lambda store: SumsKeeper(store.engine, SITE).made(0, SLOT_MS),
    "SumsKeeper.keep": lambda store: SumsKeeper(store.engine, SITE).keep(0, SLOT_MS),
    "SumsKeeper.sums": lambda store: SumsKeeper(store.engine, SITE).sums(0, SLOT_MS),
    "SumsKeeper.keep_day": lambda store: SumsKeeper(store.engine, SITE).keep_day(0),
    "SumsKeeper.missing": lambda store: SumsKeeper(store.engine, SITE).missing(DAY_MS),
    "SumsKeeper.complete": lambda store: SumsKeeper(store.engine, SITE).complete(SLOT_MS),
    "IntervalStore.known": lambda store: intervals(store).known(0, LATER_MS, ["101"]),
    "IntervalStore.around": lambda store: intervals(store).around(0, LATER_MS, ["101"]),
    "IntervalStore.contacts": lambda store: _all(intervals(store).contacts(0, LATER_MS)),
    "IntervalStore.spans": lambda store: _all(intervals(store).spans(0, LATER_MS)),
    "IntervalStore.names": lambda store: intervals(store).names(0, LATER_MS),
    "IntervalStore.news": lambda store: intervals(store).news(Cursor()),
    "IntervalStore.writing": _revised,
    "IntervalStore.revisions": _revised,
    "IntervalStore.revise": _revised,
    "IntervalStore.published": lambda store: intervals(store).published(0, LATER_MS),
    "IntervalStore.unfinished": lambda store: intervals(store).unfinished(1),
    "IntervalStore.forget": lambda store: intervals(store).forget(LATER_MS),
    "IntervalStore.watch_from": _watched,
    "IntervalStore.watch_until": _watched,
    "IntervalStore.phone_changes": lambda store: intervals(store).phone_changes([("101", Change(1, "x"))]),
    "IntervalStore.phone_states": lambda store: intervals(store).phone_states(),
    "LostCalls.counts": lambda store: LostCalls(store.engine, SITE).counts(),
    "LostCalls.listed": lambda store: LostCalls(store.engine, SITE).listed(),
    "LostCalls.settle_elsewhere": lambda store: LostCalls(store.engine, SITE).settle_elsewhere(),
    "LostCalls.settle": lambda store: LostCalls(store.engine, SITE).settle("a.1", by="x", comment="x"),
    "LostCalls.forget_numbers": lambda store: LostCalls(store.engine, SITE).forget_numbers(LATER_MS),
    "LostCalls.note": _noted,
    "StatusLedger.opened": lambda store: statuses(store).opened(),
    "StatusLedger.ask": _given,
    "StatusLedger.move": lambda store: _of_given(
        store, lambda given: statuses(store).move(given, GivenState.PAUSED)
    ),
    "StatusLedger.end": lambda store: _of_given(
        store, lambda given: statuses(store).end(given, LATER_MS, "101")
    ),
    "StatusLedger.forget": lambda store: statuses(store).forget(LATER_MS),
    "StatusLedger.run_out": lambda store: _of_given(
        store, lambda given: statuses(store).run_out(given, LATER_MS)
    ),
    "StatusLedger.without_members": lambda store: _of_given(store, statuses(store).without_members),
    "Complaints.listed": lambda store: Complaints(store.engine, SITE).listed(everything=True),
    "Complaints.acknowledge": lambda store: Complaints(store.engine, SITE).acknowledge(
        "a.1", by="x", comment="x", at_ms=AT_MS
    ),
    "Complaints.raise_": lambda store: Complaints(store.engine, SITE).raise_(
        call_id="a.2",
        line="support",
        operator=None,
        client_masked=None,
        client_ref=None,
        reason="x",
        score=None,
        at_ms=AT_MS,
    ),
    "Contacts.note": lambda store: Contacts(store.engine, SITE).note([OURS]),
    "Contacts.forget": lambda store: Contacts(store.engine, SITE).forget(LATER_MS),
    "work.open_work": lambda store: open_work(store.engine, SITE),
    "HeardEndpoints.keep": lambda store: HeardEndpoints(store.engine, SITE).keep(
        [(f"{NEIGHBOUR} endpoint 0", None), ("PJSIP/101", Listened("PJSIP/101", heard=True))]
    ),
    "HeardEndpoints.known": lambda store: HeardEndpoints(store.engine, SITE).known(),
    "expired.deleted_before_ms": lambda store: deleted_before_ms(store.engine, SITE),
    "expired.said_expired": lambda store: said_expired(store.engine, SITE, 0, UTC),
    "expired.delete_before": lambda store: delete_before(store.engine, SITE, LATER_MS),
    "Outbox.after": lambda store: outbox(store).after(0, 99),
    "Outbox.newest": lambda store: outbox(store).newest(),
    "Outbox.measure": lambda store: outbox(store).measure(),
    "Outbox.waiting": lambda store: outbox(store).waiting(),
    "Outbox.oldest": lambda store: outbox(store).oldest(10**9),
    "Outbox.drops": lambda store: outbox(store).drops(),
    "Outbox.put": lambda store: outbox(store).put([message("x", f"a message of {NEIGHBOUR} 0")]),
    "Outbox.remove": lambda store: outbox(store).remove([f"a message of {NEIGHBOUR} 0"]),
    "Outbox.remove_along": _removed_along,
    "Outbox.settle": _removed_along,
    "Outbox.drop": lambda store: outbox(store).drop([f"a message of {NEIGHBOUR} 0"]),
    "resend": lambda store: resend(
        CONFIG, store, SPAN, features.sources(), announce=features.announce(CONFIG)
    ),
    "Store.calls": lambda store: _all(store.calls(CallQuery(site=SITE))),
    "Store.stored": lambda store: _all(store.stored(SITE, from_ms=0, to_ms=LATER_MS)),
    "Store.save": lambda store: store.save([of(NUMBER, "a.2")]),
    "TrunkNumberCounts.add": lambda store: TrunkNumberCounts(store.engine, SITE).add(
        [Delivered("t", "x", 1)], now_ms=10 * LATER_MS
    ),
    "TrunkNumberCounts.all": lambda store: TrunkNumberCounts(store.engine, SITE).all(now_ms=AT_MS),
    "TagBook.add": lambda store: book(store).add(FACT, Given(Tag.COMMENT, "x")),
    "TagBook.find": lambda store: book(store).find("a.1", Given(Tag.COMMENT, "x")),
    "TagBook.of": lambda store: book(store).of("a.1"),
    "TagBook.has": lambda store: book(store).has("a.2", Tag.DROPPED),
    "TagBook.listed": lambda store: book(store).listed(),
    "TagBook.number": lambda store: book(store).number("a.2"),
    "TagBook.record": lambda store: book(store).record("a.2"),
    "TagBook.decided_later": lambda store: book(store).decided_later(["a.1", "a.2"]),
    "TagBook.last_of": lambda store: book(store).last_of("101", 0),
    "TagBook.forget": lambda store: book(store).forget(LATER_MS),
    "TagBook.remember": _remembered,
    "found.find": lambda store: find(store.engine, SITE, [NUMBER], []),
    "Eraser.erase": _erased,
    "phones.delete_phone_states": lambda store: delete_phone_states(store.engine, SITE, LATER_MS, rest=0),
    "Expiry.work": lambda store: expiry(store).work(),
    "Compressor.work": lambda store: Compressor(store.engine, SITE, rest=0).work(),
    "both.both": _both,
    "both.ask_to_switch": lambda store: ask_to_switch(store.engine, SITE),
    "TagsElsewhere.frames": _tags_elsewhere,
}
"""By class and method, or module and function: asked for our own site."""

DELETING = ("Eraser.erase", "Expiry.work")
"""Asked last: our own rows are gone then."""

READING = tuple(
    name
    for name in WORK
    if name.rpartition(".")[2]
    in {
        "after", "all", "around", "asking", "between", "caller", "calls", "changed", "contacts", "counts",
        "decided", "decided_later", "deleted_before_ms", "drops", "find", "forbidden", "forbids", "has",
        "kept_until", "known", "last_of", "listed", "measure", "met_elsewhere", "names", "newest", "news",
        "number", "of", "of_call", "oldest", "open_work", "opened", "phone_states", "published", "record",
        "said_expired", "spans", "steps", "stored", "story", "unfinished", "waiting",
    }
)  # fmt: skip
"""They change nothing, so that their answers before and after the neighbour came can be compared."""

ALL_SITES = {
    "StoredSums.first_ms": "a day without calls of this site has its sums, too",
    "CallbackLedger.counts": "callbacks to one number are limited per client, whichever site calls",
    "CallbackLedger.open_to": "a client with an open callback is not called for a rating by another site",
    "RatingLedger.open_to": "the same method of the same ledger; nobody asks it",
    "LookUp.of": "a client is not asked twice for a rating, nor while a callback is open, at whichever site",
    "TagBook.spoken_since": "a client who has called another site since is not called back",
    "Contacts.elsewhere": "this is what the others' contacts are written down for",
    "CallbackLedger.met_elsewhere": "our own callbacks, whose clients another site had since",
    "IntervalStore.newest": "the end of the tables' numbering, from which on a site's own news are read",
    "found.find_at": "asked for several sites by name (`client export --site all`)",
    "found.find": "names the other sites that have something of a client, and reads nothing of theirs",
}
"""What looks at other sites' rows, on purpose, and why. None of these changes them."""


def _engine_classes() -> Iterator[tuple[str, Any]]:
    for found in pkgutil.walk_packages(callsteward.__path__, "callsteward."):
        if "migrations" in found.name or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", "") == found.name and not name.startswith("_"):
                yield f"{found.name.rpartition('.')[2]}.{name}", thing


def test_everything_that_works_for_one_site_is_asked_here() -> None:
    missing = []
    for name, thing in _engine_classes():
        if inspect.isclass(thing):
            if {"engine", "site"} <= set(inspect.signature(thing.__init__).parameters):
                missing += [
                    f"{thing.__name__}.{method}"
                    for method, made in inspect.getmembers(thing, inspect.isfunction)
                    if not method.startswith("_")
                    and method not in {"run", "call_of"}
                    # The statement of another method, or of a `LookUp`, for a transaction of several.
                    and not method.endswith("_in")
                ]
        elif inspect.isroutine(thing) and {"engine", "site"} <= set(inspect.signature(thing).parameters):
            missing.append(name)
    # The ledgers' common ancestor, and what only opens one of the others.
    asked = {*WORK, *ALL_SITES, "features.forbidding"}
    assert [name for name in missing if name not in asked and not name.startswith("Ledger.")] == []


async def _asked(store: Store, name: str) -> str:
    """The answer, in which the names of other sites do not count."""
    told = await WORK[name](store)
    if isinstance(told, Found):
        told = msgspec.structs.replace(told, elsewhere=[])
    return repr(told)


async def test_a_sites_work_leaves_the_other_sites_rows_alone(store: Store) -> None:
    await fill(store, NUMBER, "a")
    await DoNotCall(store.engine).remove(NUMBER)
    alone = {name: await _asked(store, name) for name in READING}
    await settle(store)
    before = await rows_of(store)
    assert {table for table, rows in before.items() if not rows} == set()
    assert set(before) == {*(table.name for table in OF_SITE), "callback_transitions"}
    changed, read = [], [name for name in READING if await _asked(store, name) != alone[name]]
    for name in (*(name for name in WORK if name not in DELETING), *DELETING):
        if NEIGHBOUR in await _asked(store, name):
            read.append(name)
        if await rows_of(store) != before:
            changed.append(name)
            before = await rows_of(store)
    assert (changed, read) == ([], [])
