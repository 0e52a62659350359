"""Calls on the field site, most of them 5 to 15 s long: what comes about on other people's sites.

``python -m tests.lab.field_scenarios NAME --sip-port PORT --lane N`` plays one and prints the truth as JSON
lines. ``FIELD_SCENARIOS`` names them all; each family of them is a module.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.lab import (
    field_answered,
    field_causes,
    field_local,
    field_outbound,
    field_programs,
    field_status,
)
from tests.lab.errors import LabError
from tests.lab.field_lanes import FieldLane
from tests.lab.field_stage import FieldScenario, FieldStage
from tests.lab.lanes import TECHNOLOGIES, Lane
from tests.lab.phones import Exchange

FIELD_SCENARIOS: dict[str, FieldScenario] = {
    **field_status.SCENARIOS,
    **field_causes.SCENARIOS,
    **field_answered.SCENARIOS,
    **field_local.SCENARIOS,
    **field_outbound.SCENARIOS,
    **field_programs.SCENARIOS,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(FIELD_SCENARIOS))
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, default=0)
    parser.add_argument("--ari-url", default="")
    parser.add_argument("--ari-authorization", default="")
    parser.add_argument("--console", default="[]", help="Asterisk's console as a JSON list of words")
    parser.add_argument("--driver", default="pjsip", choices=tuple(TECHNOLOGIES))
    parser.add_argument("--sip-log", type=int, default=0, help="PJSIP's log level")
    arguments = parser.parse_args()
    exchange = Exchange(arguments.sip_port, log_level=arguments.sip_log)
    stage = FieldStage(
        exchange,
        Lane(0),
        arguments.ari_url,
        arguments.ari_authorization,
        FieldLane(arguments.lane, arguments.driver),
        tuple(json.loads(arguments.console)),
    )
    status = 0
    with exchange:
        try:
            FIELD_SCENARIOS[arguments.name](stage)
        except LabError as error:
            print(f"{arguments.name}: {error}", file=sys.stderr, flush=True)
            status = 1
    exchange.leave(status)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
