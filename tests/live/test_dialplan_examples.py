"""The shipped examples, evaluated for a channel's name by a real Asterisk."""

from __future__ import annotations

import re

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.pbx_config import REPOSITORY
from tests.live.daemon import wait_for

pytestmark = pytest.mark.live

EXAMPLES = (REPOSITORY / "dialplan" / "callsteward-examples.conf").read_text()


@pytest.mark.parametrize("endpoint", ["PJSIP/101", "PJSIP/reception-2nd-floor", "SIP/tower-a-101"])
def test_a_client_goes_back_to_the_operator_whose_endpoint_has_a_hyphen(pbx: Asterisk, endpoint: str) -> None:
    """CUT(…,-,1) made PJSIP/reception of PJSIP/reception-2nd-floor."""
    (expression,) = re.findall(r"Dial\((\$\{[^}]*BLINDTRANSFER[^}]*\})", EXAMPLES)
    context = "cs-hyphen"
    for step, application in enumerate(
        (f"Set(BLINDTRANSFER={endpoint}-0000001c)", f"Set(DB(cs-hyphen/is)={expression})"), 1
    ):
        pbx.cli(f"dialplan add extension s,{step},{application} into {context} replace")
    pbx.cli("database del cs-hyphen is")
    pbx.cli(f"channel originate Local/s@{context} application Wait 1")
    wait_for(lambda: "Value:" in pbx.cli("database get cs-hyphen is"), 5, "the expression's value")
    assert pbx.cli("database get cs-hyphen is").split("Value:")[1].strip() == endpoint
    pbx.cli(f"dialplan remove context {context}")
