"""Carries commands out, whichever door they came by.

A command that was carried out is remembered with its answer, and its effects are such as may be done
twice: a kill between the effect and the memory only makes the next try do nothing. Once its effect has
begun nobody takes a command back: an answer that cannot wait for it is `pending`, and never `failed`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from callsteward.ari import events as ari
from callsteward.callback.states import FINAL
from callsteward.clock import DAY_MS
from callsteward.commands.done import CommandsDone, digest
from callsteward.commands.rate import Rates
from callsteward.commands.reply import DETAILS, Reply, ReplyStatus
from callsteward.commands.request import (
    CallbackCommand,
    Command,
    ComplaintCommand,
    DncCommand,
    MalformedCommandError,
    StatusCommand,
    TagCommand,
    parse,
)
from callsteward.exceptions import StoreError
from callsteward.network.tally import RefusalTally
from callsteward.outgoing.words import Actor
from callsteward.record.call import Decision
from callsteward.record.tag import Source
from callsteward.stream.pump import LAG_MS
from callsteward.tags import late
from callsteward.tags.consequences import Consequences
from callsteward.tags.tagging import Tagging, ended_ms

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

# How long a command may take: the store may be busy, the stream has a queue.
PATIENCE_S = 10.0
# After that nobody waits for a command any more, whatever became of the stream.
GIVEN_UP_S = 86_400.0
# Commands on their way at a time: more come only where the store or the stream stands still.
ON_THE_WAY = 500
# Senders whose rate is kept.
SENDERS = 1_000
# What all senders by one way may send together, in rates of one.
ALL_SENDERS = 5

Later = Callable[[Reply], None]
"""Gets the final reply to a command whose first one was `pending`; does not wait."""


class AcknowledgesComplaints(Protocol):
    """Where complaints are kept; acknowledging one twice is done once. Raises StoreError."""

    async def acknowledge(self, call_id: str, *, by: str, comment: str, at_ms: int) -> bool:
        """Write down who has seen it; False where the call has no complaint."""
        ...


class GivesStatuses(Protocol):
    """Where operators' statuses are given. Raises StoreError; then nothing was done."""

    async def ask(self, operator: str, action: str, *, reason: str, by: str) -> tuple[str, str]:
        """Why it is refused, empty where it is not, and the result."""
        ...


class _Run:
    """A command on its way. `begun`: its effect may be there already, or come."""

    __slots__ = ("begun", "content", "task")

    def __init__(self, content: str) -> None:
        self.content = content
        self.begun = False
        self.task: asyncio.Task[Reply]


