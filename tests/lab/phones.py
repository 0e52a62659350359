"""Real SIP phones (PJSIP), driven from a script written top to bottom.

All phones of a scenario live in one process and one thread: the script says what they
do, ``Exchange.wait`` and ``Exchange.until`` let the SIP stack run meanwhile. A phone
that shall vanish without a BYE lives in a process of its own (``vanishing``).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pjsua2 as pj

from tests.lab.errors import LabError
from tests.lab.lanes import PASSWORD, OutsideLine
from tests.lab.priority import go_first
from tests.lab.sounds import write_silence, write_speech
from tests.lab.truth import tell

PUMP_MS = 5
"""Truth times are as fine as the pump's step."""
DIGIT_PACKETS = 17
"""A key is ten packets of 20 ms, its end said three times, and the pause before the next."""
AUDIBLE = 5
"""Of a level from 0 to 255: the pauses of a prompt are below it, its words and tones far above."""
PROMPT_OVER_S = 0.8
"""Longer than the pauses in a prompt and between two, shorter than the time to answer behind them."""


class Other(Protocol):
    """A phone that is none of PJSIP's; it lives by the same pump."""

    def keep_habits(self, now: float) -> None:
        """Let it do what is due. `now`: of the monotonic clock."""
        ...

    def close(self) -> None:
        """End its call and go offline."""
        ...


