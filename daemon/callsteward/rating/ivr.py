"""The IVR: carries out what the menu says, on the channels of the application `callsteward-ivr`.

The only part of callsteward that owns channels, on a websocket of its own. Each client has a task that takes
events from a queue and does what `menu.Menu` answers; the reader only distributes them. Whatever goes wrong,
the client goes on in the dialplan, which thanks and hangs up. If this process dies, the guard in the dialplan
(dialplan/callsteward-rating.conf) sends the client on as soon as CALLSTEWARD_BEAT stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

import aiohttp
import structlog

from callsteward.ari.dial import dial
from callsteward.ari.rest import Rest
from callsteward.config import Config
from callsteward.exceptions import AriError, MalformedEventError, StoreError
from callsteward.network.backoff import Backoff
from callsteward.network.waiting import cancelled
from callsteward.rating import ivr_events as ari
from callsteward.rating.decisions import RatingDecisions
from callsteward.rating.menu import (
    Act,
    CommentOver,
    Digit,
    End,
    Gone,
    Happened,
    Hush,
    Keep,
    Leave,
    Menu,
    Play,
    PromptOver,
    Record,
    TimeOver,
    Wait,
)
from callsteward.rating.states import RatingRow
from callsteward.record.call import Direction
from callsteward.record.rating_id import guard_id

log = structlog.get_logger(__name__)

GUARD = "callsteward-rating-guard"
BEAT = "CALLSTEWARD_BEAT"
# The guard waits two seconds for a beat.
BEAT_EVERY_S = 0.5
# How long the menu waits for the tracker's hand-over of the call: it comes over another socket.
ARRIVAL_S = 1.5
# No client stays in the menu longer than this, whatever happens; the time of a comment comes on top.
MENU_LIMIT_S = 120
COMMENT_SILENCE_S = 4
FAILED_AFTER_S = 0.3
# A part of the 5 s in which the daemon has to stop.
SEND_ON_S = 0.5
_UNNEEDED = (
    "ChannelVarset",
    "ChannelDialplan",
    "ChannelCallerId",
    "ChannelConnectedLine",
    "ChannelTalkingStarted",
    "ChannelTalkingFinished",
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?\Z")


class _Client:
    """One channel in the menu."""

    def __init__(self, channel: ari.MenuChannel, language: str) -> None:
        self.channel = channel
        self.language = language
        self.happened: asyncio.Queue[Happened] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        return f"channels/{quote(self.channel.id, safe='')}"


class Ivr:
    """Works until cancelled; on cancellation every client in the menu is sent on to be thanked."""

    def __init__(
        self,
        config: Config,
        *,
        session: aiohttp.ClientSession,
        rest: Rest,
        decisions: RatingDecisions,
        backoff: Backoff | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._settings = config.rating
        self._session = session
        self._rest = rest
        self._decisions = decisions
        self._backoff = backoff or Backoff(limit_s=2.0)
        self._may_act = may_act
        self._clients: dict[str, _Client] = {}
        self._playbacks: dict[str, tuple[_Client, int]] = {}
        self._recordings: dict[str, _Client] = {}
        self._beaten = asyncio.Event()

    async def run(self) -> None:
        """Keep the application registered until cancelled."""
        beating = asyncio.create_task(self._beat(), name="ivr-beat")
        try:
            while True:
                try:
                    why = await self._connection()
                except AriError as error:
                    why = str(error)
                except StoreError as error:
                    why = f"the store failed: {error}"
                delay = self._backoff.next_s()
                log.warning("no rating menu", action="ivr_disconnected", why=why, retry_s=round(delay, 1))
                await asyncio.sleep(delay)
        finally:
            await self._send_on()
            await cancelled(beating)

    async def _connection(self) -> str:
        if not self._may_act():
            # It would take the application from the daemon that acts.
            return "this daemon does not act for its site"
        # Before the socket opens: clients who come in later are ours, not an earlier process's.
        await self._take_over()
        socket = await dial(self._session, self._config.asterisk, self._settings.app)
        try:
            await self._rest.set_event_filter(self._settings.app, _UNNEEDED)
            self._backoff.reset()
            log.info("the rating menu is open", action="ivr_connected", app=self._settings.app)
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and not self._hand_out(message.data):
                    return "another process took this ARI application"
            return f"closed with code {socket.close_code}"
        finally:
            # Keys that are pressed now are not heard.
            await self._send_on()
            await socket.close()

    async def _take_over(self) -> None:
        """Send on the clients whom an earlier process left in the menu, and end their ratings."""
        application = await self._rest.application(self._settings.app)
        for channel in application.channel_ids if application is not None else ():
            if channel not in self._clients:
                await self._continue(f"channels/{quote(channel, safe='')}")
        await self._decisions.end_interrupted()

    async def _send_on(self) -> None:
        tasks = [client.task for client in self._clients.values() if client.task is not None]
        for client in self._clients.values():
            client.happened.put_nowait(Gone(interrupted=True))
        if tasks:
            await asyncio.wait(tasks, timeout=SEND_ON_S)

    # --- events ---------------------------------------------------------------------------------------

    def _hand_out(self, frame: str) -> bool:
        """Give an event to its client. False if another process has taken the application."""
        try:
            event = ari.decode(frame)
        except MalformedEventError as error:
            log.warning("malformed frame", action="event_malformed", error=str(error))
            return True
        match event:
            case ari.StasisStart():
                self._begin(event)
            case ari.StasisEnd():
                self._tell(event.channel, Gone(interrupted=True))
            case ari.MenuHangupRequest():
                self._tell(event.channel, Gone(interrupted=event.soft))
            case ari.ChannelDtmfReceived():
                self._tell(event.channel, Digit(event.digit))
            case ari.PlaybackFinished():
                found = self._playbacks.pop(event.playback.id, None)
                if found is not None:
                    self._prompt_over(*found, failed=event.playback.state == "failed")
            case ari.RecordingFinished() | ari.RecordingFailed():
                recorded = self._recordings.pop(event.recording.name, None)
                if recorded is not None:
                    finished = isinstance(event, ari.RecordingFinished)
                    seconds = float(event.recording.duration or 0) if finished else None
                    recorded.happened.put_nowait(CommentOver(seconds))
            case ari.ApplicationReplaced():
                return False
            case None:
                pass
        return True

    def _prompt_over(self, client: _Client, number: int, *, failed: bool) -> None:
        over = PromptOver(number, failed)
        if failed:
            # The prompt of a client who hangs up fails, too; the event about the hang-up comes after it.
            asyncio.get_running_loop().call_later(FAILED_AFTER_S, client.happened.put_nowait, over)
        else:
            client.happened.put_nowait(over)

    def _tell(self, channel: ari.MenuChannel, happened: Happened) -> None:
        client = self._clients.get(channel.id)
        if client is not None:
            client.happened.put_nowait(happened)

    def _begin(self, event: ari.StasisStart) -> None:
        wanted = event.args[1] if len(event.args) > 1 else ""
        client = _Client(event.channel, wanted if _LANGUAGE.match(wanted) else "")
        self._clients[client.channel.id] = client
        client.task = asyncio.create_task(self._serve(client), name=f"rating {client.channel.id}")
        self._beaten.set()

    # --- one client -----------------------------------------------------------------------------------

    async def _serve(self, client: _Client) -> None:
        """One client, from coming into the menu to leaving it."""
        rating: RatingRow | None = None
        try:
            found = await self._decisions.arrival(client.channel.id, ARRIVAL_S)
            if found is None:
                log.warning("a client whose call nobody saw", action="rating_unknown")
            else:
                admitted = await self._decisions.admit(found)
                if isinstance(admitted, RatingRow):
                    rating = admitted
                    await self._prepare(client, rating)
                    called = found.direction is Direction.RATING
                    await self._ask(client, rating, called=called)
                    return
                log.info("not asked for a rating", action="rating_refused", why=admitted, line=found.line)
            await self._continue(client.path)
        except (AriError, StoreError) as error:
            log.error("the rating was broken off", action="rating_broken_off", error=str(error))  # noqa: TRY400
            with contextlib.suppress(StoreError):
                if rating is not None:
                    await self._decisions.unanswered(rating, "interrupted")
            await self._continue(client.path)
        except Exception:
            # The client comes first: writing a traceback takes time.
            await self._continue(client.path)
            log.exception("the rating menu failed: please report it", action="rating_error")
        finally:
            if rating is not None:
                self._decisions.menu_over(rating)
            self._forget(client)

    async def _prepare(self, client: _Client, rating: RatingRow) -> None:
        """Start the guard, then lift the dialplan's own short time limit."""
        line = self._config.line(rating.line)
        client.language = client.language or line.language or self._settings.language
        await self._rest.originate(
            {
                "endpoint": f"Local/s@{GUARD}/n",
                "context": GUARD,
                "extension": "s",
                "priority": "999",
                "timeout": "600",
                "channelId": guard_id(client.channel.id),
            },
            # No CDR for this half; the dialplan switches it off for the far half. The guard is no call.
            {"CS_CLIENT": client.channel.name, "CDR_PROP(disable)": "1"},
        )
        limit_s = MENU_LIMIT_S + self._settings.comment_max_s
        for name, value in (("TIMEOUT(absolute)", str(limit_s)), ("CHANNEL(language)", client.language)):
            await self._rest.send("POST", f"{client.path}/variable", {"variable": name, "value": value})

    async def _ask(self, client: _Client, rating: RatingRow, *, called: bool) -> None:
        profile = self._config.profile(rating.line)
        menu = Menu(question=profile.rating_question, comment=profile.rating_comment, called=called)
        acts = menu.begin()
        while True:
            for act in acts:
                await self._do(client, rating, act)
            if menu.over:
                return
            acts = menu.step(await client.happened.get())

    async def _do(self, client: _Client, rating: RatingRow, act: Act) -> None:
        match act:
            case Play(prompts, number):
                await self._play(client, prompts, number)
            case Hush(number):
                name = _playback(client, number)
                self._playbacks.pop(name, None)
                await self._rest.send("DELETE", f"playbacks/{quote(name, safe='')}")
            case Wait(number):
                loop = asyncio.get_running_loop()
                loop.call_later(self._settings.answer_s, client.happened.put_nowait, TimeOver(number))
            case Record():
                await self._record(client, rating)
            case Keep(score=int(score)):
                await self._decisions.keep(rating, score=score)
            case Keep():
                seconds = act.comment_s
                await self._decisions.add(
                    rating,
                    question=act.question,
                    comment_file=None if seconds is None else _recording(rating),
                    comment_ms=None if seconds is None else int(seconds * 1000),
                )
            case Leave(why):
                if why is not End.ANSWERED:
                    await self._decisions.unanswered(rating, why.value)
                # Even if the client seems gone: perhaps only the socket is.
                await self._continue(client.path)

    async def _play(self, client: _Client, prompts: tuple[str, ...], number: int) -> None:
        name = _playback(client, number)
        self._playbacks[name] = (client, number)
        media = ",".join(f"sound:{self._settings.prompts_dir}/{prompt}" for prompt in prompts)
        path = f"{client.path}/play/{quote(name, safe='')}"
        there = await self._rest.send("POST", path, {"media": media, "lang": client.language})
        if not there:
            client.happened.put_nowait(Gone())

    async def _record(self, client: _Client, rating: RatingRow) -> None:
        name = _recording(rating)
        self._recordings[name] = client
        query = {
            "name": name,
            "format": "wav",
            "maxDurationSeconds": str(self._settings.comment_max_s),
            "maxSilenceSeconds": str(COMMENT_SILENCE_S),
            "ifExists": "overwrite",
            "beep": "true",
            "terminateOn": "#",
        }
        try:
            there = await self._rest.send("POST", f"{client.path}/record", query)
        except AriError as error:
            log.error(  # noqa: TRY400
                "no comment can be recorded: Asterisk needs a folder `recording` in its spool folder,"
                " such as /var/spool/asterisk/recording, that it may write to",
                action="rating_record",
                error=str(error),
            )
            client.happened.put_nowait(CommentOver())
        else:
            if not there:
                client.happened.put_nowait(Gone())

    async def _continue(self, path: str) -> None:
        """Send the client, if still there, on to the dialplan, which thanks and hangs up."""
        try:
            await self._rest.send("POST", f"{path}/continue")
        except AriError as error:
            # 409: the channel is leaving the menu already. In any other case the guard sends it on once the
            # beat stops.
            log.info("a client was not sent on", action="rating_continue", error=str(error))

    def _forget(self, client: _Client) -> None:
        self._clients.pop(client.channel.id, None)
        for name in [name for name, (owner, _) in self._playbacks.items() if owner is client]:
            del self._playbacks[name]
        for name in [name for name, owner in self._recordings.items() if owner is client]:
            del self._recordings[name]

    async def _beat(self) -> None:
        """Set the beat, which shows that this process lives, while any client is in the menu."""
        boot = uuid.uuid4().hex[:8]
        while True:
            if not self._clients:
                self._beaten.clear()
                await self._beaten.wait()
            value = f"{boot}-{time.monotonic_ns() // 1_000_000}"
            try:
                await self._rest.send("POST", "asterisk/variable", {"variable": BEAT, "value": value})
            except AriError as error:
                log.warning("the beat was not taken", action="ivr_beat", error=str(error))
            await asyncio.sleep(BEAT_EVERY_S)


def _playback(client: _Client, number: int) -> str:
    return f"callsteward-rt-{client.channel.id}-{number}"


def _recording(rating: RatingRow) -> str:
    """The comment's name in Asterisk, which keeps it under its spool folder in `recording`."""
    return f"callsteward-rating-{rating.id}"
