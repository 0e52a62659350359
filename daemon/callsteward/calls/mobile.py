"""Operators whose phone is outside: a queue's member is a number, such as `PJSIP/79000000011@provider`.

The configuration says whose number it is (`[operators.201] numbers`). A channel dialled to that number counts
as the operator's phone, not as a third party's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Leg

# The characters between the parts of a dial string: 79000000011@provider, provider/sip:79000000011@host,
# 79000000011@from-internal/n, g1/79000000011.
_BETWEEN: Final = re.compile(r"[/@:,;]")
_SHORTEST: Final = 7


def recognise(desk: Desk, leg: Leg, *dialled: str) -> None:
    """A channel is dialled to an outside number: if that is an operator's, the channel is their phone."""
    directory = desk.directory
    endpoint = leg.endpoint
    if not directory.has_mobiles or endpoint.is_operator or leg.operator != endpoint.name:
        return
    for text in dialled:
        for number in _BETWEEN.split(text):
            if len(number) < _SHORTEST:
                continue
            # The PBX itself dials it: of several numbers that the digits can be, an operator's is meant.
            for e164 in desk.numbers.readings(number):
                operator = directory.operator_at(e164)
                if operator is not None:
                    leg.operator = operator
                    leg.outsider = False
                    return
