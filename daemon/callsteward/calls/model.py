"""What the tracker keeps: legs, bridges and the calls they serve. State only, no decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.record.call import AttemptResult, Direction, Outcome, Side, TransferKind, TransferResult

if TYPE_CHECKING:
    from callsteward.ari.events import DialplanPosition
    from callsteward.calls.deadlines import Deadline
    from callsteward.calls.directory import Endpoint
    from callsteward.calls.hangup import LegEnd, Parted, Request
    from callsteward.calls.left_out import LeftOut
    from callsteward.calls.timeline import Spoken
    from callsteward.calls.voices import Part, Voice
    from callsteward.record.tag import Said

# An enum's member costs ten times a constant (its class is searched through the metaclass); what is asked
# for every event is read once, here as in the other modules of the tracker.
_INTERNAL: Final = Direction.INTERNAL
_CLIENT: Final = Side.CLIENT
_OPERATOR: Final = Side.OPERATOR


class Bridge:
    """A bridge. In a holding bridge (parking, music) nobody hears anybody."""

    __slots__ = ("holding", "id", "legs", "merged")

    def __init__(self, bridge_id: str, *, holding: bool) -> None:
        self.id = bridge_id
        self.holding = holding
        # One of the two of a merger: it is told before those inside move.
        self.merged = False
        self.legs: list[Leg] = []


class Attempt:
    """One operator phone that was dialled. Times in ms, `result` None while it is open."""

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
    """A transfer as it happened; whether it completed is known when somebody else has the client."""

    __slots__ = ("at_ms", "by", "kind", "result", "to", "to_rating")

    def __init__(self, kind: TransferKind, by: str | None, to: str | None, at_ms: int) -> None:
        self.kind = kind
        self.by = by
        self.to = to
        self.at_ms = at_ms
        self.result: TransferResult | None = None
        # A hand-over to the rating, not to a colleague.
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
        # A person outside who is no operator: a client, or somebody the client was handed to.
        self.outsider = endpoint.is_trunk
        self.created_ms = created_ms
        self.call: Call = Call(self)
        self.bridge: Bridge | None = None
        # Somebody watched it come into the bridge.
        self.entered = False
        # The id of the one it was in last: destroyed, it may be left only then.
        self.left_bridge = ""
        self.half: Leg | None = None
        self.attempt: Attempt | None = None
        self.contacts: tuple[Call, ...] = ()
        # Whether Asterisk dialled it, and whether that is known: until then it is presumed (origin.py).
        self.dialled = False
        self.origin_told = False
        # The channel that dialled it, where one did, and whether that dial has come to something.
        self.dialled_by: Leg | None = None
        self.dial_over = False
        # Whether Asterisk copies its cause to the channel that dialled it.
        self.hands_on = True
        # The Q.850 causes with which phones it dialled ended, as far as Asterisk copied them to this channel.
        self.inherited: list[int] | None = None
        # The Q.850 cause with which the phone refused, before it was up.
        self.refused: int | None = None
        # When its side hung up, or the driver gave it up: the channel may live on in the h extension.
        self.hung_up_ms: int | None = None
        # Its dialplan has come to its end: Asterisk hangs it up.
        self.run_out = False
        self.up = False
        self.gone = False
        # Somebody watched it go up.
        self.lifted = False
        # The call in which its answer was told: an agent who stays on the line answers one after the other.
        self.told_in = ""
        self.hold_ms: int | None = None
        # Calls whose client it put on hold and then left, to ask somebody.
        self.awaited_by: tuple[Call, ...] = ()
        self.hold_deadline: Deadline[Leg | Call] | None = None
        self.talking_ms: int | None = None
        # Once it speaks or takes part in a talk.
        self.voice: Voice | None = None
        # A client's or a Local channel's place in the dialplan: by its last event; as the last talk ended.
        self.position: DialplanPosition | None = None
        self.left_at: DialplanPosition | None = None
        # It was met inside its bridge: since when it is there, nobody saw.
        self.placed = False
        # When it was first heard of, for a channel that was there before the stream began.
        self.joined_ms: int | None = None

    @property
    def is_staff(self) -> bool:
        """Whether an operator is at it: on a phone in the house or, for them, on one outside."""
        return self.endpoint.is_operator or (self.endpoint.is_trunk and not self.outsider)


class Call:
    """One client's whole contact, while it is on. `legs` are the live ones."""

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
        # What the last dial to the client came to.
        self.client_dial: Outcome | None = None
        # The client's last channel: gone, and when (None where nobody saw it go).
        self.client_gone = False
        # When a client who was called took it.
        self.client_up_ms: int | None = None
        self.ended_ms: int | None = None
        self.direction = _INTERNAL
        self.line = ""
        # Where in the dialplan the line was last looked up, and for which call of Queue().
        self.placed = False
        self.exten = ""
        self.context = ""
        self.queue = ""
        self.line_from_queue = False
        self.operator: str | None = None
        self.started_ms = first.created_ms
        self.answered_ms: int | None = None
        self.latency_ms: int | None = None
        # Who the client hears now, and since when; then what has been. In tuples, since many calls have none
        # of it (each channel begins as one): an empty tuple takes neither room nor time.
        self.contact: tuple[Leg, ...] = ()
        self.contact_ms: int | None = None
        self.last_contact: tuple[Leg, ...] = ()
        self.talks: list[tuple[int, int]] = []
        self.holds: tuple[tuple[Side, int, int, str], ...] = ()
        # Everybody's part in these talks, the client's included; of the client the one that is not over.
        self.parts: tuple[Part, ...] = ()
        self.clients_part: Part | None = None
        self.operator_speech: Spoken | None = None
        self.client_speech: Spoken | None = None
        self.quiet_ms = 0
        self.silent_since_ms: int | None = None
        self.attempts: list[Attempt] = []
        # Of too many attempts, the sums of those that are kept no longer.
        self.left_out: LeftOut | None = None
        self.transfers: tuple[TransferMade, ...] = ()
        self.requests: tuple[Request, ...] = ()
        self.ends: tuple[LegEnd, ...] = ()
        self.unobserved: tuple[tuple[int | None, int | None], ...] = ()
        # A break of the connection while it was on: what was told in between may be lost.
        self.interruption: tuple[int, int] | None = None
        self.silence: Deadline[Leg | Call] | None = None
        self.talk_limit: Deadline[Leg | Call] | None = None
        self.linger: Deadline[Leg | Call] | None = None
        # A call made of what an ended call left behind: its id has been used.
        self.spent = False
        # The leg that put the client on hold and then left the conversation to ask somebody.
        self.waits_for: Leg | None = None
        # After the last talk the client came to a queue, at this moment.
        self.waits_since_ms: int | None = None
        # Asterisk died under the talk, at this moment or before; seen of it was what came before the gap.
        self.died_ms: int | None = None
        # The operator may have spoken on until then.
        self.spoke_on = False
        # When the client came to the rating after a talk: what follows ends no conversation.
        self.handed_over_ms: int | None = None
        # How the last talk came apart, None while one is on.
        self.parted: Parted | None = None
        # The talk ended while nobody watched, and the client is still there: what follows ends no talk.
        self.parted_unseen = False
        # Somebody heard the client before the stream began; a talk was on then, of unknown length.
        self.was_bridged = False
        self.begun_unseen = False
        # Most calls have none.
        self.tags: tuple[Said, ...] = ()

    def side(self, leg: Leg) -> Side | None:
        """Which side of this call's conversation a leg is on, None for a bystander."""
        if leg is self.client:
            return _CLIENT
        return _OPERATOR if leg in self.contact else None
