"""An interval row as a message: flat, every number with its definition in the schema.

The thresholds T are configured, and with them the keys that end in one; the message type of a configuration
is made from the table of measures (`line_type`, `operator_type`). The contract has them as patterns.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from callsteward.feed.envelope import BLANK, Count, Envelope, PublishedSeconds, Share, identity
from callsteward.feed.tell import Forget, Tell, Topic
from callsteward.intervals import grid
from callsteward.intervals.measures import (
    AVAILABLE,
    CONCURRENT,
    LINE_MEASURES,
    OPERATOR_MEASURES,
    STAFFED,
    Measure,
    Unit,
)
from callsteward.intervals.row import IntervalExpired, IntervalKind, IntervalRow
from callsteward.intervals.service_level import (
    MEANINGS,
    Formula,
    abandoned_key,
    answered_key,
    denominator_key,
    numerator_key,
    share_key,
)

SlotTime = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$", description="ISO 8601 UTC, aligned to the slot.")
]


class IntervalMessage(Envelope, frozen=True, kw_only=True):
    """Fields common to the rows of lines and of operators."""

    start: SlotTime
    end: SlotTime
    minutes: Annotated[Literal[15, 30], Meta(description="Length of the interval.")]
    revision: Annotated[
        int,
        Meta(
            ge=1,
            description="Grows with each change of a published row; the highest one counts. A revision"
            " that a newer one replaced while the broker was away is not sent.",
        ),
    ]
    final: Annotated[
        bool,
        Meta(
            description="No change of the row is expected any more: the interval is over, and no call"
            " and no callback that may belong to it is open."
        ),
    ]
    observed_s: Annotated[
        PublishedSeconds | None,
        Meta(
            description="Seconds of the interval in which the daemon received events. Less than its"
            " length: calls may be missing. Null: before the daemon was installed, or"
            " recorded this. If nothing of the interval was observed and no call is known,"
            " every sum is null, not 0."
        ),
    ]


class LineIntervalMessage(IntervalMessage, frozen=True, kw_only=True):
    """`lines/LINE/intervals/START`: a line's sums over one interval of 15 or 30 minutes, aligned to UTC.

    A call belongs to the interval of its arrival, with all later results, so a late call revises a published
    row. Talk excludes hold. Sums and counts only, since each can be added up over intervals; the service
    levels (`service_level_FORMULA_T`) are derived from them. An interval without calls has zeros; a value
    that was not observed is null.
    """

    schema: Literal["callsteward.line-interval/1"] = "callsteward.line-interval/1"
    line: str
    concurrent_max: Annotated[Count | None, Meta(description=CONCURRENT)]


class OperatorIntervalMessage(IntervalMessage, frozen=True, kw_only=True):
    """`operators/OPERATOR/intervals/START`: an operator's sums over one interval, on all lines.

    A call belongs to the interval of its arrival. Talk excludes hold. Each call counts for every operator
    that it rang at or who served it, so the rows of operators do not add up to those of lines.
    """

    schema: Literal["callsteward.operator-interval/1"] = "callsteward.operator-interval/1"
    operator: str
    staffed_s: Annotated[PublishedSeconds | None, Meta(description=STAFFED)]
    available_s: Annotated[PublishedSeconds | None, Meta(description=AVAILABLE)]


@functools.cache
def line_type(thresholds_s: tuple[int, ...] = ()) -> type[LineIntervalMessage]:
    """The message type of lines' rows with these thresholds."""
    kind: type[LineIntervalMessage] = _type(LineIntervalMessage, LINE_MEASURES, thresholds_s)
    return kind


@functools.cache
def operator_type(thresholds_s: tuple[int, ...] = ()) -> type[OperatorIntervalMessage]:
    """The message type of operators' rows with these thresholds."""
    kind: type[OperatorIntervalMessage] = _type(OperatorIntervalMessage, OPERATOR_MEASURES, thresholds_s)
    return kind


def described(kind: type[IntervalMessage]) -> Any:
    """The type with the patterns of the keys that end in a threshold, for its schema."""
    return Annotated[kind, Meta(extra_json_schema={"patternProperties": threshold_patterns()})]


