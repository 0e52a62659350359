"""The tracker's state: legs, bridges and the calls they serve. State only, no decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.record.call import AttemptResult, Direction, Outcome, Side, TransferKind, TransferResult

if TYPE_CHECKING:
    from callsteward.ari.events import DialplanPosition
    from callsteward.calls.deadlines import Deadline
    from callsteward.calls.directory import Endpoint
    from callsteward.calls.hangup import HangupRequest, LegEnd, Parted
    from callsteward.calls.left_out import LeftOut
    from callsteward.calls.timeline import Spoken
    from callsteward.calls.voices import Participation, Voice
    from callsteward.record.tag import TagOnCall

# An enum's member costs ten times as much as a constant (its class is searched through the metaclass).
# Members needed for every event are read once, here and in the other modules of the tracker.
_INTERNAL: Final = Direction.INTERNAL
_CLIENT: Final = Side.CLIENT
_OPERATOR: Final = Side.OPERATOR


class TrackedBridge:
    """A bridge. In a holding bridge (parking, music) nobody hears anybody."""

    __slots__ = ("holding", "id", "legs", "merged")

    def __init__(self, bridge_id: str, *, holding: bool) -> None:
        self.id = bridge_id
        self.holding = holding
        # One of two bridges being merged: the merger is reported before those inside move.
        self.merged = False
        self.legs: list[Leg] = []


class TrackedAttempt:
    """One operator phone that was dialled. Times in ms; `result` is None while the attempt is open."""

    __slots__ = ("deadline", "dial_ms", "end_ms", "operator", "over", "result", "ring_ms")

    def __init__(self, operator: str, dial_ms: int) -> None:
        self.operator = operator
        self.dial_ms = dial_ms
        self.ring_ms: int | None = None
        self.end_ms: int | None = None
        self.result: AttemptResult | None = None
        self.deadline: Deadline[Leg | Call] | None = None
        # Its phone's channel is gone: the result stays as it is.
        self.over = False


class TransferMade:
    """A transfer as it happened. Whether it completed is known once somebody else has the client."""

    __slots__ = ("at_ms", "by", "kind", "result", "to", "to_rating")

    def __init__(self, kind: TransferKind, by: str | None, to: str | None, at_ms: int) -> None:
        self.kind = kind
        self.by = by
        self.to = to
        self.at_ms = at_ms
        self.result: TransferResult | None = None
        # The hand-over to the rating, not a transfer to a colleague.
        self.to_rating = False


class Leg:
    """A channel with a role. `contacts` are the calls whose client hears this leg (as an operator)."""

    __slots__ = (
        "attempt",
        "awaited_by",
        "bridge",
        "call",
        "contacts",
        "created_ms",
        "dial_over",
        "dialled",
        "dialled_by",
        "endpoint",
        "entered",
        "gone",
        "half",
        "hands_on",
        "hold_deadline",
        "hold_ms",
        "hung_up_ms",
        "id",
        "inherited",
        "joined_ms",
        "left_at",
        "left_bridge",
        "lifted",
        "name",
        "operator",
        "origin_told",
        "outsider",
        "placed",
        "position",
        "refused",
        "run_out",
        "talking_ms",
        "told_in",
        "up",
        "voice",
    )

    def __init__(self, leg_id: str, name: str, endpoint: Endpoint, created_ms: int) -> None:
        self.id = leg_id
        self.name = name
        self.endpoint = endpoint
        self.operator = endpoint.name
        # A person outside who is no operator: a client, or somebody to whom the client was transferred.
        self.outsider = endpoint.is_trunk
        self.created_ms = created_ms
        self.call: Call = Call(self)
        self.bridge: TrackedBridge | None = None
        # Whether its coming into the bridge was observed.
        self.entered = False
        # The id of the bridge it was in last: of a destroyed bridge, leaving may be reported only afterwards.
        self.left_bridge = ""
        self.half: Leg | None = None
        self.attempt: TrackedAttempt | None = None
        self.contacts: tuple[Call, ...] = ()
        # Whether Asterisk dialled it, and whether that is known: until then it is presumed (origin.py).
        self.dialled = False
        self.origin_told = False
        # The channel that dialled it, if any, and whether that dial has ended.
        self.dialled_by: Leg | None = None
        self.dial_over = False
        # Whether Asterisk copies its cause to the channel that dialled it.
        self.hands_on = True
        # The Q.850 causes of phones that it dialled, as far as Asterisk copied them to this channel.
        self.inherited: list[int] | None = None
        # The Q.850 cause with which the phone refused before it was up.
        self.refused: int | None = None
        # When its side hung up, or the driver gave it up: the channel may go on in the h extension.
        self.hung_up_ms: int | None = None
        # Its dialplan has ended: Asterisk hangs it up.
        self.run_out = False
        self.up = False
        self.gone = False
        # Whether its going up was observed.
        self.lifted = False
        # The call in which its answer was reported: an agent who stays on the line answers one after the
        # other.
        self.told_in = ""
        self.hold_ms: int | None = None
        # Calls whose client it put on hold and then left in order to ask somebody.
        self.awaited_by: tuple[Call, ...] = ()
        self.hold_deadline: Deadline[Leg | Call] | None = None
        self.talking_ms: int | None = None
        # Set once it speaks or takes part in a talk.
        self.voice: Voice | None = None
        # The place of a client's or a Local channel in the dialplan: at its last event, and at the last
        # talk's end.
        self.position: DialplanPosition | None = None
        self.left_at: DialplanPosition | None = None
        # It was first seen inside its bridge: nobody knows since when it has been there.
        self.placed = False
        # For a channel that existed before the stream began: when it was first seen.
        self.joined_ms: int | None = None

    @property
    def is_staff(self) -> bool:
        """True if an operator uses it: a phone in the house, or an operator's phone outside."""
        return self.endpoint.is_operator or (self.endpoint.is_trunk and not self.outsider)


