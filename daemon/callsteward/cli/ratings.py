"""`callsteward complaints`, `prompts` and `report ratings`: what a supervisor and an admin do by hand.

What is needed is imported inside each command, as in `cli`.
"""

from __future__ import annotations

import sys
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward import config
from callsteward.cli.ledger import clock, now_ms, print_json, print_table, rfc3339, who, with_store
from callsteward.exceptions import CallstewardError
from callsteward.terminal.options import (
    ConfigOption,
    ExcelOption,
    Form,
    FormOption,
    ListForm,
    StartedFromOption,
    StartedToOption,
    as_excel,
    chosen,
    span,
    tell_unknown_line,
)

if TYPE_CHECKING:
    from callsteward.rating.report import Row
    from callsteward.rating.states import Complaint
    from callsteward.store.records import Store

complaints = typer.Typer(
    no_args_is_help=True,
    help="Low ratings and tagged complaints: on a list until a supervisor acknowledges them.",
)


class By(StrEnum):
    OPERATOR = "operator"
    LINE = "line"


# --- complaints ---------------------------------------------------------------------------------------


@complaints.command("list")
def _list(
    config_file: ConfigOption,
    line: Annotated[str | None, typer.Option(help="Only this line's.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that somebody has acknowledged.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: FormOption = None,
) -> None:
    """Complaints nobody has acknowledged, the one that waits longest first."""
    from callsteward.rating.complaints import Complaints

    settings = config.load(config_file)
    tell_unknown_line(settings, line)

    async def read(store: Store) -> list[Complaint]:
        listed = Complaints(store.engine, settings.site.name).listed(
            line=line, everything=everything, limit=limit
        )
        return await listed

    found = with_store(settings, read)
    zone = settings.site.zone
    if chosen(output) is Form.JSONL:
        for complaint in found:
            print_json(_plain(complaint))
        return
    print_table(
        ("id", "since", "line", "operator", "client", "reason", "score", "call", "acknowledged", "comment"),
        [
            (
                str(complaint.id),
                clock(complaint.raised_at_ms, zone),
                complaint.line,
                complaint.operator or "-",
                complaint.client_masked or "-",
                complaint.reason,
                "-" if complaint.score is None else str(complaint.score),
                complaint.call_id,
                complaint.acknowledged_by or "-",
                complaint.comment or "-",
            )
            for complaint in found
        ],
    )
    typer.echo(f"complaints: {len(found)}" if found else "no complaints", err=True)


@complaints.command("ack")
def _acknowledge(
    complaint_id: Annotated[str, typer.Argument(metavar="ID", help="Its number, or its call's id.")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="What was done about it.")] = "",
) -> None:
    """Take a complaint off the list; who and when is kept with the comment."""
    from callsteward.rating.complaints import Complaints

    settings = config.load(config_file)

    async def acknowledge(store: Store) -> Complaint | None:
        return await Complaints(store.engine, settings.site.name).acknowledge(
            complaint_id, by=who(), comment=comment, at_ms=now_ms()
        )

    complaint = with_store(settings, acknowledge)
    if complaint is None:
        message = f"no complaint {complaint_id} waits; `callsteward complaints list` shows those that do"
        raise CallstewardError(message)
    typer.echo(f"complaint {complaint.id} is acknowledged", err=True)


def _plain(complaint: Complaint) -> dict[str, Any]:
    acknowledged_ms = complaint.acknowledged_at_ms
    return {
        "id": complaint.id,
        "site": complaint.site,
        "call_id": complaint.call_id,
        "line": complaint.line,
        "operator": complaint.operator,
        "client_masked": complaint.client_masked,
        "client_ref": complaint.client_ref,
        "reason": complaint.reason,
        "score": complaint.score,
        "raised_at": rfc3339(complaint.raised_at_ms),
        "acknowledged_at": None if acknowledged_ms is None else rfc3339(acknowledged_ms),
        "acknowledged_by": complaint.acknowledged_by,
        "comment": complaint.comment,
    }


# --- prompts ------------------------------------------------------------------------------------------


def prompts(
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="rating.prompts_dir; a folder for each language is made."),
    ],
    language: Annotated[list[str] | None, typer.Option(help="Only these; default: all, ru and en.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there, recordings included.")
    ] = False,
) -> None:
    """Make the rating's prompts with espeak-ng: 8 kHz mono wav, as Asterisk plays them.

    A file that is there already is left alone, so studio recordings under the same names stay.
    """
    from callsteward.rating import prompts as rating_prompts

    written = rating_prompts.generate(out, language or tuple(rating_prompts.TEXTS), force=force)
    for file in written:
        typer.echo(str(file))
    typer.echo(f"written: {len(written)}", err=True)


