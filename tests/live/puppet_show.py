"""The phones of one lane, moved by strings: commands, and nothing else (tests/lab/commanded.py)."""

from __future__ import annotations

from typing import Any

from tests.lab.commanded import run
from tests.lab.lanes import Lane
from tests.lab.phones import Exchange, Phone


class Show:
    """Phones by name."""

    def __init__(self, exchange: Exchange, lane: Lane) -> None:
        self._exchange = exchange
        self._lane = lane
        self._phones: dict[str, Phone] = {}

    def go_on(self) -> None:
        """They do what they are told and nothing else."""

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


if __name__ == "__main__":
    run(__doc__, Show)