class Call:
    """One client's whole contact while it is on. `legs` are the live ones."""

    __slots__ = (
        "answered_ms",
        "attempts",
        "begun_unseen",
        "client",
        "client_dial",
        "client_gone",
        "client_number",
        "client_speech",
        "client_up_ms",
        "clients_part",
        "contact",
        "contact_ms",
        "context",
        "created_ms",
        "died_ms",
        "direction",
        "ended_ms",
        "ends",
        "exten",
        "handed_over_ms",
        "holds",
        "id",
        "interruption",
        "last_contact",
        "latency_ms",
        "left_out",
        "legs",
        "line",
        "line_from_queue",
        "linger",
        "operator",
        "operator_speech",
        "parted",
        "parted_unseen",
        "parts",
        "placed",
        "queue",
        "quiet_ms",
        "requests",
        "silence",
        "silent_since_ms",
        "spent",
        "spoke_on",
        "started_ms",
        "tags",
        "talk_limit",
        "talks",
        "transfers",
        "unobserved",
        "waits_for",
        "waits_since_ms",
        "was_bridged",
    )

    def __init__(self, first: Leg) -> None:
        self.id = first.id
        self.created_ms = first.created_ms
        self.legs: list[Leg] = [first]
        self.client: Leg | None = None
        self.client_number = ""
        # The result of the last dial to the client.
        self.client_dial: Outcome | None = None
        # Whether the client's last channel is gone, and when (None if its end was not seen).
        self.client_gone = False
        # When a client who was called answered.
        self.client_up_ms: int | None = None
        self.ended_ms: int | None = None
        self.direction = _INTERNAL
        self.line = ""
        # The place in the dialplan where the line was last looked up, and for which call of Queue().
        self.placed = False
        self.exten = ""
        self.context = ""
        self.queue = ""
        self.line_from_queue = False
        self.operator: str | None = None
        self.started_ms = first.created_ms
        self.answered_ms: int | None = None
        self.latency_ms: int | None = None
        # Whom the client hears now and since when, then the finished spans. In tuples, since many calls have
        # none of it (each channel begins as a call): an empty tuple takes neither room nor time.
        self.contact: tuple[Leg, ...] = ()
        self.contact_ms: int | None = None
        self.last_contact: tuple[Leg, ...] = ()
        self.talks: list[tuple[int, int]] = []
        self.holds: tuple[tuple[Side, int, int, str], ...] = ()
        # Everybody's part in these talks, the client's included; for the client the part still open.
        self.parts: tuple[Participation, ...] = ()
        self.clients_part: Participation | None = None
        self.operator_speech: Spoken | None = None
        self.client_speech: Spoken | None = None
        self.quiet_ms = 0
        self.silent_since_ms: int | None = None
        self.attempts: list[TrackedAttempt] = []
        # With too many attempts: the sums of those that are no longer kept one by one.
        self.left_out: LeftOut | None = None
        self.transfers: tuple[TransferMade, ...] = ()
        self.requests: tuple[HangupRequest, ...] = ()
        self.ends: tuple[LegEnd, ...] = ()
        self.unobserved: tuple[tuple[int | None, int | None], ...] = ()
        # A break of the connection during the call: events sent meanwhile may be lost.
        self.interruption: tuple[int, int] | None = None
        self.silence: Deadline[Leg | Call] | None = None
        self.talk_limit: Deadline[Leg | Call] | None = None
        self.linger: Deadline[Leg | Call] | None = None
        # A call made of the legs that an ended call left behind: its id has been used.
        self.spent = False
        # The leg that put the client on hold and then left the conversation in order to ask somebody.
        self.waits_for: Leg | None = None
        # The moment after the last talk when the client came to a queue.
        self.waits_since_ms: int | None = None
        # Asterisk died during the talk, at this moment or before; what came before the gap was observed.
        self.died_ms: int | None = None
        # The operator may have spoken on until then.
        self.spoke_on = False
        # When the client came to the rating after a talk: later events end no conversation.
        self.handed_over_ms: int | None = None
        # How the last talk came apart, None while one is on.
        self.parted: Parted | None = None
        # The talk ended unobserved and the client is still there: later events end no talk.
        self.parted_unseen = False
        # Somebody heard the client before the stream began: a talk of unknown length was on then.
        self.was_bridged = False
        self.begun_unseen = False
        # Most calls have none.
        self.tags: tuple[TagOnCall, ...] = ()

    def side(self, leg: Leg) -> Side | None:
        """The side of this call's conversation that a leg is on, None for a bystander."""
        if leg is self.client:
            return _CLIENT
        return _OPERATOR if leg in self.contact else None
