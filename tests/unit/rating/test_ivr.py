"""The IVR against a stand-in for ARI: whatever goes wrong, the client is sent on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web

from callsteward.ari.rest import HttpTransport, Rest
from callsteward.config import Asterisk, Config, Line, RatingSettings
from callsteward.config.profile import Profile
from callsteward.exceptions import StoreError
from callsteward.network.backoff import Backoff
from callsteward.rating.feature import RatingFeature
from callsteward.rating.ivr import Ivr
from callsteward.rating.ivr_events import decode
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.part import RatingPart
from callsteward.rating.states import RatingState
from callsteward.record.call import Direction
from callsteward.store.records import Store
from callsteward.testing import StandIn
from tests.unit.rating.test_decisions import came

NOW = 1_795_348_800_000
CHANNEL = "1.1"
DISK_FULL = StoreError("disk full")


class Asking:
    """Asterisk's side: the requests that it got, and its events."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.refused: dict[str, int] = {}
        self.left_over: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.connected = asyncio.Event()
        self.handshake = 0
        self.at_once = False

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self.handshake:
            return web.Response(status=self.handshake)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        if self.at_once:
            self.left_over = [CHANNEL]
            await self.enters()
        async for _ in socket:
            pass
        return socket

    async def rest(self, request: web.Request) -> web.Response:
        path = unquote(request.path.removeprefix("/ari/"))
        body = await request.json() if request.can_read_body else None
        if path != "asterisk/variable":
            self.asked.append((request.method, path, dict(request.query), body))
        status = next((code for part, code in self.refused.items() if part in path), 0)
        if status:
            return web.json_response({"message": "no"}, status=status)
        if path.endswith("/eventFilter"):
            self.connected.set()
        if path.startswith("applications/") and request.method == "GET":
            return web.json_response({"name": "callsteward-ivr", "channel_ids": self.left_over})
        if path == "channels":
            return web.json_response({"id": "guard", "name": "Local/x"})
        return web.json_response({})

    async def say(self, kind: str, **fields: Any) -> None:
        await self.sockets[-1].send_str(json.dumps({"type": kind, "timestamp": "", **fields}))

    async def enters(self, *args: str, channel: str = CHANNEL) -> None:
        await self.say(
            "StasisStart", channel={"id": channel, "name": "PJSIP/trunk-1"}, args=["rating", *args]
        )

    async def presses(self, digit: str) -> None:
        await self.say("ChannelDtmfReceived", channel={"id": CHANNEL, "name": "x"}, digit=digit)

    async def prompt_ends(self, number: int, state: str = "done") -> None:
        await self.say(
            "PlaybackFinished", playback={"id": f"callsteward-rt-{CHANNEL}-{number}", "state": state}
        )

    def paths(self, method: str, part: str) -> list[str]:
        return [path for verb, path, _, _ in self.asked if verb == method and part in path]

    @property
    def plays(self) -> list[dict[str, str]]:
        return [query for _, path, query, _ in self.asked if "/play/" in path]

    @property
    def sent_on(self) -> list[str]:
        return self.paths("POST", "/continue")


class House:
    """An IVR with real tables and this Asterisk."""

    def __init__(self, store: Store, session: aiohttp.ClientSession, port: int, asking: Asking) -> None:
        self.store = store
        self.session = session
        self.url = f"http://127.0.0.1:{port}"
        self.asterisk = asking
        self.ledger = RatingLedger(store.engine, "main")
        self.told: list[object] = []
        self.task: asyncio.Task[None] | None = None
        self.open()

    def open(self, *, language: str | None = None, answer_s: float = 2, **profile: Any) -> None:
        config = Config(
            asterisk=Asterisk(url=self.url),
            lines=(Line(name="support", language=language),),
            profiles={"standard": Profile.model_validate({"rating": "stay", "greeting_s": 1, **profile})},
            rating=RatingSettings(enabled=True, answer_s=answer_s),
        )
        there = StandIn(self.store, config, [RatingFeature()], now_ms=lambda: NOW, session=self.session)
        there.told = self.told
        self.decisions = there.part(RatingPart).decisions
        self.ivr = Ivr(
            config,
            session=self.session,
            rest=Rest(HttpTransport(self.session, config.asterisk)),
            decisions=self.decisions,
            backoff=Backoff(0.01, 0.02),
        )

    async def start(self, **settings: Any) -> None:
        if settings:
            self.open(**settings)
        self.task = asyncio.create_task(self.ivr.run())
        await asyncio.wait_for(self.asterisk.connected.wait(), 60)
        await until(lambda: bool(self.asterisk.sockets))

    async def enters(self, *args: str, **changes: Any) -> None:
        await self.decisions.judge([came(CHANNEL, **changes)])
        await self.asterisk.enters(*args)

    async def state(self) -> tuple[RatingState, str]:
        rating = await self.ledger.of_call(CHANNEL)
        assert rating is not None
        return rating.state, rating.reason


