"""The phones of one lane, moved by strings: obeys commands on stdin, tells the truth on stdout.

After each command it prints ``{"done": …}``; the truth lines before it are what the phones did.
"""

from __future__ import annotations

import argparse
import json
import selectors
import sys
from typing import Any

from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange, Phone


class Show:
    """Phones by name."""

    def __init__(self, exchange: Exchange, lane: Lane) -> None:
        self._exchange = exchange
        self._lane = lane
        self._phones: dict[str, Phone] = {}

    def obey(self, do: str, who: str, value: Any) -> None:
        if do == "operator":
            self._phones[who] = self._exchange.operator(self._lane.operator(int(value)))
            self._phones[who].answer_after_s = None
            return
        if do == "client":
            self._phones[who] = self._exchange.outside(self._lane.outside(int(value)), who)
            return
        phone = self._phones[who]
        if do == "dial":
            phone.dial(str(value))
        elif do == "answers_after":
            phone.answer_after_s = value
        elif do == "until_ringing":
            self._exchange.until(phone.is_ringing, 20, f"{who} to ring")
        elif do == "until_talking":
            self._exchange.until(phone.is_talking, 20, f"{who} to talk")
        elif do == "until_idle":
            self._exchange.until(phone.is_idle, 20, f"{who}'s call to end")
        else:
            getattr(phone.line, do)()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, required=True)
    arguments = parser.parse_args()
    commands = selectors.DefaultSelector()
    commands.register(sys.stdin, selectors.EVENT_READ)
    with Exchange(arguments.sip_port) as exchange:
        show = Show(exchange, Lane(arguments.lane))
        while True:
            exchange.pump()
            if not commands.select(timeout=0):
                continue
            text = sys.stdin.readline()
            if not text:
                break
            command = json.loads(text)
            error = ""
            try:
                show.obey(**command)
            except LabError as trouble:
                error = str(trouble)
            print(json.dumps({"done": command["do"], "error": error}), flush=True)
    exchange.leave()


if __name__ == "__main__":
    main()
