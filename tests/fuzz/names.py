"""Names of callers and phones, and an admin's patterns matched against them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError

from callsteward.calls.directory import Directory
from callsteward.config import Config, Endpoints, Line, Operator
from callsteward.outgoing.guard import Guard
from callsteward.record import caller_id
from callsteward.record.number import Numbers
from tests.fuzz.target import Target

_CONFIG = Config()
_NUMBERS = Numbers("RU", b"a key")
_GUARD = Guard(_CONFIG)
_PLANTED = "+79031234567"
_E164 = re.compile(r"\+[1-9][0-9]{3,14}")


def _caller_id(data: bytes) -> None:
    raw = data.decode("utf-8", "replace")
    written = caller_id.read(raw)
    if written is not None:
        assert re.fullmatch(r"\+?[0-9]{1,32}", written.digits)
        assert re.fullmatch(r"(\+[0-9]*)?", written.context)
    for number in (_NUMBERS.e164(raw), _GUARD.read(raw)):
        assert number is None or _E164.fullmatch(number)
    masked = _NUMBERS.masked(raw)
    digits = "".join(char for char in raw if char.isascii() and char.isdigit())
    assert masked is None or len(digits) < 7 or digits not in masked
    ref = _NUMBERS.ref(raw)
    assert ref is None or re.fullmatch(r"[0-9a-f]+", ref)
    _NUMBERS.extension(raw)
    _NUMBERS.hidden(raw)


def _endpoints(data: bytes) -> None:
    """Lines: patterns of operators, of trunks, of numbers dialled, of phones outside; then names of"
    " channels."""
    text = data.decode("utf-8", "replace")
    lines = [*text.split("\n"), "", "", "", ""]
    operators, trunks, dids, outside = (tuple(filter(None, line.split(" "))) for line in lines[:4])
    try:
        config = Config(
            endpoints=Endpoints(operators=operators, trunks=trunks),
            lines=(Line(name="support", dids=dids),),
            operators={"201": Operator(numbers=outside)},
        )
    except ValidationError:
        return
    directory = Directory(config)
    for name in lines[4:]:
        # The same for a number behind a name that is anything.
        for channel in (name, f"{name}/{_PLANTED}-00000001", f"PJSIP/{_PLANTED}-{name}"):
            endpoint = directory.endpoint(channel)
            assert _PLANTED not in endpoint.shown
            assert _PLANTED not in directory.shown(channel)
            assert directory.endpoint(channel).kind is endpoint.kind
        assert directory.line_of_number(name, name) in {None, "support"}
        assert directory.operator_at(name) in {None, "201"}


_CALLER_IDS = (
    b"+79031234567;cpc=ordinary;oli=0", b"8 (903) 123-45-67", b"+79031234567;npdi;rn=+79000000001",
    b"tel:+7-903-123-45-67;phone-context=+7", b'"Client" <sip:+79031234567;user=phone@pbx.example:5060;a=b>',
    b"%2B79031234567%3Bcpc%3Dordinary", b"9031234567;phone-context=+7", b"+7.903.123.45.67", b"anonymous",
    b"+" + b"9" * 40, b"79031234567&PJSIP/1", b"${SHELL(id)}", b"\xd9\xa7\xd9\xa8",
)  # fmt: skip
_CHANNELS = b"PJSIP/101-00000001\nDAHDI/i1/79031234567-3\nLocal/101@agents-00000000;1\nSIP/78126060-00000012"
_ENDPOINTS = (
    b"PJSIP/1[0-9][0-9] SIP/*\nPJSIP/trunk* DAHDI/*\n100 7495*\n+79000000011 +7900000001[0-9]\n" + _CHANNELS,
    b"[!] [z-a] [[] *?*\n[0-9\n\\*\n+7900000000*\nIAX2/x-1\n\x1b[2J\n/\n-\n",
)


def _seeds(seeds: tuple[bytes, ...]) -> Iterator[bytes]:
    yield from seeds


TARGETS = {
    "caller_id": Target(_caller_id, lambda: _seeds(_CALLER_IDS), 300, 0.05),
    "endpoints": Target(_endpoints, lambda: _seeds(_ENDPOINTS), 1_000, 0.02),
}
