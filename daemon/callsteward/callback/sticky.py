"""Gives the dialplan the operator whom a client had, for the case that the client calls again.

It is kept in globals of Asterisk, one for each way in which the number may be written. The dialplan reads
them by itself (dialplan/callsteward-callback.conf, `callsteward-sticky`), so it does not wait for a daemon
that is busy or down. Each global names the moment until which it counts, so one that was left behind does no
harm.
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
    """The globals that were set for a callback, and until when they count."""

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
        """Asterisk may have been restarted: set the globals of open callbacks again."""
        self._open.clear()

    async def work(
        self, opened: Iterable[CallbackRow], lost_operators: Mapping[str, str], *, linked: bool
    ) -> None:
        """Set the globals of new callbacks, remove those of callbacks that are over. Raises StoreError."""
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
            return True  # the operator's own connection broke
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
            # A global that a newer callback of the same client has set stays.
            if name not in theirs and not await self._dialplan.put(name, None):
                return False
        return True


def written(number: str, region: str, formats: Iterable[NumberFormat] = ()) -> list[str]:
    """The digits in which a line may write an E.164 number: with the country code, and as in the region.

    Digits that, read without a plus or in one of the trunks' formats, may be another number are left out.
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
