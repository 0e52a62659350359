"""Who hung up first, with the evidence for it.

Facts behind the rules (real Asterisk 22): the first ChannelHangupRequest without `soft`, on an answered leg
that is no half of a Local channel, names the party. With `soft` the cause is not Q.850 but a set of
Asterisk's own flags (include/asterisk/channel.h); flag 16 alone is the end of a dialplan and names nobody.

A connection is lost if the driver says so (RTP timeout), if the leg ends with a SIP status that no person
sends (408, 481, 5xx), or with an abnormal Q.850 cause. A cause proves something about its own leg only:
Dial() copies the cause of the channel it dialled to the caller's channel, and Asterisk from 20.14, 21.9 and
22.4 on repeats a channel's old cause in its next hang-up request.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from callsteward.record.call import Confidence, Hangup, Party, Side

# AST_SOFTHANGUP_* in include/asterisk/channel.h.
_DRIVER: Final = 1  # the channel driver ended it: RTP timeout
_SHUTDOWN: Final = 4
_TIMEOUT: Final = 8  # TIMEOUT(absolute)
_EXPLICIT: Final = 32  # ARI DELETE, CLI, SoftHangup()

# Two BYEs sent at the same moment may arrive in either order: within this time the first one is only likely.
SIMULTANEOUS_MS: Final = 200

# AST_CAUSE_NO_USER_RESPONSE: on a leg that was up, Asterisk makes this of a SIP 408. Before 20.17 and 22.7,
# where no request carries a SIP status, nothing else is left of the 408.
_NO_RESPONSE: Final = 18
# AST_CAUSE_INTERWORKING: Asterisk makes this of every SIP status for which it has no cause, and of a Q.850
# cause that says nothing; its own SIP status for it is 500 (hangup_cause2sip in channels/chan_pjsip.c).
_INTERWORKING: Final = 127
# SIP statuses of a failed dialogue that hangup_cause2sip makes of Q.850 causes. Such a status together with
# such a cause may have been made of it, and is worth no more than the cause.
_STATUS_OF: Final = {18: 408, 27: 502, 29: 501, 34: 503, 38: 500, 42: 503, 66: 503, 127: 500}
_NOTHING: Final[Sequence[int]] = ()
# AST_CAUSE_REQUESTED_CHAN_UNAVAIL: the channel drivers give this to a leg that sends no RTP any more.
_RTP_TIMEOUT: Final = 44


class HangupRequest:
    """A ChannelHangupRequest on a leg of the conversation. `cause` is Q.850 unless `soft`."""

    __slots__ = (
        "at_ms",
        "cause",
        "channel",
        "inherited",
        "passed_back",
        "restarted",
        "side",
        "soft",
        "tech_cause",
        "third_party",
        "up",
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
        *,
        up: bool = True,
        inherited: Sequence[int] | None = None,
    ) -> None:
        self.at_ms = at_ms
        self.side = side
        self.channel = channel
        self.cause = cause
        self.tech_cause = tech_cause
        self.soft = soft
        self.passed_back = passed_back
        self.third_party = third_party
        # Asterisk requested nothing: it was restarted, and this leg existed before.
        self.restarted = restarted
        self.up = up
        # Causes of phones that this channel dialled, which Asterisk copied to it.
        self.inherited = _NOTHING if inherited is None else inherited


def of_restart(at_ms: int, side: Side, channel: str) -> HangupRequest:
    """The request that a restart of Asterisk amounts to for a leg."""
    return HangupRequest(at_ms, side, channel, _SHUTDOWN, None, soft=True, restarted=True)


class LegEnd:
    """A ChannelDestroyed of a leg of the conversation. `source`: hangupsource, None if it was not sent."""

    __slots__ = ("cause", "channel", "inherited", "passed_back", "refused", "side", "source", "tech_cause")

    def __init__(
        self,
        side: Side,
        channel: str,
        cause: int,
        tech_cause: int | None,
        source: str | None,
        passed_back: bool = False,
        inherited: Sequence[int] | None = None,
        *,
        refused: bool = False,
    ) -> None:
        self.side = side
        self.channel = channel
        self.cause = cause
        self.tech_cause = tech_cause
        self.source = source
        # The cause came from the phones that this leg dialled: Asterisk passed it on.
        self.passed_back = passed_back
        # As it is now: phones that end later change it no more.
        self.inherited = _NOTHING if inherited is None else tuple(inherited)
        # A dialled line that was never up: the dial failed, no connection was lost.
        self.refused = refused


class Parted:
    """How a conversation came apart.

    `by`: the side whose leg left first; None if that was a relay, or was not seen. `causes`: the causes that
    the client's channel had by then from phones dialled for it.
    """

    __slots__ = ("by", "causes")

    def __init__(self, by: Side | None, causes: Sequence[int]) -> None:
        self.by = by
        self.causes = causes


_PARTY: Final = {Side.CLIENT: Party.CLIENT, Side.OPERATOR: Party.OPERATOR}
_PBX: Final = Party.PBX
_NETWORK: Final = Party.NETWORK
_UNKNOWN: Final = Party.UNKNOWN
_CLIENT: Final = Side.CLIENT
_CERTAIN: Final = Confidence.CERTAIN
_LIKELY: Final = Confidence.LIKELY


def attribute(
    requests: Sequence[HangupRequest],
    ends: Sequence[LegEnd],
    abnormal_causes: Collection[int],
    *,
    end_seen: bool = True,
    parted: Parted | None = None,
) -> Hangup:
    """Who ended the conversation, by its hang-up requests in order and the ends of its legs.

    `end_seen`: the end of the client's last channel was seen. If it was not, a missing request means nothing:
    another leg that ended may belong to a colleague who transferred the call earlier. `parted`: how the
    conversation came apart; None if there never was one.
    """
    for index, request in enumerate(requests):
        if request.soft:
            verdict = _soft(request, ends, abnormal_causes)
            if verdict is not None:
                return verdict
            continue
        if request.passed_back:
            return _of(_PBX, request, ends, (f"{_told(request)}: Asterisk passed the end of the dial on",))
        lost = _loss(request, ends, abnormal_causes)
        if lost is not None:
            return _lost(request.side, ends, f"{_told(request)}: {lost}", request)
        return _plain(request, requests[index + 1 :], ends, abnormal_causes)
    unrequested = _lost_unrequested(ends, abnormal_causes, parted)
    if unrequested is not None:
        return unrequested
    if not end_seen:
        return Hangup(_UNKNOWN, None, None, ("the end was not observed",), Confidence.UNKNOWN)
    return _unrequested(requests, ends)


def requester(request: HangupRequest) -> Party | None:
    """The party that a request speaks for, taken by itself; None for the end of a dialplan."""
    if not request.soft:
        return _UNKNOWN if request.third_party else _PARTY[request.side]
    flags = request.cause or 0
    if flags & _DRIVER:
        return _NETWORK
    return _PBX if flags & (_SHUTDOWN | _TIMEOUT | _EXPLICIT) else None


def simultaneous(requests: Sequence[HangupRequest], at_ms: int) -> bool:
    """True if a request at this moment coincides with one that a party made."""
    return any(not item.soft and at_ms - item.at_ms <= SIMULTANEOUS_MS for item in requests)


def _told(request: HangupRequest) -> str:
    if request.restarted:
        return f"{request.channel} was on when Asterisk was restarted"
    if request.soft:
        return f"hang-up request on {request.channel} (soft {request.cause})"
    return f"hang-up request on {request.channel} (cause {request.cause})"


def _loss(request: HangupRequest, ends: Sequence[LegEnd], abnormal_causes: Collection[int]) -> str | None:
    """The evidence that a request is the end of a lost connection; None if a person made it."""
    why = _fault(request.cause, request.tech_cause, request, abnormal_causes)
    if why is None and request.cause is None:
        # Asterisk before 20.14, 21.9 and 22.4 gives the cause with the leg's end only.
        end = _own_end(request, ends)
        if end is not None:
            why = _fault(end.cause, None, request, abnormal_causes)
            if why is not None:
                why = f"{end.channel} destroyed with cause {end.cause}, {why}"
    return why


def _fault(
    cause: int | None, status: int | None, request: HangupRequest, abnormal_causes: Collection[int]
) -> str | None:
    """The fault of its leg that a Q.850 cause and a SIP status prove; None if they prove nothing."""
    own = cause is not None and cause not in request.inherited
    if request.up and status is not None and (status in {408, 481} or 500 <= status < 600):
        # If no status came in, Asterisk makes one of the cause: then it says no more than the cause.
        made_of_cause = cause is not None and _STATUS_OF.get(cause) == status
        if not made_of_cause or (own and cause != _INTERWORKING):
            return f"SIP {status}, the connection was lost"
    if not own:
        return None
    if cause in abnormal_causes:
        return "abnormal"
    return "no response, the connection was lost" if request.up and cause == _NO_RESPONSE else None


def _own_end(request: HangupRequest, ends: Sequence[LegEnd]) -> LegEnd | None:
    for end in ends:
        if end.channel == request.channel:
            return end
    return None


def _end_of(side: Side, ends: Sequence[LegEnd]) -> LegEnd | None:
    for end in ends:
        if end.side is side:
            return end
    return None


def _of(
    party: Party,
    request: HangupRequest,
    ends: Sequence[LegEnd],
    evidence: tuple[str, ...],
    confidence: Confidence = _CERTAIN,
    lost_side: Side | None = None,
) -> Hangup:
    """A verdict with the Q.850 cause of the leg that was requested to hang up."""
    end = _end_of(request.side, ends)
    cause = None if request.soft else request.cause
    tech_cause = request.tech_cause
    if end is not None:
        cause = end.cause if cause is None else cause
        tech_cause = end.tech_cause if tech_cause is None else tech_cause
    return Hangup(party, cause, tech_cause, evidence, confidence, lost_side)


def _lost(side: Side, ends: Sequence[LegEnd], evidence: str, request: HangupRequest) -> Hangup:
    more: tuple[str, ...] = ()
    end = _end_of(side, ends)
    if end is not None and end.cause:
        more = (f"{end.channel} destroyed with cause {end.cause}",)
    return _of(_NETWORK, request, ends, (evidence, *more), lost_side=side)


def _lost_unrequested(
    ends: Sequence[LegEnd], abnormal_causes: Collection[int], parted: Parted | None
) -> Hangup | None:
    """A connection lost by a leg's end alone: chan_sip reports an RTP timeout in no other way.

    If the legs of both sides end with a cause that neither had before, Asterisk copied it from the lost leg
    to the other one: the leg that left the conversation first was lost.
    """
    for end in ends:
        if end.cause not in abnormal_causes or end.passed_back or end.refused:
            continue
        if parted is not None:
            if end.cause in parted.causes:
                continue  # from a phone before the talk: through the client's channel it reaches any leg
            alike = [item for item in ends if item.cause == end.cause and item.side is not end.side]
            if alike:
                return _lost_by_either((end, alike[0]), parted.by)
        if end.cause not in end.inherited:
            evidence = f"{end.channel} destroyed with cause {end.cause}: abnormal"
            return Hangup(_NETWORK, end.cause, end.tech_cause, (evidence,), _CERTAIN, end.side)
    return None


def _lost_by_either(ends: Sequence[LegEnd], parted_by: Side | None) -> Hangup:
    """The verdict if the legs of both sides ended alike: one of the two was lost."""
    left = _end_of(parted_by, ends) if parted_by is not None else None
    end = left if left is not None else ends[0]
    how = (
        f"{end.channel} left the conversation first" if left is not None else "which left first was not seen"
    )
    evidence = (
        f"{end.channel} destroyed with cause {end.cause}: abnormal",
        f"both sides' legs have it, {how}",
    )
    return Hangup(
        _NETWORK, end.cause, end.tech_cause, evidence, _LIKELY, left.side if left is not None else None
    )


def _soft(request: HangupRequest, ends: Sequence[LegEnd], abnormal_causes: Collection[int]) -> Hangup | None:
    flags = request.cause or 0
    own_end = _own_end(request, ends)
    if flags & _DRIVER and own_end is not None:
        copied = own_end.cause in request.inherited and own_end.cause != _RTP_TIMEOUT
        if copied or own_end.cause not in abnormal_causes:
            return None  # a leg that Asterisk swapped out of a bridge: an attended transfer, a Local channel
    if flags & _DRIVER:
        return _lost(
            request.side, ends, f"{_told(request)}: the channel driver ended it (RTP timeout)", request
        )
    if flags & _SHUTDOWN:
        return _of(_PBX, request, ends, (f"{_told(request)}: Asterisk shut down",))
    if flags & _EXPLICIT:
        return _of(_PBX, request, ends, (f"{_told(request)}: ended by an administrator or a program",))
    if flags & _TIMEOUT:
        return _of(_PBX, request, ends, (f"{_told(request)}: the dialplan's time limit",))
    return None


def _plain(
    first: HangupRequest,
    later: Sequence[HangupRequest],
    ends: Sequence[LegEnd],
    abnormal_causes: Collection[int],
) -> Hangup:
    evidence = [_told(first)]
    confidence = _CERTAIN
    cause = first.cause
    if cause is None:
        end = _own_end(first, ends)
        cause = end.cause if end is not None else None
    if cause is not None and cause in first.inherited:
        evidence.append(f"cause {cause} is that of a phone dialled before")
        if cause in abnormal_causes or cause == _NO_RESPONSE:
            confidence = _LIKELY  # the party's own connection may have ended with the same cause
    party = _PARTY[first.side]
    if first.third_party:
        # Somebody outside to whom the client was transferred: neither client nor operator.
        party = _UNKNOWN
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


def _source(ends: Sequence[LegEnd], requests: Sequence[HangupRequest] = ()) -> str | None:
    """The channel that hung up first according to Asterisk, if it was in this conversation.

    Asterisk notes it once per channel: after a transfer it can name somebody who left long ago.
    """
    for end in ends:
        source = end.source
        if source is None:
            continue
        if any(end.channel == source for end in ends) or any(item.channel == source for item in requests):
            return source
    return None


def _unrequested(requests: Sequence[HangupRequest], ends: Sequence[LegEnd]) -> Hangup:
    """Nobody requested the end: it came from the channel that Asterisk names, else from Asterisk itself."""
    source = _source(ends)
    for end in ends:
        if source is not None and end.channel == source and not end.refused:
            return Hangup(
                _PARTY[end.side],
                end.cause,
                end.tech_cause,
                (f"hangupsource {source}", "no hang-up request"),
                _LIKELY,
            )
    if requests or ends:
        # The order in which the legs' ends are reported is chance; the client's leg says what the client met.
        first = _end_of(_CLIENT, ends) or (ends[0] if ends else None)
        evidence = "no hang-up request of a party before the dialplan's end"
        if first is not None and first.refused:
            evidence = f"{first.channel} was dialled in vain (cause {first.cause})"
        return Hangup(
            _PBX,
            None if first is None else first.cause,
            None if first is None else first.tech_cause,
            (evidence,),
            _LIKELY,
        )
    return Hangup(_UNKNOWN, None, None, ("the end was not observed",), Confidence.UNKNOWN)
