"""Whole calls as a few decisions, played on a site; the one who plays them knows what is true of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from callsteward.ari.events import Listened
from callsteward.record.call import Decision, Direction, Outcome, Party, Side
from tests.property.site import Site, SiteStream
from tests.unit.calls.stream import NOON, Phone

# How client and operator come together. Those in the first line: the client calls.
Way = Literal[
    "dial", "group", "queue", "local", "confirm", "announce", "stasis", "agent",
    "out", "click",
]  # fmt: skip
# What becomes of a phone, or of an outside line, that is tried before.
Try = Literal["noanswer", "busy", "declined", "500", "502", "503", "504", "404", "lifted", "unconfirmed"]
End = Literal[
    "client", "operator", "client_lost", "operator_lost", "client_reason", "operator_reason",
    "client_status", "operator_status", "admin", "limit",
]  # fmt: skip
After = Literal["none", "hold", "blind", "attended", "queue_again", "blind_abandon"]

_REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "busy": (486, "BUSY"),
    "declined": (603, "CHANUNAVAIL"),
    "500": (500, "CONGESTION"),
    "502": (502, "CONGESTION"),
    "503": (503, "CONGESTION"),
    "504": (504, "CONGESTION"),
    "404": (404, "CHANUNAVAIL"),
}
_RESULTS: Final[dict[str, str]] = {
    "busy": "busy",
    "declined": "rejected",
    "404": "unavailable",
    "lifted": "answered",
    "unconfirmed": "answered",
    "noanswer": "no_answer",
}
_OUTBOUND: Final = frozenset({"out", "click"})
# Causes that a person's BYE does not have.
REASONS: Final = (38, 41, 44, 102)
STATUSES: Final = (408, 481, 500, 503)


@dataclass(frozen=True)
class Script:
    """One call."""

    way: Way = "dial"
    tries: tuple[Try, ...] = ()
    answered: bool = True
    pause_s: int = 3
    """Between lifting and being connected, where there is something between."""
    ring_s: int = 3
    words_s: tuple[int, ...] = (2, 3)
    """Operator and client speak in turn."""
    after: After = "none"
    end: End = "client"
    reason: int = 41
    status: int = 408
    order: int = 0
    ivr: int | None = None
    """A menu that dials a phone, which answers this SIP status, before anything else."""
    h_s: int = 0
    """How long the h extension keeps the client's channel."""
    runs_out: bool = False
    """Nobody answered, and the dialplan ends the call."""


@dataclass
class Truth:
    """The truth about a call, whatever its events show. Moments in ms since NOON."""

    direction: Direction
    started_ms: int = 0
    ended_ms: int = 0
    answered_ms: int | None = None
    operator: str | None = None
    first: Party = Party.UNKNOWN
    lost_side: Side | None = None
    talks: list[tuple[int, int]] = field(default_factory=list)
    holds_ms: int = 0
    operator_ms: int = 0
    held_in_talk_ms: int = 0
    told: bool = True
    """Whether this version and driver tell of the end at all."""
    alike: bool = False
    """The end has the cause of a phone that was dialled before: nothing tells the two apart."""
    outcomes: frozenset[Outcome] = frozenset()
    decision: Decision = Decision.NOT_DUE
    attempts: list[tuple[str, str]] = field(default_factory=list)
    latency_s: float | None = None

    @property
    def talk_ms(self) -> int:
        """Bridged with an operator, holds taken out."""
        return sum(end - start for start, end in self.talks) - self.held_in_talk_ms


