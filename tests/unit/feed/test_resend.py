"""Ratings, complaints and intervals sent again: the same messages under the same ids, the newest revision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, update

from callsteward import features
from callsteward.ari import events as ari
from callsteward.ari.rest import AsteriskInfo, Rest
from callsteward.config import Config
from callsteward.feed import resend as resend_module
from callsteward.feed.envelope import stamp
from callsteward.feed.resend import ResendSpan, resend
from callsteward.intervals.feature import IntervalsFeature
from callsteward.intervals.part import IntervalsPart
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode
from callsteward.record.call import CallRecord
from callsteward.store.engine import writing
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from callsteward.store.tables import calls, ratings
from callsteward.testing import StandIn
from tests.unit.intervals.days import DAY_MS, HOUR_MS, call

START = DAY_MS + 8 * HOUR_MS
HALF_MS = 1_800_000
ALL = ResendSpan(0, 2**62)
Body = dict[str, Any]


class Phones(Rest):
    def __init__(self) -> None:
        pass

    async def info(self) -> AsteriskInfo:
        return AsteriskInfo("22.10.1", "02:00:00:00:00:01", ari.timestamp(DAY_MS))

    async def device_state(self, device: str) -> str:
        return "NOT_INUSE"


class Site:
    """A daemon's ledgers and publisher with their outbox, and a subscriber who empties it."""

    def __init__(self, store: Store, config: Config) -> None:
        self.store = store
        self.config = config
        self.durable = features.tells(config)
        self.outbox = Outbox(store.engine, "main")
        self.now_ms = START + 60_000
        self.stand_in = StandIn(
            store,
            config,
            [IntervalsFeature()],
            now_ms=lambda: self.now_ms,
            rest=Phones(),
            announce=self.durable.outgoing,
        )
        self.intervals = self.stand_in.part(IntervalsPart)

    async def begin(self) -> None:
        await self.intervals._publisher.load()
        self.intervals.link(True, "")
        await self.intervals._publisher.step()

    async def until(self, now_ms: int) -> None:
        self.now_ms = now_ms
        await self.intervals._publisher.step()

    async def take(self) -> list[Body]:
        """The messages that wait, in order; they are then deleted, as if the broker had them."""
        waiting = await self.outbox.after(0, 10_000)
        await self.outbox.remove([item.message_id for item in waiting])
        bodies: list[Body] = [msgspec.json.decode(item.payload) for item in waiting]
        assert [item.message_id for item in waiting] == [body["message_id"] for body in bodies]
        return bodies

    async def resend(
        self, *kinds: str, span: ResendSpan = ALL
    ) -> tuple[list[Body], dict[str, int], dict[str, int]]:
        left_out: Counter[str] = Counter()
        known = features.sources()
        asked = {kind: known[kind] for kind in kinds or known}
        done = await resend(
            self.config, self.store, span, asked, announce=self.durable.outgoing, left_out=left_out
        )
        return await self.take(), dict(done), dict(+left_out)


@pytest.fixture
async def site(store: Store) -> Site:
    config = Config.model_validate(
        {
            "lines": [{"name": "support"}, {"name": "sales"}],
            "operators": {"101": {}},
            "endpoints": {"operators": ["PJSIP/1[0-9][0-9]"]},
        }
    )
    made = Site(store, config)
    await made.begin()
    return made


def late(call_id: str, minute: int, line: str = "support") -> CallRecord:
    began = START + minute * 60_000
    return msgspec.structs.replace(
        call(), call_id=call_id, line=line, started_at=stamp(began), ended_at=stamp(began + 90_000)
    )