async def until(happened: Callable[[], bool], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not happened():  # noqa: ASYNC110 - what is waited for are lists
            await asyncio.sleep(0.005)


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    asking = Asking()
    app = web.Application()
    app.router.add_get("/ari/events", asking.events)
    app.router.add_route("*", "/ari/{path:.*}", asking.rest)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        house = House(store, session, port, asking)
        yield house
        if house.task is not None:
            house.task.cancel()
            await asyncio.wait({house.task})
    await runner.cleanup()


async def test_a_client_is_asked_under_guard_and_sent_on_with_their_score(house: House) -> None:
    await house.start(language="en")
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    folder = "/var/lib/callsteward/prompts"
    (play,) = house.asterisk.plays
    assert play == {"media": f"sound:{folder}/greeting,sound:{folder}/ask", "lang": "en"}
    asked = [(method, path) for method, path, _, _ in house.asterisk.asked]
    # The guard is there before the first prompt.
    guard = asked.index(("POST", "channels"))
    assert guard < asked.index(("POST", f"channels/{CHANNEL}/play/callsteward-rt-{CHANNEL}-1"))
    assert house.asterisk.asked[guard][2]["endpoint"] == "Local/s@callsteward-rating-guard/n"
    assert house.asterisk.asked[guard][3] == {
        "variables": {"CS_CLIENT": "PJSIP/trunk-1", "CDR_PROP(disable)": "1"}
    }
    variables = [query for _, path, query, _ in house.asterisk.asked if path.endswith("/variable")]
    assert {"variable": "CHANNEL(language)", "value": "en"} in variables
    await house.asterisk.presses("5")
    await until(lambda: bool(house.asterisk.sent_on))
    assert house.asterisk.paths("DELETE", "playbacks/") == [f"playbacks/callsteward-rt-{CHANNEL}-1"]
    assert await house.state() == (RatingState.ANSWERED, "")


@pytest.mark.parametrize(
    ("args", "language"), [(("en_US", ""), "en_US"), (("", ""), "ru"), (("../etc",), "ru"), ((), "ru")]
)
async def test_the_channel_may_say_its_language(house: House, args: tuple[str, ...], language: str) -> None:
    await house.start()
    await house.enters(*args)
    await until(lambda: bool(house.asterisk.plays))
    assert house.asterisk.plays[0]["lang"] == language


async def test_silence_to_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.start()
    monkeypatch.setattr(house.ivr, "_settings", house.ivr._settings.model_copy(update={"answer_s": 0.02}))
    await house.enters()
    for number in (1, 2):
        await until(lambda number=number: len(house.asterisk.plays) == number)  # type: ignore[misc]
        await house.asterisk.prompt_ends(number)
    await until(lambda: bool(house.asterisk.sent_on))
    assert await house.state() == (RatingState.UNANSWERED, "silence")


async def test_a_client_who_is_not_asked_hears_only_the_farewell(house: House) -> None:
    await house.start()
    await house.enters(direction=Direction.INTERNAL)
    await until(lambda: bool(house.asterisk.sent_on))
    assert house.asterisk.plays == []
    assert await house.ledger.of_call(CHANNEL) is None


async def test_a_client_whose_call_nobody_saw_is_sent_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsteward.rating.ivr.ARRIVAL_S", 0.02)
    await house.start()
    await house.asterisk.enters()
    await until(lambda: bool(house.asterisk.sent_on))
    assert house.asterisk.plays == []


async def test_without_a_guard_nobody_is_asked(house: House) -> None:
    house.asterisk.refused = {"channels/1.1/variable": 500}
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.sent_on))
    assert house.asterisk.plays == []
    assert await house.state() == (RatingState.UNANSWERED, "interrupted")