class Exchange:
    """The SIP stack of this process and every phone in it; use as a context manager."""

    def __init__(self, sip_port: int, *, log_level: int = 0) -> None:
        self.sip_port = sip_port
        self._log_level = log_level
        self._endpoint = pj.Endpoint()
        self.phones: list[Phone] = []
        self.others: list[Other] = []
        self._sounds = tempfile.TemporaryDirectory(prefix="callsteward-lab-")
        self.speech = Path(self._sounds.name) / "speech.wav"
        self.silence = Path(self._sounds.name) / "silence.wav"

    def __enter__(self) -> Self:
        go_first()
        write_speech(self.speech)
        write_silence(self.silence)
        self._endpoint.libCreate()
        settings = pj.EpConfig()
        settings.uaConfig.threadCnt = 0
        settings.uaConfig.mainThreadOnly = True
        settings.uaConfig.maxCalls = 24
        settings.uaConfig.userAgent = "callsteward-lab"
        settings.logConfig.level = self._log_level
        settings.logConfig.consoleLevel = self._log_level
        settings.medConfig.noVad = True
        settings.medConfig.clockRate = 8000
        settings.medConfig.sndClockRate = 8000
        settings.medConfig.ecTailLen = 0
        settings.medConfig.threadCnt = 1
        self._endpoint.libInit(settings)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        codecs = self._endpoint.codecEnum2()
        for codec in codecs:
            wanted = codec.codecId.startswith("PCMU")
            self._endpoint.codecSetPriority(codec.codecId, 255 if wanted else 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for phone in self.phones:
            for call in list(phone.calls):
                call.close()
        for other in self.others:
            other.close()
        self.wait(0.2)
        # Else the PBX would go on ringing a phone that is no more.
        for phone in self.phones:
            phone.unregister()
        self.wait(0.2)
        self._sounds.cleanup()

    def operator(self, user: str, **habits: object) -> Phone:
        """A registered operator's phone."""
        return self._phone(Phone(self, user, user, "127.0.0.1", PASSWORD), habits)

    def outside(self, line: OutsideLine, who: str = "client", **habits: object) -> Phone:
        """A phone in the outside world on one of the lane's outside lines."""
        phone = Phone(self, who, line.number, line.address, None, registers_as=line.registers_as)
        return self._phone(phone, habits)

    def _phone(self, phone: Phone, habits: dict[str, object]) -> Phone:
        for name, value in habits.items():
            if not hasattr(phone, name):
                message = f"a phone has no habit {name!r}"
                raise LabError(message)
            setattr(phone, name, value)
        self.phones.append(phone)
        # A REGISTER that was lost is sent again after 0.5, 1, 2 and 4 s.
        self.until(lambda: phone.registered, 20, f"{phone.number} to register")
        return phone

    @property
    def ear(self) -> pj.AudioMedia:
        """Where whoever holds these phones listens: a device without a sound."""
        return self._endpoint.audDevManager().getPlaybackDevMedia()

    def pump(self) -> None:
        """Let the SIP stack run for one step, then let the phones keep their habits."""
        self._endpoint.libHandleEvents(PUMP_MS)
        now = time.monotonic()
        for phone in self.phones:
            phone.keep_habits(now)
        for other in self.others:
            other.keep_habits(now)

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.pump()

    def until(self, happened: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for something; LabError if it does not come."""
        deadline = time.monotonic() + limit_s
        while not happened():
            if time.monotonic() > deadline:
                message = f"waited {limit_s} s in vain for {what}"
                raise LabError(message)
            self.pump()

    def leave(self, status: int = 0) -> None:
        """End the process at once: tearing the SIP stack down from Python may crash."""
        os._exit(status)


class Phone(pj.Account):  # type: ignore[misc]
    """One phone: an account, its calls, and what it does when it rings.

    Habits (set them on the phone): ``answer_after_s`` None rings for ever;
    ``reject_with`` answers with that status instead (486 busy, 603 declined, 302 with
    ``forward_to``).
    """

    def __init__(
        self,
        exchange: Exchange,
        who: str,
        number: str,
        address: str,
        password: str | None,
        *,
        registers_as: str = "",
    ) -> None:
        super().__init__()
        self.exchange = exchange
        self.who = who
        self.number = number
        self.calls: list[Line] = []
        self.registered = False
        self.answer_after_s: float | None = 2.0
        self.reject_with: int | None = None
        self.reject_after_s = 0.5
        self.forward_to: str | None = None
        self._due: list[tuple[float, Callable[[], None]]] = []

        transport = pj.TransportConfig()
        transport.boundAddress = address
        transport_id = exchange._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        settings = pj.AccountConfig()
        settings.idUri = f"sip:{number}@127.0.0.1"
        if not registers_as:
            settings.regConfig.registrarUri = f"sip:127.0.0.1:{exchange.sip_port}"
            settings.regConfig.timeoutSec = 3600
        settings.sipConfig.transportId = transport_id
        if password is not None:
            settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", number, 0, password))
        settings.mediaConfig.transportConfig.boundAddress = address
        settings.mediaConfig.transportConfig.port = 33000 + (os.getpid() * 40) % 24000
        settings.mediaConfig.transportConfig.portRange = 8000
        settings.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
        settings.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
        self.create(settings)
        self._registration: _Registration | None = None
        if registers_as:
            self._registration = _Registration(self, registers_as, transport_id)

    # --- what the SIP stack tells -------------------------------------------------
    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802
        self.registered = prm.code == 200 and prm.expiration > 0

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802
        call = Line(self, prm.callId)
        self.calls.append(call)
        tell("ring", who=self.who)
        call.send_status(180)
        if self.reject_with is not None:
            self.later(self.reject_after_s, call.reject)
        elif self.answer_after_s is not None:
            self.later(self.answer_after_s, call.pick_up)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do it from the pump: not from within the SIP stack's own callback."""
        self._due.append((time.monotonic() + seconds, act))

    def keep_habits(self, now: float) -> None:
        due = [item for item in self._due if item[0] <= now]
        for item in due:
            self._due.remove(item)
            item[1]()

    # --- what the script says -----------------------------------------------------
    def dial(self, number: str) -> Line:
        """Call ``number`` at the PBX."""
        call = Line(self)
        self.calls.append(call)
        tell("dial", who=self.who, to=number)
        uri = f"sip:{number.replace('#', '%23')}@127.0.0.1:{self.exchange.sip_port}"
        call.makeCall(uri, pj.CallOpParam(True))
        return call

    def unregister(self) -> None:
        """Go offline as a phone does that is switched off properly."""
        if self.registered:
            self.registered = False
            (self._registration or self).setRegistration(False)

    @property
    def line(self) -> Line:
        """The newest call that is not over."""
        for call in reversed(self.calls):
            if not call.over:
                return call
        message = f"{self.who} has no call"
        raise LabError(message)

    def is_idle(self) -> bool:
        return all(call.over for call in self.calls)

    def is_talking(self) -> bool:
        """In an answered call."""
        return any(call.up and not call.over for call in self.calls)

    def is_ringing(self) -> bool:
        return any(not call.up and not call.over for call in self.calls)


class _Registration(pj.Account):  # type: ignore[misc]
    """The registration of a phone that registers by another name than it calls by."""

    def __init__(self, phone: Phone, name: str, transport_id: int) -> None:
        super().__init__()
        self._phone = phone
        settings = pj.AccountConfig()
        settings.idUri = f"sip:{name}@127.0.0.1"
        settings.regConfig.registrarUri = f"sip:127.0.0.1:{phone.exchange.sip_port}"
        settings.regConfig.timeoutSec = 3600
        settings.sipConfig.transportId = transport_id
        self.create(settings)

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802
        self._phone.onRegState(prm)


class Line(pj.Call):  # type: ignore[misc]
    """One call of one phone."""

    def __init__(self, phone: Phone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone, call_id)
        self.phone = phone
        self.up = False
        self.over = False
        self.early = False
        self.status = 0
        self.transfer_status = 0
        self._speaking = False
        self._speech: pj.AudioMediaPlayer | None = None
        self._silence: pj.AudioMediaPlayer | None = None

    # --- what the SIP stack tells -------------------------------------------------
    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802
        info = self.getInfo()
        self.status = info.lastStatusCode
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self.early = True
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.up = True
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.up = False
            self.over = True
            # Keep the object: the script still asks it what happened.

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802
        media = self._media()
        if media is None:
            return
        if self._silence is None:
            self._silence = _player(self.phone.exchange.silence)
        self._silence.startTransmit(media)
        # The level of what nobody listens to is not measured.
        media.startTransmit(self.phone.exchange.ear)
        if self._speaking and self._speech is not None:
            self._speech.startTransmit(media)

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:  # noqa: N802
        # Asterisk leaves the ending of the transferer's dialog to the phone.
        self.transfer_status = prm.statusCode
        if prm.statusCode >= 200:
            prm.cont = False
            if prm.statusCode // 100 == 2:
                self.phone.later(0.0, self.release)

    def is_decided(self) -> bool:
        """Answered, or over without an answer."""
        return self.up or self.over

    # --- answering ----------------------------------------------------------------
    def send_status(self, code: int) -> None:
        parameters = pj.CallOpParam(True)
        parameters.statusCode = code
        self.answer(parameters)

    def pick_up(self) -> None:
        if self.over or self.up:
            return
        self.send_status(200)
        tell("answer", who=self.phone.who)

    def reject(self) -> None:
        if self.over or self.phone.reject_with is None:
            return
        parameters = pj.CallOpParam(True)
        parameters.statusCode = self.phone.reject_with
        target = self.phone.forward_to
        if target is not None:
            header = pj.SipHeader()
            header.hName = "Contact"
            header.hValue = f"<sip:{target}@127.0.0.1:{self.phone.exchange.sip_port}>"
            parameters.txOption.headers.append(header)
        self.answer(parameters)
        if target is not None:
            tell("forward", who=self.phone.who, to=target)
        else:
            tell("reject", who=self.phone.who, status=self.phone.reject_with)

    # --- speaking -----------------------------------------------------------------
    def talk(self) -> None:
        # The sound is there a few ms after the answer, or after an unhold.
        self.phone.exchange.until(lambda: self._media() is not None, 2, f"{self.phone.who} to have sound")
        media = self._media()
        if self._speech is None:
            self._speech = _player(self.phone.exchange.speech)
        self._speech.setPos(0)
        self._speech.startTransmit(media)
        self._speaking = True
        tell("talk", who=self.phone.who)

    def hush(self) -> None:
        media = self._media()
        if self._speech is not None and media is not None:
            self._speech.stopTransmit(media)
        self._speaking = False
        tell("hush", who=self.phone.who)

    def press(self, digits: str) -> None:
        """DTMF as RFC 4733 telephone events."""
        for digit in digits:
            tell("dtmf", who=self.phone.who, digit=digit)
            gone_out = self._packets_sent() + DIGIT_PACKETS
            self.dialDtmf(digit)
            # The clock on the wall may be ahead of the one that sends: what matters is what went out.
            self.phone.exchange.until(
                partial(self._has_sent, gone_out), 5, f"{self.phone.who} to have pressed {digit}"
            )

    def _has_sent(self, packets: int) -> bool:
        return self.over or self._packets_sent() >= packets

    def _packets_sent(self) -> int:
        """RTP packets so far, of sound and of keys."""
        return 0 if self.over else int(self.getStreamStat(0).rtcp.txStat.pkt)

    # --- listening ----------------------------------------------------------------
    @property
    def hears(self) -> bool:
        """True if there is sound on the line at this moment."""
        media = self._media()
        # What comes from the far end: the binding's names are those of the bridge behind it.
        return media is not None and media.getTxLevel() >= AUDIBLE

    def until_heard(self, limit_s: float = 20) -> None:
        """Until there is sound: a prompt is being played."""
        self._listen(lambda: self.hears, limit_s, "hear something")

    def hear_out(self, limit_s: float = 30) -> None:
        """Until a prompt has been heard to its end, with what follows it without a pause."""
        self.until_heard(limit_s)
        sounded = time.monotonic()

        def quiet() -> bool:
            nonlocal sounded
            if self.hears:
                sounded = time.monotonic()
            return time.monotonic() - sounded >= PROMPT_OVER_S

        self._listen(quiet, limit_s, "hear the prompt end")

    def _listen(self, heard: Callable[[], bool], limit_s: float, what: str) -> None:
        who = self.phone.who
        self.phone.exchange.until(lambda: self.over or heard(), limit_s, f"{who} to {what}")
        if self.over:
            message = f"the call ended before {who} could {what}"
            raise LabError(message)

    # --- hold and transfers -------------------------------------------------------
    def hold(self) -> None:
        if self._speaking:
            self.hush()
        self.setHold(pj.CallOpParam(True))
        tell("hold", who=self.phone.who)

    def unhold(self) -> None:
        parameters = pj.CallOpParam(True)
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.reinvite(parameters)
        tell("unhold", who=self.phone.who)

    def transfer(self, number: str, *, do: str = "blind") -> None:
        """Blind transfer: REFER."""
        uri = f"sip:{number}@127.0.0.1:{self.phone.exchange.sip_port}"
        self.xfer(uri, pj.CallOpParam(True))
        tell(do, who=self.phone.who, to=number)

    def transfer_to(self, other: Line, *, do: str = "attended", to: str = "") -> None:
        """Attended transfer: REFER with Replaces; ``other`` may still be ringing."""
        self.xferReplaces(other, pj.CallOpParam(True))
        tell(do, who=self.phone.who, to=to)

    # --- ending -------------------------------------------------------------------
    def bye(self, cause: int | None = None, *, reason: str = "") -> None:
        """Hang up (BYE, or CANCEL while it rings). `cause`: the Q.850 one, as a gateway gives its reason;
        `reason`: a whole ``Reason`` header such as ``SIP;cause=408``."""
        if self.over:
            return
        do = "bye" if self.up else "cancel"
        parameters = pj.CallOpParam(True)
        said: dict[str, object] = {"reason": reason} if reason else {}
        if cause is not None:
            reason, said = f"Q.850;cause={cause}", {"cause": cause}
        if reason:
            header = pj.SipHeader()
            header.hName, header.hValue = "Reason", reason
            parameters.txOption.headers.append(header)
        self.hangup(parameters)
        tell(do, who=self.phone.who, **said)

    def release(self) -> None:
        """The act of a phone on its own line after the transfer has begun."""
        if not self.over:
            self.hangup(pj.CallOpParam(True))
            tell("release", who=self.phone.who)

    def close(self) -> None:
        """End what a failed script left behind, without a word."""
        if not self.over:
            try:
                self.hangup(pj.CallOpParam(True))
            except pj.Error:
                self.over = True

    def _media(self) -> pj.AudioMedia | None:
        if self.over:
            return None
        # Named, since the list lives in it: the binding frees it with the last name.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            active = media.status in (
                pj.PJSUA_CALL_MEDIA_ACTIVE,
                pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
            )
            if media.type == pj.PJMEDIA_TYPE_AUDIO and active:
                return self.getAudioMedia(index)
        return None


def _player(path: Path) -> pj.AudioMediaPlayer:
    player = pj.AudioMediaPlayer()
    player.createPlayer(str(path), 0)
    return player