class Commands:
    """One for a daemon. `put` takes a frame into the stream, False where there is no room."""

    def __init__(
        self,
        config: Config,
        *,
        consequences: Consequences,
        tagging: Tagging,
        done: CommandsDone,
        put: Callable[[bytes], bool],
        now_ms: Callable[[], int],
        complaints: AcknowledgesComplaints | None = None,
        statuses: GivesStatuses | None = None,
        patience_s: float = PATIENCE_S,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._consequences = consequences
        self._tagging = tagging
        self._done = done
        self._put = put
        self._now_ms = now_ms
        self._complaints = complaints
        self._statuses = statuses
        self._patience_s = patience_s
        self._may_act = may_act
        self._rates = Rates(config.commands.per_minute, ALL_SENDERS, SENDERS)
        self._running: dict[str, _Run] = {}
        self._tally = RefusalTally(log)

    async def handle(
        self, name: str, body: bytes, source: Source, *, peer: str = "", later: Later | None = None
    ) -> Reply:
        """Carry a command out. Never raises for its content; the reply's `id` is empty if none could be read.

        `peer`: where it came from, for the log. If the reply is `pending`, `later` gets the final one.
        """
        try:
            command = parse(name, body)
        except MalformedCommandError as error:
            return self.refusal(name, error, source, peer)
        if not self._may_act():
            return self._reply(command.id, name, "failed", "stands_by")
        sender = f"{source.value} {command.by or peer}".strip()
        if not self._rates.take(source.value, sender, time.monotonic()):
            self._tally.note("command refused", "command_refused", kind="rate_limited", sender=sender)
            return self._reply(command.id, name, "refused", "rate_limited")
        content = digest(name, command)
        run = self._running.get(command.id)
        if run is None:
            if len(self._running) >= ON_THE_WAY:
                return self._reply(command.id, name, "failed", "not_in_time")
            run = self._start(name, command, source, content)
        elif run.content != content:
            return self._reply(command.id, name, "refused", "id_used")
        return await self._awaited(run, name, command.id, later)

    def refusal(self, name: str, error: MalformedCommandError, source: Source, peer: str = "") -> Reply:
        """The answer to what is no command. Costs next to nothing: it may come by the thousand."""
        self._tally.note(
            "command refused", "command_refused", kind=error.reason, sender=f"{source.value} {peer}".strip()
        )
        return self._reply(error.id, name, "refused", error.reason, str(error))

    def _start(self, name: str, command: Command, source: Source, content: str) -> _Run:
        run = self._running[command.id] = _Run(content)
        run.task = asyncio.create_task(self._carried_out(run, name, command, source), name="command")
        run.task.add_done_callback(lambda _: self._running.pop(command.id, None))
        return run

    async def _awaited(self, run: _Run, name: str, command_id: str, later: Later | None) -> Reply:
        await asyncio.wait({run.task}, timeout=self._patience_s)
        if not run.task.done() and not run.begun:
            # Nothing of it is there, and nothing will be.
            run.task.cancel()
            await asyncio.wait({run.task})
        if run.task.cancelled():
            return self._reply(command_id, name, "failed", "not_in_time")
        if run.task.done():
            return run.task.result()
        if later is not None:
            tell = later
            run.task.add_done_callback(lambda task: None if task.cancelled() else tell(task.result()))
        return self._reply(command_id, name, "pending", "in_progress")

    async def _carried_out(self, run: _Run, name: str, command: Command, source: Source) -> Reply:
        try:
            async with asyncio.timeout(GIVEN_UP_S):
                return await self._once(run, name, command, source)
        except TimeoutError:
            return self._reply(command.id, name, "failed", "not_in_time")
        except StoreError as error:
            self._tally.note(
                "a command waits for the store",
                "command_store",
                kind="store_failed",
                sender=source.value,
                error=str(error),
            )
            return self._reply(command.id, name, "failed", "store_failed")
        except Exception:
            log.exception("failed on a command: please report it", action="command_error", command=name)
            return self._reply(command.id, name, "failed", "internal")

    async def forget_old(self, now_ms: int) -> None:
        """Answers past `commands.remember_days`."""
        await self._done.forget(now_ms - self._config.commands.remember_days * DAY_MS)

    async def _once(self, run: _Run, name: str, command: Command, source: Source) -> Reply:
        known = await self._done.find(command.id)
        if known is not None:
            before, answer = known
            if before == run.content:
                return answer
            return self._reply(command.id, name, "refused", "id_used")
        run.begun = True
        match command:
            case TagCommand():
                reply = await self._tag(command, source)
            case DncCommand():
                reply = await self._dnc(command, source)
            case CallbackCommand():
                reply = await self._callback(command, source)
            case ComplaintCommand():
                reply = await self._complaint(command, source)
            case StatusCommand():
                reply = await self._status(command, source)
        if reply.status != "failed":
            await self._remember(run.content, reply)
        log.info(
            "command",
            action="command",
            command=name,
            id=reply.id,
            source=source.value,
            by=command.by,
            status=reply.status,
            reason=reply.reason,
            result=reply.result,
            call_id=reply.call_id,
        )
        return reply

    async def _remember(self, content: str, reply: Reply) -> None:
        """Keep the answer; where that fails it is true all the same, and the next try finds what was done."""
        try:
            await self._done.keep(content, reply, self._now_ms())
        except StoreError as error:
            log.warning("an answer is not remembered", action="command_unremembered", error=str(error))
        except Exception:
            log.exception("failed on an answer: please report it", action="command_unremembered")

    # --- each command --------------------------------------------------------------------------------

    async def _tag(self, command: TagCommand, source: Source) -> Reply:
        """Put into the stream, where a call that is on meets it in time and a replay finds it."""
        if not self._config.tags.enabled:
            return self._refused(command, "tag", "tags_off")
        token = uuid.uuid4().hex
        given = command.given
        event = ari.TagCommanded(
            timestamp=ari.timestamp(self._now_ms() - LAG_MS),
            call_id=command.call_id,
            tag=given.tag.value,
            value=given.value,
            by=command.by,
            source=source.value,
            command=token,
        )
        outcome = self._tagging.expect(token)
        if not self._put(msgspec.json.encode(event)):
            outcome.cancel()
            return self._reply(command.id, "tag", "failed", "not_in_time", call_id=command.call_id)
        fact = await outcome
        if fact.refused:
            return self._refused(command, "tag", fact.refused)
        return self._did(command, "tag", fact.result)

    async def _dnc(self, command: DncCommand, source: Source) -> Reply:
        number = command.number
        if command.call_id:
            number = await self._consequences.book.number(command.call_id)
            if not number:
                return self._refused(command, "dnc", "no_number")
        e164 = self._consequences.guard.read(number)
        if e164 is None:
            several = self._consequences.guard.ambiguous(number)
            return self._refused(command, "dnc", "ambiguous_number" if several else "not_a_number")
        async with self._consequences.lock:
            if command.action == "remove":
                removed = await self._consequences.permit(e164)
                return self._did(command, "dnc", "removed" if removed else "was_not_listed")
            added = await self._consequences.forbid(
                e164, by=_who(command, source), comment=command.comment, actor=Actor.INTEGRATION
            )
        return self._did(command, "dnc", "added" if added else "was_listed")

    async def _callback(self, command: CallbackCommand, source: Source) -> Reply:
        async with self._consequences.lock:
            if command.action == "cancel":
                return await self._cancel(command, source)
            return await self._request(command, source)

    async def _cancel(self, command: CallbackCommand, source: Source) -> Reply:
        callback = await self._consequences.find(command.call_id)
        if callback is None:
            return self._refused(command, "callback", "no_callback")
        if callback.state in FINAL:
            return self._refused(command, "callback", "callback_over", result=callback.state.value)
        evidence = f"{_who(command, source)}: {command.comment}" if command.comment else _who(command, source)
        cancelled = await self._consequences.cancel(
            callback, actor=Actor.INTEGRATION, reason="cancelled_by_command", evidence=evidence
        )
        if not cancelled:
            return self._refused(command, "callback", "callback_over", result=callback.state.value)
        return self._did(command, "callback", "cancelled")

    async def _request(self, command: CallbackCommand, source: Source) -> Reply:
        book = self._consequences.book
        record = await book.record(command.call_id)
        if record is None:
            return self._refused(command, "callback", "call_not_known")
        if self._now_ms() - ended_ms(record) > self._config.tags.late_s * 1000:
            return self._refused(command, "callback", "too_late")
        decision, decided_now = await self._consequences.call_back(
            record,
            late.requested(record),
            await book.number(command.call_id),
            f"asked for by {_who(command, source)}",
        )
        if not decided_now:
            callback = await self._consequences.find(command.call_id)
            state = None if callback is None else callback.state.value
            return self._refused(command, "callback", "callback_decided", result=state)
        if decision.decision is Decision.DUE:
            return self._did(command, "callback", "callback_due")
        return self._refused(command, "callback", decision.reason)

    async def _complaint(self, command: ComplaintCommand, source: Source) -> Reply:
        if self._complaints is None:
            return self._refused(command, "complaint", "complaints_off")
        known = await self._complaints.acknowledge(
            command.call_id, by=_who(command, source), comment=command.comment, at_ms=self._now_ms()
        )
        if not known:
            return self._refused(command, "complaint", "no_complaint")
        return self._did(command, "complaint", "acknowledged")

    async def _status(self, command: StatusCommand, source: Source) -> Reply:
        if self._statuses is None:
            return self._refused(command, "status", "statuses_off")
        refused, result = await self._statuses.ask(
            command.operator, command.action, reason=command.reason, by=_who(command, source)
        )
        return self._refused(command, "status", refused) if refused else self._did(command, "status", result)

    # --- answers ---------------------------------------------------------------------------------------

    def _did(self, command: Command, name: str, result: str) -> Reply:
        return self._reply(command.id, name, "done", "", "", result=result, call_id=command.call_id or None)

    def _refused(self, command: Command, name: str, reason: str, *, result: str | None = None) -> Reply:
        return self._reply(
            command.id, name, "refused", reason, result=result, call_id=command.call_id or None
        )

    def _reply(
        self,
        command_id: str,
        name: str,
        status: ReplyStatus,
        reason: str,
        detail: str | None = None,
        *,
        result: str | None = None,
        call_id: str | None = None,
    ) -> Reply:
        return Reply(
            id=command_id,
            command=name,
            status=status,
            reason=reason,
            detail=DETAILS.get(reason, "") if detail is None else detail,
            at=ari.timestamp(self._now_ms()).replace("+0000", "Z"),
            result=result,
            call_id=call_id,
        )


def _who(command: Command, source: Source) -> str:
    return f"{command.by or 'nobody named'} ({source.value})"