async def test_intervals_are_sent_again_as_they_were_published_last(site: Site) -> None:
    await site.until(START + 2 * HALF_MS + 3000)
    first = await site.take()
    assert len(first) == 2 * 3
    await site.store.save([late("1", 5)])
    await site.until(START + 2 * HALF_MS + 9000)
    revised = await site.take()
    assert {(body["revision"], body["start"]) for body in revised} == {(2, "2026-11-22T08:00:00Z")}
    again, done, left_out = await site.resend("interval")
    newest = {body["message_id"]: body for body in first + revised}
    for body in revised:
        [older] = [
            name for name, item in newest.items() if item["revision"] == 1 and _topic(item) == _topic(body)
        ]
        del newest[older]
    # Byte for byte, message_id, revision and ts included, in the order they were made.
    assert {body["message_id"]: body for body in again} == newest
    assert [body["ts"] for body in again] == sorted(body["ts"] for body in again)
    assert (done, left_out) == ({"interval": 6}, {})


async def test_a_line_and_a_span_are_sent_again_alone(site: Site) -> None:
    await site.until(START + HALF_MS + 3000)
    await site.until(START + 2 * HALF_MS + 3000)
    await site.take()
    only_first = ResendSpan(START, START + HALF_MS + 4000)
    again, _, _ = await site.resend(span=only_first)
    assert {body["start"] for body in again} == {"2026-11-22T08:00:00Z"}
    again, done, _ = await site.resend(span=msgspec.structs.replace(ALL, line="sales"))
    assert [(body["line"], body["start"]) for body in again] == [
        ("sales", "2026-11-22T08:00:00Z"),
        ("sales", "2026-11-22T08:30:00Z"),
    ]
    assert done == {"interval": 2}


async def test_an_interval_whose_calls_changed_is_left_to_the_daemon(site: Site) -> None:
    """A row made now would be neither the revision that was published nor the next one."""
    await site.until(START + HALF_MS + 3000)
    await site.take()
    await site.store.save([late("1", 5)])
    again, done, left_out = await site.resend("interval")
    assert [body.get("line") for body in again] == ["sales"]
    assert (done, left_out) == ({"interval": 1}, {"interval": 2})
    await site.until(START + HALF_MS + 9000)
    assert {body["revision"] for body in await site.take()} == {2}
    # And what is past the retention can be summed no more.
    async with writing(site.store.engine) as connection:
        await connection.execute(delete(calls))
    assert (await site.resend("interval"))[2] == {"interval": 2}


async def test_an_interval_of_other_thresholds_is_left_out_and_of_a_removed_line_is_not(site: Site) -> None:
    await site.until(START + HALF_MS + 3000)
    first = await site.take()
    site.config = site.config.model_copy(update={"lines": site.config.lines[:1], "operators": {}})
    again, _, left_out = await site.resend("interval")
    assert (again, left_out) == (first, {})
    site.config = site.config.model_copy(
        update={"intervals": site.config.intervals.model_copy(update={"answer_within_s": (7,)})}
    )
    assert await site.resend("interval") == ([], {}, {"interval": 3})


async def test_a_revision_made_while_it_is_sent_again_is_not_followed_by_the_older_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.until(START + HALF_MS + 3000)
    await site.take()
    until_there_is_room = resend_module._until_there_is_room

    async def meanwhile(outbox: Outbox, limit_bytes: int, next_ms: int) -> None:
        await until_there_is_room(outbox, limit_bytes, next_ms)
        await site.store.save([late("1", 5)])
        await site.until(START + HALF_MS + 9000)

    monkeypatch.setattr(resend_module, "_until_there_is_room", meanwhile)
    bodies, done, left_out = await site.resend("interval")
    assert sorted((str(body.get("line")), body["revision"]) for body in bodies) == [
        ("None", 2),
        ("sales", 1),
        ("support", 2),
    ]
    assert (done, left_out) == ({"interval": 1}, {"interval": 2})


async def test_one_sent_again_that_waits_is_replaced_by_the_next_revision(site: Site) -> None:
    await site.until(START + HALF_MS + 3000)
    await site.take()
    interval = {"interval": features.sources()["interval"]}
    await resend(site.config, site.store, ALL, interval, announce=site.durable.outgoing)
    await site.store.save([late("1", 5)])
    await site.until(START + HALF_MS + 9000)
    bodies = await site.take()
    assert sorted((str(body.get("line")), body["revision"]) for body in bodies) == [
        ("None", 2),
        ("sales", 1),
        ("support", 2),
    ]
    assert site.stand_in.site.counters.overtaken_intervals == 2


