"""Calls written in the words of the field, as the events a real Asterisk 22 sends for them.

The order of events is that of the recordings in `tests/replay`. A test sets what happens and when, and
reads the records. Seconds are counted from NOON; the stream's own clock is moved by whatever takes time
(`answer(after=2)`, `speak(op, 3)`, `wait(1)`) or put somewhere by `at(12.5)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config, Privacy
from callsteward.record.call import CallRecord, RuleCheck, encode
from callsteward.record.facts import Alert, CallEnded, CallHappened, Fact, Happening

NOON = 1_795_348_800_000
CLIENT = "79031234567"
OTHER_CLIENT = "79000000001"
THIRD_PARTY = "79000000020"
DETECTOR_S = 0.5


def config(**sections: Any) -> Config:
    """A configuration with a key for client_ref and the given sections."""
    return Config(**({"privacy": Privacy(hmac_key=SecretStr("key"))} | sections))


def at(second: float) -> str:
    """The moment that many seconds after NOON as a record writes it."""
    stamp = events.timestamp(NOON + round(second * 1000))
    return stamp.replace("+0000", "Z")


def rule(record: CallRecord, name: str) -> RuleCheck:
    return next(check for check in record.standard if check.rule == name)


def alerts(facts: Sequence[Fact]) -> list[tuple[str, float, str | None]]:
    """The alerts among facts: rule, second after NOON, operator."""
    return [
        (fact.rule, (fact.at_ms - NOON) / 1000, fact.operator) for fact in facts if isinstance(fact, Alert)
    ]


def happenings(facts: Sequence[Fact], *kinds: Happening) -> list[CallHappened]:
    return [fact for fact in facts if isinstance(fact, CallHappened) and (not kinds or fact.event in kinds)]


def ended(facts: Sequence[Fact]) -> list[CallRecord]:
    return [fact.record for fact in facts if isinstance(fact, CallEnded)]


@dataclass
class Room:
    """A bridge."""

    id: str
    holding: bool = False
    members: list[Phone] = field(default_factory=list)


@dataclass(eq=False)
class Phone:
    """A channel."""

    id: str
    name: str
    state: str
    number: str
    created_ms: int
    linkedid: str
    context: str
    exten: str
    app: tuple[str, str] = ("", "")
    dialled_by: Phone | None = None
    other_half: Phone | None = None
    room: Room | None = None
    source: str = ""
    gone: bool = False
    status: str | None = None


class Stream:
    """A recording under construction."""

    def __init__(self, *, channelvars: bool = True) -> None:
        self.ms = NOON
        self._channelvars = channelvars
        self._frames: list[tuple[int, dict[str, Any]]] = []
        self._serial = 0
        self._locals = 0
        self.phones: list[Phone] = []
        self.rooms: list[Room] = []

    # --- time and output ---------------------------------------------------------------------------

    def at(self, second: float) -> None:
        self.ms = NOON + round(second * 1000)

    def wait(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)

    def frames(self) -> list[bytes]:
        """One ARI event per item, as Asterisk sends them."""
        return [json.dumps(frame).encode() for _, frame in sorted(self._frames, key=lambda item: item[0])]

    def play(self, tracker: Tracker) -> list[Fact]:
        """The facts of all events so far, which are then forgotten: the test goes on from here."""
        facts: list[Fact] = []
        for frame in self.frames():
            event = events.decode(frame)
            assert event is not None
            facts.extend(tracker.handle(event))
        self._frames.clear()
        return facts

    def facts(self, settings: Config | None = None) -> list[Fact]:
        return self.play(Tracker(settings or config()))

    def records(self, settings: Config | None = None) -> list[CallRecord]:
        """The records in order of ending. Every call must have ended by itself."""
        tracker = Tracker(settings or config())
        records = ended(self.play(tracker))
        assert tracker.open_calls == 0
        return records

    def record(self, settings: Config | None = None) -> CallRecord:
        records = self.records(settings)
        assert len(records) == 1
        return records[0]

    # --- channels ------------------------------------------------------------------------------------

    def _phone(self, endpoint: str, state: str, **fields: Any) -> Phone:
        serial = self._serial
        self._serial += 1
        channel_id = fields.pop("channel_id", f"{self.ms // 1000}.{serial}")
        dialled_by = fields.get("dialled_by")
        phone = Phone(
            id=channel_id,
            name=fields.pop("name", f"{endpoint}-{serial:08x}"),
            state=state,
            created_ms=self.ms,
            linkedid=dialled_by.linkedid if dialled_by is not None else channel_id,
            **fields,
        )
        self.phones.append(phone)
        self._emit("ChannelCreated", channel=phone)
        return phone

    def incoming(
        self,
        trunk: str = "trunk",
        number: str = CLIENT,
        exten: str = "1000",
        context: str = "from-trunk",
    ) -> Phone:
        """A call comes in from outside."""
        return self._phone(f"PJSIP/{trunk}", "Ring", number=number, context=context, exten=exten)

    def originated(self, operator: str, channel_id: str) -> Phone:
        """A phone that a program rings over ARI."""
        phone = self._phone(
            f"PJSIP/{operator}",
            "Down",
            number="callback",
            context="from-internal",
            exten="s",
            channel_id=channel_id,
        )
        phone.app = ("AppDial2", "(Outgoing Line)")
        self._dial(phone, "")
        return phone

    def dials(self, operator: str, exten: str, context: str = "from-internal") -> Phone:
        """An operator's phone calls somebody."""
        return self._phone(f"PJSIP/{operator}", "Ring", number=operator, context=context, exten=exten)

    def enter(self, phone: Phone, queue: str) -> None:
        """The dialplan answers the caller and puts them into a queue."""
        self.up(phone, ("Answer", ""))
        phone.app = ("Queue", f"{queue},,,,300")

    def up(self, phone: Phone, app: tuple[str, str] | None = None) -> None:
        phone.app = app or phone.app
        if phone.state != "Up":
            phone.state = "Up"
            self._emit("ChannelStateChange", channel=phone)

    def dial(self, caller: Phone, endpoint: str, *, number: str | None = None, begin: bool = True) -> Phone:
        """The dialplan or a queue dials a phone (`101`, `trunk`) for a caller."""
        if not caller.app[0]:
            caller.app = ("Dial", f"PJSIP/{endpoint},20")
        peer = self._phone(
            f"PJSIP/{endpoint}",
            "Down",
            number=endpoint if number is None else number,
            context="from-internal",
            exten=caller.exten,
            dialled_by=caller,
        )
        peer.app = (f"App{caller.app[0]}", "(Outgoing Line)")
        if begin:
            self._dial(peer, "")
        return peer

    def local(self, caller: Phone, exten: str, context: str = "from-queue") -> tuple[Phone, Phone]:
        """A Local channel dialled for a caller: its near half and the half that runs the dialplan."""
        near, far = self.halves(caller, exten, context)
        self._dial(near, "")
        return near, far

    def halves(self, caller: Phone, exten: str, context: str = "from-queue") -> tuple[Phone, Phone]:
        base = f"Local/{exten}@{context}-{self._locals:08x}"
        self._locals += 1
        made: list[Phone] = []
        for half, state in ((1, "Down"), (2, "Ring")):
            phone = self._phone(
                "", state, name=f"{base};{half}", number="", context=context, exten=exten, dialled_by=caller
            )
            made.append(phone)
        near, far = made
        near.app = ("AppQueue", "(Outgoing Line)")
        far.dialled_by = None
        near.other_half, far.other_half = far, near
        return near, far

    def ring(self, phone: Phone) -> None:
        phone.state = "Ringing"
        self._emit("ChannelStateChange", channel=phone)
        self._dial(phone, "RINGING")

    def answer(self, phone: Phone, after: float = 0) -> None:
        """A phone that was dialled is answered, and with it whoever dialled it."""
        self.wait(after)
        phone.state = "Up"
        self._emit("ChannelStateChange", channel=phone)
        self._dial(phone, "ANSWER")
        caller = phone.dialled_by
        if caller is not None and phone.other_half is None:
            self.up(caller)

    def ends_dial(self, phone: Phone, status: str, cause: int = 0, *, asked: int | None = None) -> None:
        """A dial ends without an answer: NOANSWER, BUSY (asked by the phone with a cause), CANCEL …"""
        if asked is not None:
            self._emit("ChannelHangupRequest", channel=phone, cause=asked)
        self._dial(phone, status)
        self.destroy(phone, cause)

    def _dial(self, peer: Phone, status: str, **more: Any) -> None:
        peer.status = status or None
        if peer.dialled_by is not None:
            more["caller"] = peer.dialled_by
        more.setdefault("dialstring", peer.number)
        self._emit("Dial", peer=peer, dialstatus=status, forward="", **more)

    def dial_event(self, peer: Phone, status: str, **more: Any) -> None:
        """A Dial event of its own (a second terminal status, a forward)."""
        self._dial(peer, status, **more)

    # --- conversation ----------------------------------------------------------------------------------

    def bridge(self, *phones: Phone, holding: bool = False, room: Room | None = None) -> Room:
        """Phones enter a bridge, in the order given turned round: the one who answered goes first."""
        if room is None:
            room = Room(f"bridge-{len(self.rooms)}", holding)
            self.rooms.append(room)
            self._emit("BridgeCreated", bridge=room)
        for phone in reversed(phones):
            self.enters(phone, room)
        return room

    def enters(self, phone: Phone, room: Room) -> None:
        phone.room = room
        room.members.append(phone)
        self._emit("ChannelEnteredBridge", bridge=room, channel=phone)

    def leaves(self, phone: Phone) -> None:
        room = phone.room
        assert room is not None
        phone.room = None
        room.members.remove(phone)
        self._emit("ChannelLeftBridge", bridge=room, channel=phone)

    def close(self, room: Room) -> None:
        self._emit("BridgeDestroyed", bridge=room)
        self.rooms.remove(room)

    def speak(self, phone: Phone, seconds: float, *, at: float | None = None) -> None:
        """Speech; the clock is at its end then, while the detector says so half a second later."""
        if at is not None:
            self.at(at)
        self.starts(phone)
        self.wait(seconds)
        end = self.ms
        self.wait(DETECTOR_S)
        self.finishes(phone, seconds)
        self.ms = end

    def starts(self, phone: Phone) -> None:
        self._emit("ChannelTalkingStarted", channel=phone)

    def finishes(self, phone: Phone, seconds: float) -> None:
        self._emit("ChannelTalkingFinished", channel=phone, duration=round(seconds * 1000))

    def hold(self, phone: Phone, seconds: float | None = None) -> None:
        """A phone puts the other side on hold; without a length until `unhold` or the end."""
        self._emit("ChannelHold", channel=phone, musicclass="default")
        if seconds is not None:
            self.wait(seconds)
            self.unhold(phone)

    def unhold(self, phone: Phone) -> None:
        self._emit("ChannelUnhold", channel=phone)

    def talk(self, number: str = CLIENT, operator: str = "101", **incoming: str) -> tuple[Phone, Phone]:
        """A client calls, the phone rings at once and is answered after 2 s: the talk begins."""
        client = self.incoming(number=number, **incoming)
        phone = self.dial(client, operator)
        self.ring(phone)
        self.answer(phone, after=2)
        self.bridge(client, phone)
        return client, phone

    # --- ends ----------------------------------------------------------------------------------------

    def request(self, phone: Phone, cause: int | None = 16, *, soft: bool = False, **more: Any) -> None:
        """A ChannelHangupRequest, nothing else."""
        if cause is not None:
            more["cause"] = cause
        if soft:
            more["soft"] = True
        self._emit("ChannelHangupRequest", channel=phone, **more)
        if not soft and not phone.source:
            for member in {phone, *(phone.room.members if phone.room else ())}:
                member.source = member.source or phone.name

    def destroy(self, phone: Phone, cause: int = 16, **more: Any) -> None:
        """The channel is gone; no event of it comes later."""
        if phone.room is not None:
            self.leaves(phone)
        self._frames = [
            (ms, frame)
            for ms, frame in self._frames
            if ms <= self.ms or frame.get("channel", {}).get("id") != phone.id
        ]
        self._emit("ChannelDestroyed", channel=phone, cause=cause, cause_txt="", **more)
        phone.gone = True
        self.phones.remove(phone)

    def bye(self, phone: Phone, cause: int | None = 16) -> None:
        """The person hangs up, and the call of which the phone is a part comes down."""
        self.request(phone, cause)
        self.fall(phone, 16)

    def lost(self, phone: Phone) -> None:
        """No RTP comes from the phone any more: the driver ends it."""
        self.request(phone, 1, soft=True)
        self.fall(phone, 44)

    def fall(self, phone: Phone, cause: int) -> None:
        """The events after a hang-up: both leave the bridge, it is destroyed, the channels go."""
        room = phone.room
        others = [item for item in (room.members if room else []) if item is not phone]
        if room is not None:
            self.leaves(phone)
        for other in [item for item in self.phones if item.dialled_by is phone and item.room is None]:
            self._dial(other, "CANCEL")
            self.destroy(other, 127)
        if len(others) == 1 and room is not None:
            self.leaves(others[0])
            self.close(room)
        else:
            others = []
        for leg, why in ((phone, cause), *((item, 16) for item in others)):
            if leg.dialled_by is None:
                self.request(leg, 16, soft=True)
            self.destroy(leg, why)

    def hands_over(self, operator: Phone, client: Phone, *, code: bool = False) -> None:
        """The operator leaves, by hanging up or by the disconnect code; the client goes on to the rating."""
        if not code:
            self.request(operator)
        room = operator.room
        assert room is not None
        self.leaves(operator)
        self.leaves(client)
        self.close(room)
        self.destroy(operator)
        self.comes_to_rating(client)

    def comes_to_rating(self, phone: Phone) -> None:
        """UserEvent() of dialplan/callsteward-rating.conf, then Stasis()."""
        phone.app = ("UserEvent", "callsteward,state:rating,rt:")
        said = {"eventname": "callsteward", "state": "rating", "rt": ""}
        self._emit("ChannelUserevent", channel=phone, eventname="callsteward", userevent=said)
        phone.app = ("Stasis", "callsteward-ivr,rating,,")

    # --- transfers and reconnects ------------------------------------------------------------------

    def blind(
        self, phone: Phone, client: Phone, exten: str, result: str = "Success", *, bye: bool = False
    ) -> None:
        """A REFER to an extension; the transferer is gone with it, or hangs up (`bye`) at once."""
        self.unhold(phone)
        self._emit(
            "BridgeBlindTransfer",
            channel=phone,
            transferee=client,
            exten=exten,
            context="from-internal",
            result=result,
            bridge=phone.room,
        )
        if result == "Success":
            room = phone.room
            assert room is not None
            client.context, client.exten = "from-internal", exten
            if bye:
                self.request(phone, 16)
            self.leaves(phone)
            self.leaves(client)
            self.destroy(phone)
            self.close(room)
            client.app = ("", "")

    def attended(
        self,
        first: Phone,
        second: Phone,
        client: Phone,
        target: Phone | None,
        result: str = "Success",
    ) -> None:
        """A REFER with Replaces: the client takes the place of the transferer's second leg."""
        self.unhold(first)
        if result == "Success" and target is not None and second.room is not None:
            self.leaves(client)
            room = second.room
            self.leaves(second)
            self.enters(client, room)
            self.request(second, 1, soft=True)
        self._emit(
            "BridgeAttendedTransfer",
            transferer_first_leg=first,
            transferer_second_leg=second,
            transferee=client,
            transfer_target=target,
            destination_type="bridge",
            result=result,
        )
        if result == "Success" and target is not None:
            self.destroy(first)
            self.request(second, 16, soft=True)
            self.destroy(second)

    def snapshot(
        self,
        gap_from: float | None = None,
        booted: float | None = None,
        lost: float | None = None,
        *,
        order: Sequence[Phone] | None = None,
    ) -> None:
        """The snapshot that the daemon takes when it connects: all phones and bridges, in any order."""
        frame = {
            "type": "CallstewardSnapshot",
            "timestamp": events.timestamp(self.ms),
            "channels": [self._channel(phone) for phone in order or self.phones],
            "bridges": [self._bridge(room) for room in self.rooms],
            "gap_from": "" if gap_from is None else events.timestamp(NOON + round(gap_from * 1000)),
            "booted": "" if booted is None else events.timestamp(NOON + round(booted * 1000)),
            "lost": "" if lost is None else events.timestamp(NOON + round(lost * 1000)),
        }
        self._frames.append((self.ms, frame))

    def unseen(self) -> None:
        """Nobody saw what happened since the last `play`."""
        self._frames.clear()

    def breaks(self, since: float) -> None:
        """The connection broke off after an event at `since`; Asterisk kept what comes from now on."""
        self._emit("CallstewardInterrupted", since=events.timestamp(NOON + round(since * 1000)))

    # --- wire --------------------------------------------------------------------------------------

    def emit(self, kind: str, **fields: Any) -> None:
        """Any event by name."""
        self._emit(kind, **fields)

    def _emit(self, kind: str, **fields: Any) -> None:
        frame: dict[str, Any] = {"type": kind, "timestamp": events.timestamp(self.ms), "application": "cs"}
        for key, value in fields.items():
            if isinstance(value, Phone):
                frame[key] = self._channel(value)
            elif isinstance(value, Room):
                frame[key] = self._bridge(value)
            elif value is not None:
                frame[key] = value
        self._frames.append((self.ms, frame))

    def _bridge(self, room: Room) -> dict[str, Any]:
        return {
            "id": room.id,
            "technology": "holding_bridge" if room.holding else "simple_bridge",
            "bridge_type": "holding" if room.holding else "mixing",
            "bridge_class": "basic",
            "channels": [phone.id for phone in room.members],
            "creationtime": events.timestamp(self.ms),
        }

    def _channel(self, phone: Phone) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "id": phone.id,
            "name": phone.name,
            "state": phone.state,
            "protocol_id": "",
            "caller": {"name": "", "number": phone.number},
            "connected": {"name": "", "number": ""},
            "accountcode": "",
            "dialplan": {
                "context": phone.context,
                "exten": phone.exten,
                "priority": 1,
                "app_name": phone.app[0],
                "app_data": phone.app[1],
            },
            "creationtime": events.timestamp(phone.created_ms),
            "language": "en",
        }
        if self._channelvars:
            frame["channelvars"] = {
                "CHANNEL(linkedid)": phone.linkedid,
                "CHANNEL(hangupsource)": phone.source,
            }
        return frame


def text(record: CallRecord) -> str:
    """The record as it goes out."""
    return encode(record).decode()
