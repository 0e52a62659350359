"""A PBX that nobody built for: its driver, version and dialplan, in the events its Asterisk would send.

What a channel's hang-up cause is, who sets it and which event tells it follows Asterisk's source
(chan_pjsip.c, `chan_pjsip_session_end`; app_dial.c; bridge_channel.c, `channel_set_cause`; channel.c,
`ast_queue_hangup`) and the recorded streams of 16 and 22. Calls are written in the words of
`tests/unit/calls/stream.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.unit.calls.stream import CLIENT, Phone, Room, Stream

Driver = Literal["PJSIP", "SIP", "IAX2", "DAHDI"]
# `old`: 16, 18, before 20.14, 21.9 and 22.4: a request has no cause. `middle`: it repeats an old one.
# `new`: 20.17, 22.7 and later: it has the SIP status too.
Version = Literal["old", "middle", "new"]

# What a SIP status comes to as a Q.850 cause (res_pjsip.c, ast_sip_hangup_sip2cause).
SIP2CAUSE: Final = {
    403: 21,
    404: 1,
    408: 18,
    480: 19,
    481: 127,
    484: 28,
    486: 17,
    487: 127,
    488: 58,
    500: 38,
    502: 27,
    503: 42,
    504: 102,
    580: 127,
    603: 21,
}
# … and a cause as a SIP status (chan_pjsip.c, hangup_cause2sip); the others give none.
CAUSE2SIP: Final = {
    1: 404,
    17: 486,
    18: 408,
    19: 480,
    21: 403,
    27: 502,
    28: 484,
    31: 480,
    34: 503,
    38: 500,
    42: 503,
    127: 500,
}
_CALLS_IN: Final[dict[Driver, tuple[str, ...]]] = {
    "PJSIP": ("Ring",),
    "SIP": ("Down", "Ring"),
    "IAX2": ("Ring",),
    "DAHDI": ("Rsrvd", "Ring"),
}


@dataclass(frozen=True)
class Site:
    """One PBX's configuration, as far as its events depend on it."""

    trunk: Driver = "PJSIP"
    phones: Driver = "PJSIP"
    version: Version = "new"
    channelvars: bool = True
    operator_heard: bool = True
    client_heard: bool = True

    def driver(self, phone: Phone) -> str:
        return phone.name.partition("/")[0]


