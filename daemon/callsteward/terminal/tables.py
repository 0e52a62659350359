"""Call records for people: as a table, as a line of text, as a row of a spreadsheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, tzinfo

from rich import box
from rich.table import Table
from rich.text import Text

from callsteward.record.call import CallRecord, Decision, Outcome, Party, RuleResult, Side, encode
from callsteward.terminal.files import Holds
from callsteward.terminal.plain import WIDE, cell
from callsteward.terminal.printing import Listing
from callsteward.terminal.visible import visible

_STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.MID_DIALOGUE_DROP: "bold red",
    Outcome.EARLY_DROP: "yellow",
    Outcome.ABANDONED: "red",
    Outcome.SHORT_ABANDONED: "yellow",
}
_COLUMNS = (
    "time",
    "line",
    "client",
    "operator",
    "wait",
    "latency",
    "talk",
    "holds",
    "hung up",
    "outcome",
    "callback",
)
_UNBROKEN = frozenset({"time", "line", "client", "wait", "latency", "talk"})
# The longest word in it: what a narrow terminal still leaves whole.
_WORD = {"operator": 8, "hung up": 8, "outcome": 9, "callback": 8}
_LEAST = frozenset({"latency", "holds"})
_NARROW = 96
_NUMERIC = frozenset({"wait", "latency", "talk"})

# The columns of `callsteward calls --output csv`: a contract, new ones go to the end.
CALL_COLUMNS = {
    "call_id": Holds.TEXT,
    "site": Holds.TEXT,
    "line": Holds.TEXT,
    "direction": Holds.TEXT,
    "client_masked": Holds.TEXT,
    "client_ref": Holds.TEXT,
    "operator": Holds.TEXT,
    "started_at": Holds.MOMENT,
    "answered_at": Holds.MOMENT,
    "ended_at": Holds.MOMENT,
    "wait_s": Holds.NUMBER,
    "answer_latency_s": Holds.NUMBER,
    "talk_s": Holds.NUMBER,
    "hold_s": Holds.NUMBER,
    "duration_s": Holds.NUMBER,
    "hold_count": Holds.COUNT,
    "silence_count": Holds.COUNT,
    "operator_speech_s": Holds.NUMBER,
    "client_speech_s": Holds.NUMBER,
    "overlap_s": Holds.NUMBER,
    "operator_interruptions": Holds.COUNT,
    "client_interruptions": Holds.COUNT,
    "first_operator_word_s": Holds.NUMBER,
    "attempt_count": Holds.COUNT,
    "transfer_count": Holds.COUNT,
    "hangup_first": Holds.TEXT,
    "hangup_cause": Holds.COUNT,
    "hangup_tech_cause": Holds.COUNT,
    "hangup_evidence": Holds.TEXT,
    "hangup_confidence": Holds.TEXT,
    "hangup_lost_side": Holds.TEXT,
    "outcome": Holds.TEXT,
    "callback_decision": Holds.TEXT,
    "callback_reason": Holds.TEXT,
    "rating_status": Holds.TEXT,
    "rating_score": Holds.COUNT,
    "rules_broken": Holds.TEXT,
    "complete": Holds.TRUTH,
}
CSV_COLUMNS = tuple(CALL_COLUMNS)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _clock(stamp: str | None, zone: tzinfo | None) -> str:
    if stamp is None:
        return "-"
    return f"{datetime.fromisoformat(stamp).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _holds(record: CallRecord) -> str:
    # The operator's are the rule, the client's are named.
    return (
        ", ".join(
            f"{hold.duration_s:.1f}" + (" client" if hold.by is Side.CLIENT else "") for hold in record.holds
        )
        or "-"
    )


def _hung_up(record: CallRecord) -> str:
    hangup = record.hangup
    if hangup.first is Party.NETWORK and hangup.lost_side is not None:
        return f"network ({hangup.lost_side.value})"
    return hangup.first.value


def cells(record: CallRecord, zone: tzinfo | None) -> tuple[str, ...]:
    """A record as the texts of the table's columns; a time is the call's start in `zone`."""
    return (
        _clock(record.started_at, zone),
        record.line,
        record.client_masked or "-",
        record.operator or "-",
        _seconds(record.wait_s),
        _seconds(record.answer_latency_s),
        _seconds(record.talk_s),
        _holds(record),
        _hung_up(record),
        record.outcome.value
        + ("" if record.left_waiting_s is None else " (left waiting)")
        + ("" if record.complete else " (partly observed)"),
        record.callback.decision.value,
    )


def records_table(
    records: Iterable[CallRecord], zone: tzinfo | None, title: str | None = None, width: int = WIDE
) -> Table:
    """The records as a table, oldest first as given. Seconds throughout.

    On a terminal too narrow for a row, the columns that say least are left out rather than cut off.
    """
    left_out = _LEAST if width < _NARROW else frozenset()
    table = Table(title=title, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=0)
    for column in _COLUMNS:
        if column in left_out:
            continue
        table.add_column(
            column,
            justify="right" if column in _NUMERIC else "left",
            no_wrap=column in _UNBROKEN,
            overflow="fold",
            min_width=_WORD.get(column),
        )
    rows = [(record, cells(record, zone)) for record in records]
    # The day is worth its place only where there are several.
    one_day = len({texts[0].partition(" ")[0] for _, texts in rows if texts[0] != "-"}) == 1
    for record, texts in rows:
        # Blanks let a narrow terminal break the long names between words.
        row = [cell(text.replace("_", " ")) for text in texts]
        if one_day:
            row[0] = Text(texts[0].partition(" ")[2] or texts[0])
        row[_COLUMNS.index("outcome")].stylize(_STYLES.get(record.outcome, ""))
        if record.callback.decision is Decision.DUE:
            row[_COLUMNS.index("callback")].stylize("bold magenta")
        table.add_row(*(text for name, text in zip(_COLUMNS, row, strict=True) if name not in left_out))
    return table


def records_listing(zone: tzinfo) -> Listing[CallRecord]:
    """Call records in every form; jsonl has them as they were published, lists and all."""
    return Listing(
        columns=CALL_COLUMNS,
        cells=flat,
        table=lambda records, width: records_table(records, zone, width=width),
        line=encode,
    )


def plain_line(record: CallRecord, zone: tzinfo | None) -> str:
    """The record as one line, `column=value` for each column that has one."""
    pairs = zip(_COLUMNS, cells(record, zone), strict=True)
    return visible("  ".join(f"{name.replace(' ', '_')}={text}" for name, text in pairs if text != "-"))


def outcomes(records: Iterable[CallRecord]) -> str:
    """How many calls ended how: `completed 3, abandoned 1`."""
    counts = Counter(record.outcome for record in records)
    return ", ".join(f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome])


def flat(record: CallRecord) -> dict[str, object]:
    """A record as a row under CSV_COLUMNS, a truth value as such."""
    row = dict(zip(CSV_COLUMNS, _csv_row(record), strict=True))
    return {**row, "complete": record.complete}


def _csv_row(record: CallRecord) -> tuple[object, ...]:
    speech = record.speech
    hangup = record.hangup
    return (
        record.call_id,
        record.site,
        record.line,
        record.direction.value,
        record.client_masked,
        record.client_ref,
        record.operator,
        record.started_at,
        record.answered_at,
        record.ended_at,
        record.wait_s,
        record.answer_latency_s,
        record.talk_s,
        record.hold_s,
        record.duration_s,
        len(record.holds),
        None if record.silences is None else len(record.silences),
        speech and speech.operator_s,
        speech and speech.client_s,
        speech and speech.overlap_s,
        speech and speech.operator_interruptions,
        speech and speech.client_interruptions,
        speech and speech.first_operator_word_s,
        record.rang(),
        len(record.transfers),
        hangup.first.value,
        hangup.cause,
        hangup.tech_cause,
        ";".join(hangup.evidence),
        hangup.confidence.value,
        hangup.lost_side and hangup.lost_side.value,
        record.outcome.value,
        record.callback.decision.value,
        record.callback.reason,
        record.rating.status,
        record.rating.score,
        ";".join(check.rule for check in record.standard if check.result is RuleResult.BROKEN),
        "true" if record.complete else "false",
    )