class Player:
    """Plays a script on a site."""

    def __init__(self, site: Site, script: Script) -> None:
        self.site, self.script = site, script
        self.s = SiteStream(site)
        way = script.way
        self.truth = Truth(Direction.OUTBOUND if way in _OUTBOUND else Direction.INBOUND)
        self.client: Phone | None = None
        self.operator: Phone | None = None
        self.caller: Phone | None = None
        self._talk_from: int | None = None

    def heard(self) -> tuple[Listened, ...]:
        """The endpoints of the site, as a tracker that has heard them knows them."""
        found = []
        if self.site.operator_heard:
            found += [Listened(f"{self.site.phones}/{name}", True) for name in range(101, 110)]
        if self.site.client_heard:
            trunk = "DAHDI/i1" if self.site.trunk == "DAHDI" else f"{self.site.trunk}/trunk"
            found.append(Listened(trunk, True))
        return tuple(found)

    def now(self) -> int:
        return self.s.ms - NOON

    # --- the call ------------------------------------------------------------------------------------

    def play(self) -> Truth:
        script = self.script
        if script.way in _OUTBOUND:
            self._dials_out()
        else:
            self._calls_in()
        if self.operator is not None and self.truth.answered_ms is not None:
            self._talks(script.words_s)
            self._goes_on()
        if not self._over():
            self._ends()
        self._judge()
        return self.truth

    def _over(self) -> bool:
        return self.client is None or self.client.gone

    def _calls_in(self) -> None:
        s, script = self.s, self.script
        client = self.client = self.caller = s.comes_in()
        self.truth.started_ms = 0
        s.wait(0.2)
        if script.ivr is not None:
            s.up(client, ("Answer", ""))
            phone = s.calls(client, "120")
            s.wait(0.1)
            s.refuses(phone, script.ivr, "CONGESTION")
            self._tried("120", "500")
            s.wait(0.2)
        if script.way in {"queue", "local", "announce", "agent"}:
            s.enter(client, "support")
        if script.way == "stasis":
            s.up(client, ("Stasis", "acd"))
            self._music = s.bridge(client, holding=True)
        if script.way == "agent":
            self._agent = s.comes_in("109", endpoint="109", exten="*45")
            s.up(self._agent, ("AgentLogin", "109"))
        if script.way == "group":
            self._group(client)
            return
        for number, kind in enumerate(script.tries, 101):
            self._try(client, str(number), kind)
            s.wait(0.3)
        if script.answered:
            self._answers(client, str(101 + len(script.tries)))
        elif script.way in {"queue", "local", "announce", "agent", "stasis"} or not script.tries:
            # Waiting, while somebody's phone rings.
            ringing = self._rings(client, "108") if script.way != "agent" else None
            s.wait(script.ring_s)
            lifted = script.way in {"confirm", "announce"}
            if ringing is not None:
                if lifted:
                    s.answers(ringing)
                self.truth.attempts.append(("108", "answered" if lifted else "cancelled"))

    def _tried(self, operator: str, kind: Try) -> None:
        self.truth.attempts.append((operator, _RESULTS.get(kind, "failed")))

    def _rings(self, caller: Phone, operator: str) -> Phone:
        s, way = self.s, self.script.way
        if way == "local":
            near, far = s.local(caller, operator)
            far.app = ("Dial", "")
            phone = s.calls(far, operator)
            s.ring(phone)
            s.ring(near)
            return phone
        if way == "stasis":
            phone = s.rings_for(caller, operator)
        else:
            phone = s.calls(caller, operator, app="Queue" if way in {"queue", "announce"} else "Dial")
        s.ring(phone)
        return phone

    def _try(self, caller: Phone, operator: str, kind: Try) -> None:
        s, way = self.s, self.script.way
        if way == "agent":
            return
        phone = self._rings(caller, operator)
        connects_late = way in {"confirm", "announce"}
        self._tried(operator, "noanswer" if kind in {"lifted", "unconfirmed"} and not connects_late else kind)
        far = phone.dialled_by if way == "local" else None
        near = far.other_half if far is not None else None
        s.wait(2)
        if kind in _REFUSALS:
            s.refuses(phone, *_REFUSALS[kind])
            if near is not None and far is not None:
                s._cause[near.id] = s.cause(far)
                s.dial_event(near, _REFUSALS[kind][1] if kind == "busy" else "NOANSWER")
                s.goes(far)
                s.goes(near)
        elif kind in {"lifted", "unconfirmed"} and way in {"confirm", "announce"}:
            # They hear something, and hang up or say no.
            s.answers(phone)
            s.wait(2)
            if kind == "lifted":
                s.says_bye(phone)
            s.goes(phone)
        elif near is not None and far is not None:
            s.dial_event(near, "NOANSWER")
            s.gives_up_on(phone, "CANCEL")
            s.goes(far)
            s.goes(near)
        elif way == "stasis":
            # Only the end of the originated channel shows it.
            s._cause[phone.id] = 19
            s.goes(phone)
        else:
            s.gives_up_on(phone)

    def _answers(self, caller: Phone, operator: str) -> None:
        s, script = self.s, self.script
        if script.way == "agent":
            s.wait(script.ring_s)
            self.operator = self._agent
            self.truth.operator = "109"
            self._connect(caller, self._agent)
            return
        phone = self.operator = self._rings(caller, operator)
        self.truth.operator = operator
        s.wait(script.ring_s)
        s.answers(phone)
        self._lifted(operator, script.ring_s)
        if script.way in {"confirm", "announce"}:
            s.wait(script.pause_s)
        if script.way == "local":
            far = phone.dialled_by
            assert far is not None
            assert far.other_half is not None
            near = far.other_half
            s.answer(near)
            s.bridge(far, phone)
            self._connect(caller, near)
        elif script.way == "stasis":
            s.leaves(caller)
            self._connect(caller, phone)
        else:
            self._connect(caller, phone)

    def _lifted(self, operator: str, rang_s: float) -> None:
        self.truth.attempts.append((operator, "answered"))
        if self.truth.latency_s is None:
            self.truth.latency_s = rang_s

    def _group(self, client: Phone) -> None:
        """Dial() of several phones at once."""
        s, script = self.s, self.script
        phones = [s.calls(client, str(101 + place)) for place in range(len(script.tries) + 1)]
        for phone in phones:
            s.ring(phone)
        for phone, kind in zip(phones, script.tries, strict=False):
            s.wait(0.5)
            if kind in _REFUSALS:
                s.refuses(phone, *_REFUSALS[kind])
                self._tried(phone.number, kind)
            else:
                self.truth.attempts.append((phone.number, "cancelled"))
        s.wait(script.ring_s)
        if not script.answered:
            self.truth.attempts.append((phones[-1].number, "cancelled"))
            return
        self._lifted(phones[-1].number, script.ring_s + 0.5 * len(script.tries))
        self.operator = phones[-1]
        self.truth.operator = str(100 + len(phones))
        s.answers(phones[-1])
        for phone in phones[:-1]:
            if not phone.gone:
                s.gives_up_on(phone, "CANCEL")
        self._connect(client, phones[-1])

    def _dials_out(self) -> None:
        s, script = self.s, self.script
        number = "79031234567"
        if script.way == "click":
            operator = s._phone(
                f"{self.site.phones}/101",
                "Down",
                number="101",
                context="default",
                exten="s",
                channel_id="click-1",
            )
            operator.app = ("AppDial2", "(Outgoing Line)")
            s._dial(operator, "")
            s.ring(operator)
            s.wait(2)
            s.answer(operator)
            self._lifted("101", 2)
        else:
            operator = s.comes_in("101", endpoint="101", exten=number)
        self.operator = self.caller = operator
        s.wait(0.2)
        first = True
        for kind in (*script.tries, None):
            client = self.client = s.calls(operator, "trunk", number)
            if first:
                self.truth.started_ms = self.now()
                first = False
            if kind is None:
                break
            s.ring(client)
            s.wait(2)
            if kind in _REFUSALS:
                s.refuses(client, *_REFUSALS[kind])
            else:
                s.gives_up_on(client)
            s.wait(0.3)
        assert self.client is not None
        s.ring(self.client)
        s.wait(script.ring_s)
        if not script.answered:
            return
        s.answers(self.client)
        self.truth.operator = "101"
        self._connect(operator, self.client)

    def _connect(self, *phones: Phone) -> None:
        self.s.bridge(*phones)
        if self.truth.answered_ms is None:
            self.truth.answered_ms = self.now()
        self._talk_from = self.now()

    def _part(self) -> None:
        """Client and operator are apart."""
        if self._talk_from is not None:
            self.truth.talks.append((self._talk_from, self.now()))
            self._talk_from = None

    # --- the talk ------------------------------------------------------------------------------------

    def _talks(self, words_s: tuple[int, ...]) -> None:
        s = self.s
        assert self.operator is not None
        assert self.client is not None
        s.wait(0.4)
        for turn, seconds in enumerate(words_s):
            speaker = self.client if turn % 2 else self.operator
            heard = self.site.client_heard if turn % 2 else self.site.operator_heard
            if heard:
                s.speak(speaker, seconds)
            else:
                s.wait(seconds)
            if not turn % 2:
                self.truth.operator_ms += seconds * 1000
            s.wait(0.4)

    def _goes_on(self) -> None:
        s, script = self.s, self.script
        client, operator = self.client, self.operator
        assert client is not None
        assert operator is not None
        direct = script.way not in {"local", "agent"}
        if script.after == "hold":
            s.hold(operator, 4)
            self.truth.holds_ms += 4000
            self.truth.held_in_talk_ms += 4000
            s.wait(1)
        elif script.after in {"blind", "blind_abandon"} and direct and script.way not in _OUTBOUND:
            self._part()
            s.blind(operator, client, "105", bye=bool(script.order))
            s.wait(0.1)
            phone = s.calls(client, "105")
            s.ring(phone)
            s.wait(2)
            self.operator = None
            if script.after == "blind_abandon":
                self.truth.attempts.append(("105", "cancelled"))
            if script.after == "blind":
                s.answers(phone)
                self._lifted("105", 2)
                self.operator = phone
                self.truth.operator = "105"
                self._connect(client, phone)
                self._talks((2, 1))
        elif script.after == "attended" and direct and script.way not in _OUTBOUND:
            s.hold(operator)
            second = s.comes_in(
                "101", endpoint=operator.name.partition("/")[2].partition("-")[0], exten="106"
            )
            phone = s.calls(second, "106")
            s.ring(phone)
            held_from = self.now()
            s.wait(2)
            s.answers(phone)
            self._lifted("106", 2)
            s.bridge(second, phone)
            s.wait(2)
            self.truth.holds_ms += self.now() - held_from
            self.truth.held_in_talk_ms += self.now() - held_from
            self._part()
            s.attended(operator, second, client, phone)
            self._talk_from = self.now()
            self.operator = phone
            self.truth.operator = "106"
            self._talks((2, 1))
        elif script.after == "queue_again" and direct and script.way not in _OUTBOUND:
            # Queue option c, Dial option g: the operator hangs up, the client goes on to a queue.
            self._part()
            s.says_bye(operator)
            room = operator.room
            assert room is not None
            s.leaves(operator)
            s.leaves(client)
            s.close(room)
            s.goes(operator)
            s.enter(client, "second")
            s.wait(1)
            phone = s.calls(client, "107", app="Queue")
            s.ring(phone)
            s.wait(2)
            s.answers(phone)
            self._lifted("107", 2)
            self.operator = phone
            self.truth.operator = "107"
            self._connect(client, phone)
            self._talks((2, 1))

    # --- ends ----------------------------------------------------------------------------------------

    def _ends(self) -> None:
        s, script, truth = self.s, self.script, self.truth
        client, operator = self.client, self.operator
        assert client is not None
        if script.runs_out and truth.answered_ms is None and truth.direction is Direction.INBOUND:
            self._runs_out(client)
            return
        s.wait(0.7)
        talking = self._talk_from is not None
        end = script.end
        if not talking and end not in {"client", "admin"}:
            end = "client"
        who = operator if end.startswith("operator") else client
        assert who is not None
        kind = end.partition("_")[2]
        party = Party.CLIENT if who is client else Party.OPERATOR
        if not talking and truth.direction is Direction.OUTBOUND and truth.answered_ms is None:
            # The operator gives up; the client's phone only rings.
            assert self.caller is not None
            who, party = self.caller, Party.OPERATOR
        truth.first = party
        if end in {"admin", "limit"}:
            truth.first = Party.PBX
            if end == "admin":
                s.request(who, 32, soft=True)
            s._cause.setdefault(who.id, 16)
        elif kind == "":
            s.says_bye(who)
        else:
            truth.first = Party.NETWORK
            truth.lost_side = Side.CLIENT if party is Party.CLIENT else Side.OPERATOR
            old = s.cause(who)
            if kind == "lost":
                s.rtp_stops(who)
            elif kind == "reason":
                s.says_bye(who, script.reason)
            else:
                truth.told = s.ends_with(who, script.status)
            truth.alike = old not in {0, 16} and old == s.cause(who)
        self._part()
        truth.ended_ms = self.now()
        asked = end == "admin" or who.id in s.asked
        s.comes_down(who, order=script.order, h_s=script.h_s)
        if who is client and not asked:
            truth.ended_ms = self.now()  # nothing shows an earlier end
        for phone in list(s.phones):
            s.goes(phone)

    def _runs_out(self, client: Phone) -> None:
        """Asterisk gives up on whoever rings yet, and the dialplan has nothing more."""
        s, truth = self.s, self.truth
        for phone in [item for item in s.phones if item is not client]:
            if phone.gone or phone.other_half is not None:
                continue
            far = phone.dialled_by if self.script.way == "local" else None
            if far is not None and far.other_half is not None:
                s.dial_event(far.other_half, "NOANSWER")
                s.gives_up_on(phone, "CANCEL")
                s.goes(far.other_half)
                s.goes(far)
            elif phone.name.partition("/")[2].startswith("109"):
                s.goes(phone)
            elif self.script.way == "stasis":
                s._cause[phone.id] = 19
                s.goes(phone)
            else:
                s.gives_up_on(phone, "NOANSWER" if phone.state != "Up" else "CONTINUE")
        truth.attempts = [(who, "no_answer" if how == "cancelled" else how) for who, how in truth.attempts]
        truth.first = Party.PBX
        truth.ended_ms = self.now()
        s.goes(client)

    def _judge(self) -> None:
        truth = self.truth
        if truth.answered_ms is None:
            truth.outcomes = frozenset(
                {Outcome.ABANDONED, Outcome.SHORT_ABANDONED}
                if truth.direction is Direction.INBOUND and truth.first is Party.CLIENT
                else {Outcome.NO_ANSWER, Outcome.BUSY, Outcome.FAILED}
            )
            results = {how for _, how in truth.attempts}
            if truth.first is Party.PBX and truth.direction is Direction.INBOUND and results:
                if results <= {"busy", "rejected"}:
                    truth.outcomes = frozenset({Outcome.BUSY})
                elif results <= {"failed", "unavailable"}:
                    truth.outcomes = frozenset({Outcome.FAILED})
                else:
                    truth.outcomes = frozenset({Outcome.NO_ANSWER})
            return
        spoken_ms = truth.operator_ms if self.site.operator_heard else truth.talk_ms
        greeted = spoken_ms >= 3000
        if truth.first is Party.NETWORK:
            truth.outcomes = frozenset({Outcome.MID_DIALOGUE_DROP if greeted else Outcome.EARLY_DROP})
            truth.decision = Decision.DUE if greeted else Decision.NOT_DUE
        elif truth.first is Party.CLIENT and not greeted:
            truth.outcomes = frozenset({Outcome.EARLY_DROP})
        else:
            truth.outcomes = frozenset({Outcome.COMPLETED})