def threshold_patterns() -> dict[str, dict[str, Any]]:
    """JSON Schema `patternProperties` for the keys that end in a threshold."""
    count = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
    share = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
    return {
        f"^{name.removesuffix('0')}[0-9]+$": {"description": meaning, **(share if kind is Share else count)}
        for name, kind, meaning in _threshold_fields(0)
    }


def _type(base: type[IntervalMessage], measures: Iterable[Measure], thresholds_s: Sequence[int]) -> Any:
    fields = [(measure.name, _annotated(measure.unit, measure.meaning)) for measure in measures]
    fields += [
        (
            denominator_key(formula),
            Annotated[
                Count | None, Meta(description=f"Denominator of the service level: {MEANINGS[formula]}.")
            ],
        )
        for formula in Formula
    ]
    of_each = [_threshold_fields(threshold_s) for threshold_s in thresholds_s]
    for position in range(len(of_each[0]) if of_each else 0):
        for named in of_each:
            name, kind, meaning = named[position]
            fields.append((name, Annotated[kind | None, Meta(description=meaning)]))
    return msgspec.defstruct(
        base.__name__,
        fields,
        bases=(base,),
        namespace={"__doc__": base.__doc__},
        frozen=True,
        kw_only=True,
    )


def _annotated(unit: Unit, meaning: str) -> Any:
    return Annotated[(PublishedSeconds if unit is Unit.SECONDS else Count) | None, Meta(description=meaning)]


def _threshold_fields(threshold_s: int) -> list[tuple[str, Any, str]]:
    """Key, kind and meaning of each value that depends on the threshold."""
    return [
        (answered_key(threshold_s), Count, "Answered calls whose wait was at most T seconds (T in the key)."),
        (abandoned_key(threshold_s), Count, "Abandoned calls whose wait was at most T seconds."),
        *(
            (
                numerator_key(formula, threshold_s),
                Count,
                f"Numerator of the service level: {MEANINGS[formula]}.",
            )
            for formula in Formula
        ),
        *(
            (
                share_key(formula, threshold_s),
                Share,
                f"Service level, 0 to 1 (derived; do not add or average it): {MEANINGS[formula]}.",
            )
            for formula in Formula
        ),
    ]


def interval_id(row: IntervalRow, revision: int) -> str:
    """The message_id of a revision of a row."""
    parts = (row.site, row.kind.value, row.name, row.start_ms, row.minutes, revision)
    return identity("intervals", *parts)


def interval(row: IntervalRow) -> LineIntervalMessage | OperatorIntervalMessage:
    """A row as its message; the same revision of it has the same id on every try."""
    own = {
        **BLANK,
        "message_id": interval_id(row, row.revision),
        "site": row.site,
        "start": grid.iso(row.start_ms),
        "end": grid.iso(row.end_ms),
        "minutes": row.minutes,
        "revision": row.revision,
        "final": row.final,
        **row.values,
    }
    if row.kind is IntervalKind.LINE:
        return line_type(row.thresholds_s)(line=row.name, **own)
    return operator_type(row.thresholds_s)(operator=row.name, **own)


def _topic(row: IntervalRow | IntervalExpired) -> tuple[str, ...]:
    above = "lines" if row.kind is IntervalKind.LINE else "operators"
    return (above, row.name, "intervals", grid.topic_name(row.start_ms))


TELLS = (
    # The broker keeps a row, with MQTT 5 until it expires.
    Tell(
        fact=IntervalRow,
        message=lambda _, row: interval(row),
        topic=_topic,
        durable="interval",
        message_id=lambda _, row: interval_id(row, row.revision),
        # An operator's row is on no line.
        line=lambda row: row.name if row.kind is IntervalKind.LINE else "",
        expire_s=lambda config: config.intervals.expire_hours * 3600,
        # The revision before, where it still waits, is not sent any more: the new one says all that it said.
        replaces=lambda row: None if row.revision < 2 else interval_id(row, row.revision - 1),
    ),
    Forget(fact=IntervalExpired, topic=_topic),
)
TOPICS = {
    "lineInterval": Topic(
        "lines/{line}/intervals/{start}",
        LineIntervalMessage,
        retained=True,
        described=lambda: described(line_type()),
    ),
    "operatorInterval": Topic(
        "operators/{operator}/intervals/{start}",
        OperatorIntervalMessage,
        retained=True,
        described=lambda: described(operator_type()),
    ),
}
