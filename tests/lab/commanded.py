"""Phones in a process of their own that obeys commands on stdin, and is over with it.

Each command is a line of JSON, answered by ``{"done": …, "error": …}``; the truth lines before it are what
the phones did.
"""

from __future__ import annotations

import argparse
import json
import selectors
import sys
from collections.abc import Callable
from typing import Any, Protocol

from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange


class Show(Protocol):
    """What the phones do."""

    def obey(self, do: str, who: str, value: Any) -> None:
        """Carry out a command. Raises LabError."""
        ...

    def go_on(self) -> None:
        """What happens without one; called all the time."""
        ...


def run(description: str | None, made: Callable[[Exchange, Lane], Show]) -> None:
    """The process: ``--sip-port PORT --lane N``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--lane", type=int, required=True)
    arguments = parser.parse_args()
    commands = selectors.DefaultSelector()
    commands.register(sys.stdin, selectors.EVENT_READ)
    with Exchange(arguments.sip_port) as exchange:
        show = made(exchange, Lane(arguments.lane))
        while True:
            exchange.pump()
            show.go_on()
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