async def test_the_last_step_of_a_rating_is_sent_again_with_its_id(site: Site) -> None:
    ledger = RatingLedger(site.store.engine, "main", site.durable.outgoing)
    for number, line in enumerate(("support", "sales", "support")):
        rating = await ledger.open(
            call_id=f"{number}",
            mode=Mode.STAY,
            line=line,
            operator="101",
            number="+79031234567",
            client_masked="+7903***4567",
            client_ref="5f0c",
            at_ms=START + number,
        )
        assert rating is not None
    first = await ledger.find("0")
    assert first is not None
    await ledger.keep(first, at_ms=START + 10, score=4)
    told = await site.take()
    assert [(body["call_id"], body["state"]) for body in told] == [
        ("0", "asking"),
        ("1", "asking"),
        ("2", "asking"),
        ("0", "answered"),
    ]
    again, done, left_out = await site.resend()
    assert (again, done, left_out) == (told[1:], {"rating": 3}, {})
    again, _, _ = await site.resend(span=ResendSpan(START + 1, START + 10, "support"))
    assert again == [told[2]]
    assert "+79031234567" not in msgspec.json.encode(again).decode()


async def test_a_rating_whose_comment_was_forgotten_has_another_id_and_is_left_out(site: Site) -> None:
    ledger = RatingLedger(site.store.engine, "main", site.durable.outgoing)
    rating = await ledger.open(
        call_id="1", mode=Mode.STAY, line="support", operator="101", number=None, client_masked=None,
        client_ref=None, at_ms=START,
    )  # fmt: skip
    assert rating is not None
    async with writing(site.store.engine) as connection:
        changed = {"comment_file": "callsteward-rating-1", "comment_ms": 4200}
        await connection.execute(update(ratings).values(**changed))
    assert (await site.resend("rating"))[1:] == ({"rating": 1}, {})
    (kept,) = await ledger.kept_until(START + 1, limit=1)
    await ledger.comment_gone(kept)
    async with writing(site.store.engine) as connection:
        await connection.execute(update(ratings).values(comment_file=None))
    assert await site.resend("rating") == ([], {}, {"rating": 1})


async def test_complaints_are_sent_again_also_acknowledged_ones(site: Site) -> None:
    complaints = Complaints(site.store.engine, "main", site.durable.outgoing)
    for number in range(3):
        await complaints.raise_(
            call_id=f"9.{number}", line="support", operator="101", client_masked=None, client_ref=None,
            reason="low_rating", score=1, at_ms=START + number,
        )  # fmt: skip
    await complaints.acknowledge("9.1", by="anna", comment="", at_ms=START + 9)
    told = await site.take()
    again, done, _ = await site.resend("complaint", span=ResendSpan(START + 1, START + 3))
    assert (again, done) == (told[1:], {"complaint": 2})


async def test_all_kinds_go_in_the_order_they_were_made_each_line_s_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_module, "CHUNK", 3)
    complaints = Complaints(site.store.engine, "main")
    for number in range(4):
        await complaints.raise_(
            call_id=f"{number}", line="support", operator=None, client_masked=None, client_ref=None,
            reason="low_rating", score=1, at_ms=START + number * HALF_MS,
        )  # fmt: skip
    for slot in range(1, 4):
        await site.until(START + slot * HALF_MS + 3000)
    await site.take()
    again, done, _ = await site.resend()
    moments = [body["ts"] for body in again]
    assert moments == sorted(moments)
    assert done == {"complaint": 4, "interval": 9}


def _topic(body: Body) -> tuple[object, ...]:
    return body.get("line"), body.get("operator"), body["start"]
