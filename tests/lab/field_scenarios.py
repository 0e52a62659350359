"""Calls on the field site, most of them 5 to 15 s long: what comes about on other people's sites.

Each family of them is a module.
"""

from __future__ import annotations

import argparse
import json

from tests.lab import (
    field_answered,
    field_causes,
    field_local,
    field_outbound,
    field_programs,
    field_status,
)
from tests.lab.field_lanes import FieldLane
from tests.lab.field_stage import FieldStage
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange
from tests.lab.stage import Scenarios, main

FIELD_SCENARIOS = Scenarios[FieldStage]()
for family in (
    field_status,
    field_causes,
    field_answered,
    field_local,
    field_outbound,
    field_programs,
):
    FIELD_SCENARIOS.update(family.SCENARIOS)


def on_site(exchange: Exchange, arguments: argparse.Namespace) -> FieldStage:
    """The field site."""
    return FieldStage(
        exchange,
        Lane(0),
        arguments.ari_url,
        arguments.ari_authorization,
        FieldLane(arguments.lane, arguments.driver),
        tuple(json.loads(arguments.console)),
    )


if __name__ == "__main__":
    raise SystemExit(main(FIELD_SCENARIOS, __doc__, on_site))
