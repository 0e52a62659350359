"""Who hung up first, with the evidence it rests on.

Facts behind it (real Asterisk 22): the first ChannelHangupRequest without `soft`, on an answered leg
that is no Local half, names the party. With `soft` the cause is a set of flags of Asterisk's own
(include/asterisk/channel.h), not Q.850; flag 16 alone is a dialplan's end and names nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from callsteward.calls.record import Confidence, Hangup, Party, Side

# AST_SOFTHANGUP_* in include/asterisk/channel.h.
_DRIVER: Final = 1  # the channel driver ended it: RTP timeout
_SHUTDOWN: Final = 4
_TIMEOUT: Final = 8  # TIMEOUT(absolute)
_EXPLICIT: Final = 32  # ARI DELETE, CLI, SoftHangup()

# Two BYEs on the wire at once arrive in either order; within this the first one is only likely.
SIMULTANEOUS_MS: Final = 200


class Request:
    """A ChannelHangupRequest on a leg of the conversation. `cause` is Q.850 unless `soft`."""

    __slots__ = (
        "at_ms",
        "cause",
        "channel",
        "passed_back",
        "restarted",
        "side",
        "soft",
        "tech_cause",
        "third_party",
    )

    def __init__(
        self,
        at_ms: int,
        side: Side,
        channel: str,
        cause: int | None,
        tech_cause: int | None,
        soft: bool,
        passed_back: bool = False,
        third_party: bool = False,
        restarted: bool = False,
    ) -> None:
        self.at_ms = at_ms
        self.side = side
        self.channel = channel
        self.cause = cause
        self.tech_cause = tech_cause
        self.soft = soft
        self.passed_back = passed_back
        self.third_party = third_party
        # Asterisk asked for nothing: it was started anew, and this leg was on before.
        self.restarted = restarted


def of_restart(at_ms: int, side: Side, channel: str) -> Request:
    """What a restart of Asterisk comes to for a leg, as if it had been able to say so."""
    return Request(at_ms, side, channel, _SHUTDOWN, None, soft=True, restarted=True)


class LegEnd:
    """A ChannelDestroyed of a leg of the conversation. `source`: hangupsource, None where not sent."""

    __slots__ = ("cause", "channel", "passed_back", "side", "source", "tech_cause")

    def __init__(
        self,
        side: Side,
        channel: str,
        cause: int,
        tech_cause: int | None,
        source: str | None,
        passed_back: bool = False,
    ) -> None:
        self.side = side
        self.channel = channel
        self.cause = cause
        self.tech_cause = tech_cause
        self.source = source
        # The cause is that of the phones it dialled: Asterisk handed it on.
        self.passed_back = passed_back


_PARTY: Final = {Side.CLIENT: Party.CLIENT, Side.OPERATOR: Party.OPERATOR}
_CERTAIN: Final = Confidence.CERTAIN
_LIKELY: Final = Confidence.LIKELY


def attribute(
    requests: Sequence[Request],
    ends: Sequence[LegEnd],
    abnormal_causes: Collection[int],
    *,
    end_seen: bool = True,
) -> Hangup:
    """Who ended the conversation, from its hang-up requests in order and the ends of its legs.

    `end_seen`: the client's last channel ended before our eyes. Where it did not, nothing follows from no
    request having been seen: another leg's end is that of a colleague who transferred the call earlier.
    """
    for index, request in enumerate(requests):
        if request.soft:
            verdict = _soft(request, ends, abnormal_causes)
            if verdict is not None:
                return verdict
            continue
        if request.passed_back:
            return _of(
                Party.PBX, request, ends, (f"{_told(request)}: Asterisk passed the end of the dial on",)
            )
        if request.cause in abnormal_causes:
            return _lost(request.side, ends, f"{_told(request)}: abnormal", request)
        return _plain(request, requests[index + 1 :], ends)
    for end in ends:
        if end.cause in abnormal_causes and not end.passed_back:
            evidence = f"{end.channel} destroyed with cause {end.cause}: abnormal"
            return Hangup(Party.NETWORK, end.cause, end.tech_cause, (evidence,), Confidence.CERTAIN, end.side)
    if not end_seen:
        return Hangup(Party.UNKNOWN, None, None, ("the end was not observed",), Confidence.UNKNOWN)
    return _unrequested(requests, ends)


def requester(request: Request) -> Party | None:
    """Whom a request speaks for as it comes, None for the end of a dialplan."""
    if not request.soft:
        return Party.UNKNOWN if request.third_party else _PARTY[request.side]
    flags = request.cause or 0
    if flags & _DRIVER:
        return Party.NETWORK
    return Party.PBX if flags & (_SHUTDOWN | _TIMEOUT | _EXPLICIT) else None


def simultaneous(requests: Sequence[Request], at_ms: int) -> bool:
    """Whether a request at this moment comes together with one a party has made."""
    return any(not item.soft and at_ms - item.at_ms <= SIMULTANEOUS_MS for item in requests)


def _told(request: Request) -> str:
    if request.restarted:
        return f"{request.channel} was on when Asterisk was restarted"
    kind = f"soft {request.cause}" if request.soft else f"cause {request.cause}"
    return f"hang-up request on {request.channel} ({kind})"


def _end_of(side: Side, ends: Sequence[LegEnd]) -> LegEnd | None:
    for end in ends:
        if end.side is side:
            return end
    return None


def _of(
    party: Party,
    request: Request,
    ends: Sequence[LegEnd],
    evidence: tuple[str, ...],
    confidence: Confidence = _CERTAIN,
    lost_side: Side | None = None,
) -> Hangup:
    """A verdict with the Q.850 cause of the leg that the request was for."""
    end = _end_of(request.side, ends)
    cause = None if request.soft else request.cause
    tech_cause = request.tech_cause
    if end is not None:
        cause = end.cause if cause is None else cause
        tech_cause = end.tech_cause if tech_cause is None else tech_cause
    return Hangup(party, cause, tech_cause, evidence, confidence, lost_side)


def _lost(side: Side, ends: Sequence[LegEnd], evidence: str, request: Request) -> Hangup:
    more: tuple[str, ...] = ()
    end = _end_of(side, ends)
    if end is not None and end.cause:
        more = (f"{end.channel} destroyed with cause {end.cause}",)
    return _of(Party.NETWORK, request, ends, (evidence, *more), lost_side=side)


def _soft(request: Request, ends: Sequence[LegEnd], abnormal_causes: Collection[int]) -> Hangup | None:
    flags = request.cause or 0
    own_end = next((end for end in ends if end.channel == request.channel), None)
    if flags & _DRIVER and own_end is not None and own_end.cause not in abnormal_causes:
        return None  # a leg that Asterisk swapped out of a bridge: an attended transfer, a Local channel
    if flags & _DRIVER:
        return _lost(
            request.side, ends, f"{_told(request)}: the channel driver ended it (RTP timeout)", request
        )
    if flags & _SHUTDOWN:
        return _of(Party.PBX, request, ends, (f"{_told(request)}: Asterisk shut down",))
    if flags & _EXPLICIT:
        return _of(Party.PBX, request, ends, (f"{_told(request)}: ended by an administrator or a program",))
    if flags & _TIMEOUT:
        return _of(Party.PBX, request, ends, (f"{_told(request)}: the dialplan's time limit",))
    return None


def _plain(first: Request, later: Sequence[Request], ends: Sequence[LegEnd]) -> Hangup:
    evidence = [_told(first)]
    confidence = _CERTAIN
    party = _PARTY[first.side]
    if first.third_party:
        # Somebody outside whom the client was handed to: neither client nor operator.
        party = Party.UNKNOWN
        evidence.append("a third party")
    for request in later:
        if (
            not request.soft
            and request.side is not first.side
            and request.at_ms - first.at_ms <= SIMULTANEOUS_MS
        ):
            evidence.append(f"{_told(request)} {request.at_ms - first.at_ms} ms later")
            confidence = _LIKELY
            break
    source = _source(ends, (first, *later))
    if source is not None:
        evidence.append(f"hangupsource {source}")
        if source != first.channel:
            confidence = _LIKELY
    return _of(party, first, ends, tuple(evidence), confidence)


def _source(ends: Sequence[LegEnd], requests: Sequence[Request] = ()) -> str | None:
    """The channel that hung up first as Asterisk notes it, if it was in this conversation.

    The note is made once per channel: after a transfer it can name somebody who left long ago.
    """
    for end in ends:
        source = end.source
        if source is None:
            continue
        if any(end.channel == source for end in ends) or any(item.channel == source for item in requests):
            return source
    return None


def _unrequested(requests: Sequence[Request], ends: Sequence[LegEnd]) -> Hangup:
    """Nobody asked for it: the channel it came from if Asterisk names one, else Asterisk itself."""
    source = _source(ends)
    for end in ends:
        if source is not None and end.channel == source:
            return Hangup(
                _PARTY[end.side],
                end.cause,
                end.tech_cause,
                (f"hangupsource {source}", "no hang-up request"),
                Confidence.LIKELY,
            )
    if requests or ends:
        # Which leg's end is told first is chance; the client's says what the client met.
        first = _end_of(Side.CLIENT, ends) or (ends[0] if ends else None)
        evidence = "no hang-up request of a party before the dialplan's end"
        return Hangup(
            Party.PBX,
            None if first is None else first.cause,
            None if first is None else first.tech_cause,
            (evidence,),
            Confidence.LIKELY,
        )
    return Hangup(Party.UNKNOWN, None, None, ("the end was not observed",), Confidence.UNKNOWN)