async def test_a_prompt_that_is_missing_ends_the_menu(house: House) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    await house.asterisk.prompt_ends(1, "failed")
    await until(lambda: bool(house.asterisk.sent_on))
    assert await house.state() == (RatingState.UNANSWERED, "prompt_failed")


async def test_a_prompt_that_ends_under_a_client_who_goes_is_not_missing(house: House) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    await house.asterisk.prompt_ends(1, "failed")
    await house.asterisk.say("StasisEnd", channel={"id": CHANNEL, "name": "x"})
    await until(lambda: bool(house.asterisk.sent_on))
    assert await house.state() == (RatingState.UNANSWERED, "interrupted")


@pytest.mark.parametrize(("status", "reason"), [(404, "hung_up"), (500, "interrupted")])
async def test_a_play_that_asterisk_refuses(house: House, status: int, reason: str) -> None:
    house.asterisk.refused = {"/play/": status}
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.sent_on))
    assert await house.state() == (RatingState.UNANSWERED, reason)


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("ChannelHangupRequest", {}, "hung_up"),
        ("ChannelHangupRequest", {"soft": True, "cause": 2}, "interrupted"),
        ("StasisEnd", {}, "interrupted"),
    ],
)
async def test_a_client_who_is_gone(house: House, kind: str, fields: dict[str, Any], reason: str) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    await house.asterisk.say(kind, channel={"id": CHANNEL, "name": "x"}, **fields)
    await until(lambda: bool(house.asterisk.sent_on))
    assert await house.state() == (RatingState.UNANSWERED, reason)


async def test_a_store_that_fails_leaves_nobody_in_silence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))

    async def keep(*_: Any, **__: Any) -> None:
        raise DISK_FULL

    monkeypatch.setattr(house.decisions, "keep", keep)
    await house.asterisk.presses("5")
    await until(lambda: bool(house.asterisk.sent_on))


async def test_a_fault_of_our_own_leaves_nobody_in_silence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()

    async def admit(_client: Any) -> None:
        message = "a fault"
        raise RuntimeError(message)

    monkeypatch.setattr(house.decisions, "admit", admit)
    await house.enters()
    await until(lambda: bool(house.asterisk.sent_on))


async def test_the_comment_is_recorded_under_the_calls_name(house: House) -> None:
    await house.start(rating_comment=True)
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    await house.asterisk.presses("4")
    await until(lambda: len(house.asterisk.plays) == 2)
    await house.asterisk.prompt_ends(2)
    await until(lambda: bool(house.asterisk.paths("POST", "/record")))
    (query,) = [query for _, path, query, _ in house.asterisk.asked if path.endswith("/record")]
    assert query["name"] == f"callsteward-rating-{CHANNEL}"
    assert (query["maxDurationSeconds"], query["terminateOn"], query["format"]) == ("60", "#", "wav")
    await house.asterisk.say(
        "RecordingFinished", recording={"name": query["name"], "duration": 7, "target_uri": "channel:1.1"}
    )
    await until(lambda: bool(house.asterisk.sent_on))
    rating = await house.ledger.of_call(CHANNEL)
    assert rating is not None
    assert (rating.score, rating.comment_file, rating.comment_ms) == (4, query["name"], 7000)