# --- report -------------------------------------------------------------------------------------------


def ratings_report(
    config_file: ConfigOption,
    by: Annotated[By, typer.Option(help="A row for each of these.")] = By.OPERATOR,
    from_: StartedFromOption = None,
    to: StartedToOption = None,
    line: Annotated[str | None, typer.Option(help="Only this line's calls.")] = None,
    output: Annotated[
        ListForm | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")
    ] = None,
    excel: ExcelOption = False,
) -> None:
    """Ratings of answered inbound calls: mean, distribution, who was asked, who answered, why not.

    A rating call that came later counts with the call it is about.
    """
    from callsteward.rating.ledger import Ledger
    from callsteward.rating.report import Tally
    from callsteward.store.records import CallQuery

    form = as_excel(output, ListForm.CSV, excel=excel) or ListForm(chosen(None))
    settings = config.load(config_file)
    tell_unknown_line(settings, line)
    zone = settings.site.zone
    from_ms, to_ms = span(from_, to, zone)

    async def read(store: Store) -> list[Row]:
        # By the moment the call ended, which is after it started: the later end of the span stays open.
        known = await Ledger(store.engine, settings.site.name).between(from_ms, None, line=line)
        tally = Tally(by.value, known)
        async for record in store.calls(CallQuery(line=line, from_ms=from_ms, to_ms=to_ms)):
            if record.site == settings.site.name:
                tally.add(record)
        return tally.rows()

    rows = with_store(settings, read)
    if form is ListForm.JSONL:
        for row in rows:
            print_json(_row(row, by))
    elif form is ListForm.CSV:
        _print_csv(rows, by, zone if excel else None)
    else:
        _print_rows(rows, by)


def _row(row: Row, by: By) -> dict[str, Any]:
    return {
        by.value: row.key,
        "calls": row.calls,
        "asked": row.asked,
        "answered": row.answered,
        "mean": row.mean,
        "score_sum": row.score_sum,
        **{f"score_{score}": count for score, count in row.scores.items()},
        "share_asked": row.share_asked,
        "share_answered": row.share_answered,
        "waiting": row.waiting,
        "not_asked": row.not_asked,
    }


def _print_csv(rows: list[Row], by: By, excel: tzinfo | None) -> None:
    from callsteward.reports.report import Csv

    cells = [
        {
            **_row(row, by),
            "not_asked": ";".join(f"{reason}={count}" for reason, count in row.not_asked.items()),
        }
        for row in rows
    ]
    if cells:
        writer = Csv(sys.stdout.buffer, list(cells[0]), excel=excel)
        writer.write(cells)
        writer.close()


def _print_rows(rows: list[Row], by: By) -> None:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    print_table(
        (by.value, "calls", "asked", "answered", "mean", "5 4 3 2 1", "waiting", "not asked"),
        [
            (
                row.key,
                str(row.calls),
                f"{row.asked} ({share(row.share_asked)})",
                f"{row.answered} ({share(row.share_answered)})",
                "-" if row.mean is None else f"{row.mean:.2f}",
                " ".join(str(count) for _, count in sorted(row.scores.items(), reverse=True)),
                str(row.waiting),
                ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in row.not_asked.items())
                or "-",
            )
            for row in rows
        ],
    )
    if not rows:
        typer.echo("no such calls", err=True)
