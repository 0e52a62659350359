"""The phones' own account of a call, and a record held against it.

A truth is a list of {"t": Unix seconds, "do": what, "who": phone, …} by the phones' clock on the same
machine. Tolerances are the project's promise: 0.1 s for rings, answers and holds, 0.25 s for speech and
silences (the talk detector's grain).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from callsteward.record.call import CallRecord, Side

TIMES_S = 0.1
SPEECH_S = 0.25


def epoch(stamp: str | None) -> float:
    assert stamp is not None
    return datetime.fromisoformat(stamp).timestamp()


def is_client(who: str) -> bool:
    return who.startswith("client")


@dataclass(frozen=True)
class Truth:
    """The phones' acts, in order."""

    acts: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> Truth:
        return cls(json.loads(path.read_text()))

    def at(self, do: str, who: str | None = None) -> float | None:
        """When something was first done."""
        return next(
            (act["t"] for act in self.acts if act["do"] == do and who in {None, act.get("who", "client")}),
            None,
        )

    def spells(self, begin: str, end: str, *, client: bool, until: float = 0) -> list[tuple[float, float]]:
        """The times one side was, say, talking (talk … hush).

        One still on is closed by the phones' last act, or `until` where Asterisk ended the call.
        """
        spells: list[tuple[float, float]] = []
        since: dict[str, float] = {}
        for act in self.acts:
            who = act.get("who", "client")
            if is_client(who) != client:
                continue
            if act["do"] == begin:
                since.setdefault(who, act["t"])
            elif who in since and act["do"] in {end, "bye", "vanish", "release", "cancel"}:
                spells.append((since.pop(who), act["t"]))
        last = max(self.acts[-1]["t"], until)
        spells.extend((start, last) for start in since.values())
        return sorted(spells)


def hold_errors(record: CallRecord, truth: Truth) -> list[str]:
    """Holds that are missing, made up, or off by more than promised."""
    errors = []
    for side in Side:
        expected = truth.spells("hold", "unhold", client=side is Side.CLIENT)
        found = [hold for hold in record.holds if hold.by is side]
        if len(found) != len(expected):
            errors.append(f"{len(found)} holds by the {side}, the phones made {len(expected)}")
            continue
        for hold, (start, end) in zip(found, expected, strict=True):
            if abs(epoch(hold.at) - start) > TIMES_S or abs(hold.duration_s - (end - start)) > TIMES_S:
                errors.append(f"hold {hold}, the phone held {start:.3f} to {end:.3f}")
    return errors


def answer_errors(record: CallRecord, truth: Truth, operator: str) -> list[str]:
    """The mistakes in the answer's moment and latency, by the phone that answered first."""
    answered, rang = truth.at("answer", operator), None
    for act in truth.acts:
        if act["do"] == "ring" and act.get("who") == operator and answered and act["t"] <= answered:
            rang = act["t"]
    if answered is None or rang is None:
        return [f"the phones tell of no answer by {operator}"]
    errors = []
    if abs(epoch(record.answered_at) - answered) > TIMES_S:
        errors.append(f"answered_at {record.answered_at}, the phone answered at {answered:.3f}")
    latency = record.answer_latency_s
    if latency is None or abs(latency - (answered - rang)) > TIMES_S:
        errors.append(f"answer_latency_s {latency}, the phone took {answered - rang:.3f}")
    return errors


def speech_errors(record: CallRecord, truth: Truth) -> list[str]:
    """Speech of both sides in all; each spell may be off by the detector's grain, the sum by no more
    than the grain and a tenth a further spell."""
    if record.speech is None:
        return ["speech was not observed"]
    errors = []
    for name, measured, client in (
        ("operator", record.speech.operator_s, False),
        ("client", record.speech.client_s, True),
    ):
        spells = truth.spells("talk", "hush", client=client, until=epoch(record.ended_at))
        spoken = sum(end - start for start, end in spells)
        allowed = SPEECH_S + 0.1 * max(0, len(spells) - 1)
        if measured is None:
            # Whoever never speaks in the whole stream may be one who cannot be heard.
            if spoken:
                errors.append(f"{name}_s was not observed, the phones spoke {spoken:.3f}")
        elif abs(measured - spoken) > allowed:
            errors.append(f"{name}_s {measured}, the phones spoke {spoken:.3f} in {len(spells)} spells")
    return errors
