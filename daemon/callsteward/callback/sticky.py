"""The operator a client had, told to the dialplan for the case that the client calls again by themselves.

Asterisk's globals carry it, one for each way the number may be written: the dialplan reads them without
asking anybody (dialplan/callsteward-callback.conf, `callsteward-sticky`), so it does not wait for a daemon
that is busy or away. Each says until when it counts; one that was left behind means nothing after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import phonenumbers

from callsteward.callback.dialplan import CallbackDialplan
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.operators import dialable
from callsteward.callback.policy import Reason
from callsteward.callback.states import CallbackRow
from callsteward.config import Config
from callsteward.record.number import Numbers
from callsteward.record.numbering import NumberFormat

PREFIX = "CALLSTEWARD_STICKY_"


class _Told(msgspec.Struct):
    """What Asterisk was told for a callback, and until when it counts."""

    names: tuple[str, ...]
    until_ms: int


class Sticky:
    """Keeps the globals in step with the open callbacks."""

    def __init__(
        self, config: Config, ledger: CallbackLedger, dialplan: CallbackDialplan, *, now_ms: Callable[[], int]
    ) -> None:
        self._settings = config.callback
        self._region = config.site.region
        self._formats = [item.as_format() for item in config.endpoints.numbers.values()]
        self._ledger = ledger
        self._dialplan = dialplan
        self._now_ms = now_ms
        self._told: dict[str, _Told] = {}
        self._open: set[str] = set()

    def linked(self) -> None:
        """Asterisk may have been restarted: what is open is told again."""
        self._open.clear()

    async def work(
        self, opened: Iterable[CallbackRow], lost_operators: Mapping[str, str], *, linked: bool
    ) -> None:
        """Tell of callbacks that are new, take back those that are over. Raises StoreError."""
        if not self._settings.sticky or not linked:
            return
        still: set[str] = set()
        for callback in opened:
            still.add(callback.id)
            if callback.id not in self._open and await self._tell(callback, lost_operators):
                self._open.add(callback.id)
        now_ms = self._now_ms()
        for name in [name for name in self._told if name not in still]:
            told = self._told[name]
            if told.until_ms > now_ms and await self._calls_again(name):
                continue  # the client's new call is on its way to that operator
            if await self._take_back(told):
                del self._told[name]
                self._open.discard(name)

    async def _tell(self, callback: CallbackRow, lost_operators: Mapping[str, str]) -> bool:
        operator = callback.operator
        if callback.number is None or operator is None or not dialable(operator):
            return True
        if callback.id in lost_operators:
            return True  # their own line is the one that broke
        until_ms = callback.dropped_at_ms + int(self._settings.expire_s * 1000)
        names = tuple(PREFIX + digits for digits in written(callback.number, self._region, self._formats))
        for name in names:
            if not await self._dialplan.put(name, f"{operator}:{until_ms // 1000}"):
                return False
        self._told[callback.id] = _Told(names, until_ms)
        return True

    async def _calls_again(self, callback_id: str) -> bool:
        callback = await self._ledger.find(callback_id)
        return callback is not None and callback.reason == Reason.CALLED_AGAIN.value

    async def _take_back(self, told: _Told) -> bool:
        theirs = {name for item in self._told.values() if item is not told for name in item.names}
        for name in told.names:
            # A newer callback of the same client says what counts now.
            if name not in theirs and not await self._dialplan.put(name, None):
                return False
        return True


def written(number: str, region: str, formats: Iterable[NumberFormat] = ()) -> list[str]:
    """The digits by which a line may show an E.164 number: with the country code, and as in the region.

    Only those that are no other number's, read without a plus or in one of the trunks' formats.
    """
    parsed = phonenumbers.parse(number, None)
    forms = [number.removeprefix("+")]
    if phonenumbers.region_code_for_number(parsed) == region:
        national = phonenumbers.national_significant_number(parsed)
        prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""
        forms += [prefix + national, national]
    numbers = Numbers(region, None)
    known: tuple[NumberFormat | None, ...] = (None, *formats)
    return [
        form
        for form in dict.fromkeys(forms)
        if any(numbers.e164(numbers.delivered(form, style)) == number for style in known)
    ]