class SiteStream(Stream):
    """A recording of calls on one site, under construction."""

    def __init__(self, site: Site) -> None:
        super().__init__(channelvars=site.channelvars)
        self.site = site
        self._cause: dict[str, int] = {}
        self._status: dict[str, int] = {}
        # The channels of which something told that their party is gone.
        self.asked: set[str] = set()

    # --- channels ------------------------------------------------------------------------------------

    def comes_in(self, number: str = CLIENT, *, endpoint: str = "trunk", exten: str = "1000") -> Phone:
        """Somebody outside, or an operator's phone, calls; the driver makes the channel its own way."""
        outside = endpoint == "trunk"
        driver = self.site.trunk if outside else self.site.phones
        name = f"DAHDI/i1/{number}-{self._serial:x}" if driver == "DAHDI" else ""
        context = "from-trunk" if outside else "from-internal"
        states = _CALLS_IN[driver]
        more = {"name": name} if name else {}
        phone = self._phone(
            f"{driver}/{endpoint}", states[0], number=number, context=context, exten=exten, **more
        )
        for state in states[1:]:
            self.wait(0.001)
            phone.state = state
            self._emit("ChannelStateChange", channel=phone)
        return phone

    def calls(self, caller: Phone, endpoint: str, number: str | None = None, *, app: str = "Dial") -> Phone:
        """The dialplan or a queue dials a phone or an outside number."""
        driver = self.site.trunk if endpoint == "trunk" else self.site.phones
        more: dict[str, Any] = {}
        if driver == "DAHDI":
            more["name"] = f"DAHDI/i1/{number}-{self._serial:x}"
        caller.app = (app, f"{driver}/{endpoint},20" if app == "Dial" else "support,,,,300")
        peer = self._phone(
            f"{driver}/{endpoint}",
            "Rsrvd" if driver == "DAHDI" else "Down",
            number=number or endpoint,
            context="from-internal",
            exten=caller.exten,
            dialled_by=caller,
            **more,
        )
        peer.app = (f"App{app}", "(Outgoing Line)")
        self._dial(peer, "", dialstring=f"{number}@trunk" if number else endpoint)
        return peer

    def rings_for(self, client: Phone, operator: str) -> Phone:
        """A program rings an operator for a client over ARI (originator, so both have one linkedid)."""
        phone = self._phone(
            f"{self.site.phones}/{operator}",
            "Down",
            number=operator,
            context="default",
            exten="s",
            channel_id=f"prog-{self._serial}",
        )
        phone.linkedid = client.linkedid
        phone.app = ("AppDial2", "(Outgoing Line)")
        self._dial(phone, "")
        return phone

    # --- causes --------------------------------------------------------------------------------------

    def cause(self, phone: Phone) -> int:
        return self._cause.get(phone.id, 0)

    def answers(self, phone: Phone) -> None:
        """The phone is lifted. Dial() then takes both sides for cleared normally."""
        self.answer(phone)
        caller = phone.dialled_by
        if caller is not None and caller.app[0] == "Dial" and phone.other_half is None:
            self._cause[caller.id] = self._cause[phone.id] = 16

    def refuses(self, phone: Phone, status: int, dialstatus: str) -> None:
        """The phone does not take the call. Dial() copies why to its caller; a queue does not."""
        cause = SIP2CAUSE[status]
        self._cause[phone.id] = cause
        if self.site.driver(phone) == "PJSIP":
            self._status[phone.id] = status
            self._asks(phone)
        self._dial(phone, dialstatus)
        self.goes(phone)
        if phone.dialled_by is not None and phone.dialled_by.app[0] == "Dial":
            self._cause[phone.dialled_by.id] = cause

    def gives_up_on(self, phone: Phone, dialstatus: str = "NOANSWER") -> None:
        """Whoever dials it stops."""
        self._dial(phone, dialstatus)
        self.goes(phone)

    # --- ends ----------------------------------------------------------------------------------------

    def says_bye(self, phone: Phone, reason: int | None = None) -> None:
        """A BYE (or a CANCEL), perhaps with `Reason: Q.850;cause=`; ISDN and IAX2 always tell a cause."""
        driver = self.site.driver(phone)
        if reason is not None:
            self._cause[phone.id] = reason
        elif driver in {"DAHDI", "IAX2"}:
            self._cause[phone.id] = 16
        if driver == "PJSIP":
            if phone.state != "Up" and phone.dialled_by is None:
                self._status[phone.id] = 487
                self._cause[phone.id] = self.cause(phone) or 127
            else:
                self._status.setdefault(phone.id, CAUSE2SIP.get(self.cause(phone), 0))
        self._asks(phone)

    def ends_with(self, phone: Phone, status: int) -> bool:
        """The dialogue ends with a SIP status; whether anything told that it did.

        The status becomes a cause only where the channel has none yet, which is so but for a queue.
        """
        fresh = not self.cause(phone)
        if fresh:
            self._cause[phone.id] = SIP2CAUSE[status]
        self._status[phone.id] = status
        self._asks(phone)
        return self.site.version == "new" or (fresh and SIP2CAUSE[status] != 127)

    def rtp_stops(self, phone: Phone) -> None:
        """No RTP comes any more. chan_sip tells nobody; chan_iax2 gives up on frames nobody acknowledges."""
        driver = self.site.driver(phone)
        self._cause[phone.id] = 27 if driver in {"IAX2", "DAHDI"} else 44
        if driver == "PJSIP":
            self.asked.add(phone.id)
            self.request(phone, 1, soft=True)
        elif driver != "SIP":
            self._asks(phone)

    def _asks(self, phone: Phone) -> None:
        """A ChannelHangupRequest with what this version tells in it."""
        cause: int | None = None
        more: dict[str, Any] = {}
        if self.site.version != "old" or self.site.driver(phone) == "SIP":
            cause = self.cause(phone) or None
        if self.site.version == "new" and self._status.get(phone.id, 0) > 299:
            more["tech_cause"] = self._status[phone.id]
        self.asked.add(phone.id)
        self.request(phone, cause, **more)

    def comes_down(self, phone: Phone, *, order: int = 0, h_s: float = 0) -> None:
        """The events after a hang-up: bridges, Local channels and partners go, in the order `order`.

        The channel that hung up stays that long in the h extension, if it has a dialplan.
        """
        left, chain = [phone], [phone]
        rooms: list[Room] = []
        while left:
            leg = left.pop()
            room = leg.room
            if room is None:
                continue
            others = [item for item in room.members if item is not leg]
            self.leaves(leg)
            if len(others) != 1:
                continue
            (other,) = others
            # Since 20.13 and 22.3 a cause that is there stays.
            if self.site.version == "old" or not self.cause(other):
                self._cause[other.id] = self.cause(leg) or 16
            self.leaves(other)
            rooms.append(room)
            self.close(room)
            chain.append(other)
            half = other.other_half
            if half is not None:
                self._cause[half.id] = self.cause(other)
                self.request(half, self.cause(half) if self.site.version != "old" else None)
                chain.append(half)
                left.append(half)
        for dialled in [item for item in self.phones if item.dialled_by is phone and item.room is None]:
            if dialled.other_half is not None:
                half = dialled.other_half
                for inner in [item for item in self.phones if item.dialled_by is half]:
                    self.gives_up_on(inner, "CANCEL")
                self.request(half, 16, soft=True)
                self.goes(half)
            self.gives_up_on(dialled, "CANCEL")
        if order:
            chain.reverse()
        for leg in chain:
            if leg is not phone or not h_s or phone.dialled_by is not None:
                self.goes(leg)
        if not phone.gone:
            self.wait(h_s)
            self.goes(phone)

    def goes(self, phone: Phone) -> None:
        """A channel's dialplan, where it has one, and the channel itself come to their end."""
        if phone.gone:
            return
        if phone.room is not None:
            self.leaves(phone)
        if phone.dialled_by is None and phone.app[0] not in {"AppDial2", ""}:
            self.request(phone, 16, soft=True)
        more: dict[str, Any] = {}
        if self.site.version == "new" and self._status.get(phone.id, 0) > 299:
            more["tech_cause"] = self._status[phone.id]
        self.destroy(phone, self.cause(phone), **more)