@pytest.mark.parametrize("refused", [404, 500, 0])
async def test_a_comment_that_fails_keeps_the_score(house: House, refused: int) -> None:
    if refused:
        house.asterisk.refused = {"/record": refused}
    await house.start(rating_comment=True)
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    await house.asterisk.presses("4")
    await until(lambda: len(house.asterisk.plays) == 2)
    await house.asterisk.prompt_ends(2)
    await until(lambda: bool(house.asterisk.paths("POST", "/record")))
    await house.asterisk.say("RecordingFailed", recording={"name": f"callsteward-rating-{CHANNEL}"})
    await until(lambda: bool(house.asterisk.sent_on))
    rating = await house.ledger.of_call(CHANNEL)
    assert rating is not None
    assert (rating.score, rating.comment_file) == (4, None)


async def test_a_socket_that_is_lost_sends_everybody_on_and_comes_back(house: House) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    house.asterisk.left_over = [CHANNEL, "9.9"]
    await house.asterisk.sockets[0].close()
    await until(lambda: f"channels/{CHANNEL}/continue" in house.asterisk.sent_on)
    assert await house.state() == (RatingState.UNANSWERED, "interrupted")
    # Clients who were left in the menu, by this process or an earlier one.
    await until(lambda: "channels/9.9/continue" in house.asterisk.sent_on)
    await until(lambda: len(house.asterisk.sockets) == 2)


async def test_a_client_who_comes_in_with_the_connection_is_not_sent_on_as_left_over(house: House) -> None:
    house.asterisk.at_once = True
    await house.decisions.judge([came(CHANNEL)])
    await house.start()
    await until(lambda: bool(house.asterisk.plays))
    assert house.asterisk.sent_on == []


async def test_a_daemon_that_stops_sends_everybody_on(house: House) -> None:
    await house.start()
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))
    assert house.task is not None
    house.task.cancel()
    await asyncio.wait({house.task})
    assert house.asterisk.sent_on == [f"channels/{CHANNEL}/continue"]
    assert await house.state() == (RatingState.UNANSWERED, "interrupted")


async def test_another_process_that_takes_the_application_is_noticed(house: House) -> None:
    await house.start()
    await house.asterisk.say("ApplicationReplaced", application="callsteward-ivr")
    await until(lambda: len(house.asterisk.sockets) == 2)


@pytest.mark.parametrize("status", [401, 500])
async def test_an_asterisk_that_refuses_is_tried_again(house: House, status: int) -> None:
    house.asterisk.handshake = status
    house.task = asyncio.create_task(house.ivr.run())
    await asyncio.sleep(0.1)
    assert not house.task.done()
    house.asterisk.handshake = 0
    await asyncio.wait_for(house.asterisk.connected.wait(), 60)


async def test_frames_that_are_nothing_to_us_change_nothing(house: House) -> None:
    await house.start()
    socket = house.asterisk.sockets[-1]
    for frame in ("not json", '{"type":"SomethingNew"}', '{"type":"StasisStart"}', '{"no":"type"}'):
        await socket.send_str(frame)
    await house.asterisk.presses("5")
    await house.asterisk.prompt_ends(7)
    await house.asterisk.say("RecordingFinished", recording={"name": "another's"})
    await house.enters()
    await until(lambda: bool(house.asterisk.plays))


async def test_the_beat_goes_on_while_somebody_is_in_the_menu(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsteward.rating.ivr.BEAT_EVERY_S", 0.01)
    beats: list[str] = []
    real = Rest.send

    async def send(self: Rest, method: str, path: str, query: Any = None, body: Any = None) -> bool:
        if path == "asterisk/variable":
            assert query["variable"] == "CALLSTEWARD_BEAT"
            beats.append(query["value"])
        return await real(self, method, path, query, body)

    monkeypatch.setattr(Rest, "send", send)
    await house.start()
    await asyncio.sleep(0.05)
    assert beats == []
    house.asterisk.refused = {"asterisk/variable": 500}
    await house.enters()
    await until(lambda: len(set(beats)) > 3)
    await house.asterisk.presses("5")
    await until(lambda: bool(house.asterisk.sent_on))


def test_an_unused_event_decodes_to_none() -> None:
    assert decode('{"type":"ChannelVarset"}') is None
