"""How trunks write their callers' numbers, and which setting would make them unambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from callsteward.calls.directory import Directory
from callsteward.check.heard import not_there_yet
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.record.number import AMBIGUOUS, OWN_CODE, PLUS, UNREAD
from callsteward.record.numbering import ABROAD, AS_DIALLED, CODE, E164, NATIONAL, PREFIXED
from callsteward.store.records import Store
from callsteward.stream.trunk_numbers import KEPT_DAYS, TrunkNumberCounts
from callsteward.terminal.result import Result, ok, warning

_CHECK = "trunks"
# Fewer numbers than this are too few to conclude anything.
_ENOUGH = 10
# A trunk is e164 if all but one in this many numbers are: a wrong one is then nobody's number. For `national`
# none may differ: a foreign number would be taken for somebody in the region.
_STRAY = 50
# A trunk that also writes the region's own numbers with country code is `national` if enough are without.
_SOME = 4


class Proposal(NamedTuple):
    """The format of a trunk's numbers; `None` with the reason if there is none."""

    style: str | None
    why: str


def proposed(kinds: Mapping[str, int]) -> Proposal:
    """The format by the delivered numbers: counts by kind (`Numbers.kind`)."""
    coded, foreign = kinds.get(OWN_CODE, 0) + kinds.get(CODE, 0), kinds.get(CODE, 0)
    dialled = sum(kinds.get(kind, 0) for kind in (NATIONAL, PREFIXED, ABROAD))
    if coded + dialled < _ENOUGH:
        return Proposal(None, f"too few numbers yet to tell its format ({coded + dialled} of {_ENOUGH})")
    if coded > dialled * _STRAY:
        return Proposal(E164, f"{coded} had their country code")
    if not foreign and dialled * _SOME >= coded:
        return Proposal(AS_DIALLED, f"{dialled} were as the region dials")
    mixed = f"{coded} with country code ({foreign} of them foreign), {dialled} as the region dials"
    return Proposal(None, f"it mixes formats: {mixed}")


async def trunks(config: Config) -> Result | None:
    """Names trunks whose numbers can be two people's, or are not in their format; None without trunks."""
    if not_there_yet(config):
        return None
    try:
        opened = await Store.open(config.store.url, create=False)
        try:
            counted = await TrunkNumberCounts(opened.engine, config.site.name).all()
        finally:
            await opened.close()
    except CallstewardError:
        return None  # the store's own check reports it
    return judged(config, counted) if counted else None


def judged(config: Config, counted: Mapping[str, Mapping[str, int]]) -> Result:
    """The result for the counts of each trunk."""
    directory = Directory(config)
    wrong: list[str] = []
    mend: list[str] = []
    fine: list[str] = []
    for trunk, kinds in counted.items():
        bare = sum(calls for kind, calls in kinds.items() if kind != PLUS)
        form = directory.endpoint(f"{trunk}-0").numbers
        if form is not None:
            # Numbers that could be read without the format do not count here: the records show what it makes
            # of the others.
            unlike = _unlike(kinds, form.style)
            if unlike * _STRAY > bare:
                wrong.append(f"{trunk}: {unlike} of {bare} numbers without a plus are not {form.style}")
                mend.append(f"correct {_key(trunk)} under [endpoints.numbers]: {proposed(kinds).why}")
            else:
                fine.append(f"{trunk} ({form.style})")
            continue
        proposal = proposed(kinds)
        several, unread = kinds.get(AMBIGUOUS, 0), kinds.get(UNREAD, 0)
        if several:
            wrong.append(
                f"{trunk}: {several} of {bare} numbers without a plus can be two people's: no callback"
                " (ambiguous_number), no client_ref, no do-not-call list"
            )
            mend.append(_mend(trunk, proposal))
        elif unread * 2 > bare:
            wrong.append(f"{trunk}: {unread} of {bare} numbers without a plus are not valid as they are")
            mend.append(
                "if the trunk puts something before them or leaves something out, say so under"
                f' [endpoints.numbers]: {_key(trunk)} = {{ format = "national", strip = "…", add = "…" }}'
            )
        elif proposal.style is not None:
            fine.append(f'{trunk} (no format set; {_key(trunk)} = "{proposal.style}" would fit)')
        else:
            fine.append(trunk)
    if wrong:
        return warning(_CHECK, "; ".join(wrong), "; ".join(dict.fromkeys(mend)))
    return ok(_CHECK, f"each number of the last {KEPT_DAYS} days was one person's: {', '.join(fine)}")


def _unlike(kinds: Mapping[str, int], style: str) -> int:
    others = (NATIONAL, PREFIXED, ABROAD) if style == E164 else (CODE,)
    return sum(kinds.get(kind, 0) for kind in (*others, UNREAD))


def _mend(trunk: str, proposal: Proposal) -> str:
    if proposal.style is None:
        return (
            f"{trunk}: {proposal.why}; ask its provider to send numbers with a plus and the country code, or"
            f' say how it writes them under [endpoints.numbers]: {_key(trunk)} = "e164" or "national"'
        )
    return f'put {_key(trunk)} = "{proposal.style}" under [endpoints.numbers] ({proposal.why})'


def _key(trunk: str) -> str:
    return f'"{trunk}"'
