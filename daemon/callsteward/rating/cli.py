"""`callsteward complaints`, `prompts` and `report ratings`: commands for a supervisor and an admin.

Imports that a command needs are inside it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.files import Holds
from callsteward.terminal.groups import group, renamed, report
from callsteward.terminal.listings import plain_listing
from callsteward.terminal.options import (
    ALL_SITES,
    CommentOption,
    ConfigOption,
    ExcelOption,
    FileOption,
    FolderOption,
    FromOption,
    LimitOption,
    LineOption,
    OutputOption,
    SiteOption,
    ToOption,
    load,
    span,
    tell_expired,
    tell_unknown_line,
    words,
)
from callsteward.terminal.printing import Listing, print_rows, wanted
from callsteward.terminal.said import now_ms, who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callsteward.rating.report import RatingSums
    from callsteward.rating.states import Complaint
    from callsteward.store.records import Store


class By(StrEnum):
    OPERATOR = "operator"
    LINE = "line"


def add_to(app: typer.Typer) -> None:
    complaints = group(
        app,
        "complaints",
        "Low ratings and tagged complaints: on a list until a supervisor acknowledges them.",
    )
    complaints.command("list")(list_complaints)
    complaints.command("ack")(acknowledge)
    app.command("prompts", cls=renamed({"--out": "--folder"}))(prompts)
    report(app).command("ratings")(ratings)


# --- complaints ---------------------------------------------------------------------------------------


def list_complaints(
    config_file: ConfigOption,
    line: LineOption = None,
    site: SiteOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that somebody has acknowledged.")
    ] = False,
    limit: LimitOption = 100,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Complaints nobody has acknowledged, the one that waits longest first."""
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.rating.complaints import Complaints
    from callsteward.store.once import sites_asked, with_store

    async def read(store: Store) -> list[Complaint]:
        rows = [
            complaint
            for name in await sites_asked(store, settings, site)
            for complaint in await Complaints(store.engine, name).listed(
                line=line, everything=everything, limit=limit
            )
        ]
        return rows if site is None else sorted(rows, key=lambda row: row.raised_at_ms)[:limit]

    zone = settings.site.zone
    listing: Listing[Complaint] = plain_listing(_COLUMNS, _HEADS, zone)
    print_rows(with_store(settings, read), listing, asked, zone, what="complaints")
    tell_unknown_line(settings, line)


def acknowledge(
    complaint_id: Annotated[str, typer.Argument(metavar="ID", help="The complaint's, or its call's.")],
    config_file: ConfigOption,
    comment: CommentOption = "",
) -> None:
    """Take a complaint off the list; the user, the time and the comment are kept."""
    from callsteward.rating.complaints import Complaints
    from callsteward.store.once import with_store

    settings = load(config_file)

    async def take_off(store: Store) -> Complaint | None:
        return await Complaints(store.engine, settings.site.name).acknowledge(
            complaint_id, by=who(), comment=comment, at_ms=now_ms()
        )

    complaint = with_store(settings, take_off)
    if complaint is None:
        message = f"no complaint {complaint_id} waits; `callsteward complaints list` shows those that do"
        raise CallstewardError(message)
    typer.echo(f"complaint {complaint.id} is acknowledged", err=True)


_COLUMNS = {
    "id": Holds.COUNT,
    **dict.fromkeys(("site", "call_id", "line", "operator", "client_masked", "client_ref"), Holds.TEXT),
    "reason": Holds.TEXT,
    "score": Holds.COUNT,
    "raised_at": Holds.MOMENT,
    "acknowledged_at": Holds.MOMENT,
    "acknowledged_by": Holds.TEXT,
    "comment": Holds.TEXT,
}
_HEADS = {
    "id": "id",
    "since": "raised_at",
    "line": "line",
    "operator": "operator",
    "client": "client_masked",
    "reason": "reason",
    "score": "score",
    "call": "call_id",
    "acknowledged": "acknowledged_by",
    "comment": "comment",
}


# --- prompts ------------------------------------------------------------------------------------------


def prompts(
    folder: FolderOption,
    language: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only these; default: all, ru and en.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there, recordings included.")
    ] = False,
) -> None:
    """Make the rating's prompts with espeak-ng: 8 kHz mono wav, as Asterisk plays them.

    The folder is rating.prompts_dir; it gets a folder for each language. A file that is there already is left
    alone, so studio recordings under the same names stay.
    """
    from callsteward.rating import prompts as rating_prompts

    written = rating_prompts.generate(folder, language or tuple(rating_prompts.TEXTS), force=force)
    for file in written:
        typer.echo(str(file))
    typer.echo(f"written: {len(written)}", err=True)


# --- report -------------------------------------------------------------------------------------------


def ratings(
    config_file: ConfigOption,
    by: Annotated[By, typer.Option(metavar="WHAT", help=f"A row for each: {words(By)}.")] = By.OPERATOR,
    from_: FromOption = None,
    to: ToOption = None,
    line: LineOption = None,
    site: SiteOption = None,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Ratings of answered inbound calls: mean, distribution, who was asked, who answered, why not.

    A call counts by the time it started. A rating call that came later counts with the call it is about.
    Over all sites the rows are named SITE/NAME.
    """
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    zone = settings.site.zone
    from_ms, to_ms = span(from_, to, zone)
    from callsteward.rating.ledger import RatingLedger
    from callsteward.rating.report import RatingTally, with_total
    from callsteward.store.expired import deleted_before_ms, said_expired
    from callsteward.store.once import sites_asked, with_store
    from callsteward.store.records import CallQuery

    async def read(store: Store) -> tuple[list[RatingSums], str]:
        sites = await sites_asked(store, settings, site)
        rows: list[RatingSums] = []
        said = ""
        for name in sites:
            # Of a time that is not complete any more nothing is counted.
            since_ms = max(from_ms or 0, await deleted_before_ms(store.engine, name))
            # By the moment the call ended, which is after it started: the later end of the span stays open.
            known = await RatingLedger(store.engine, name).between(from_ms, None, line=line)
            tally = RatingTally(by.value, known)
            async for record in store.calls(CallQuery(site=name, line=line, from_ms=since_ms, to_ms=to_ms)):
                tally.add(record)
            rows += tally.each(f"{name}/" if site == ALL_SITES else "")
            said = said or await said_expired(store.engine, name, from_ms, zone)
        return with_total(rows), said

    rows, expired = with_store(settings, read)
    print_rows(rows, _ratings(by), asked, zone, what="rows", of="calls")
    tell_expired(expired)
    tell_unknown_line(settings, line)


def _ratings(by: By) -> Listing[RatingSums]:
    from callsteward.rating.menu import HIGHEST, LOWEST

    columns = {
        by.value: Holds.TEXT,
        **dict.fromkeys(("calls", "asked", "answered"), Holds.COUNT),
        "mean": Holds.NUMBER,
        "score_sum": Holds.COUNT,
        **{f"score_{score}": Holds.COUNT for score in range(LOWEST, HIGHEST + 1)},
        "share_asked": Holds.NUMBER,
        "share_answered": Holds.NUMBER,
        "waiting": Holds.COUNT,
        "not_asked": Holds.TEXT,
    }

    def line(row: RatingSums) -> dict[str, Any]:
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

    def cells(row: RatingSums) -> dict[str, Any]:
        reasons = ";".join(f"{reason}={count}" for reason, count in row.not_asked.items())
        return {**line(row), "not_asked": reasons}

    def table(rows: Sequence[RatingSums], _width: int) -> Any:
        from callsteward.terminal.plain import plain_table

        heads = (by.value, "calls", "asked", "answered", "mean", "5 4 3 2 1", "waiting", "not asked")
        return plain_table(heads, map(_rating_texts, rows))

    return Listing(columns, cells, table, line)


def _rating_texts(row: RatingSums) -> tuple[str | None, ...]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    return (
        row.key,
        str(row.calls),
        f"{row.asked} ({share(row.share_asked)})",
        f"{row.answered} ({share(row.share_answered)})",
        None if row.mean is None else f"{row.mean:.2f}",
        " ".join(str(count) for _, count in sorted(row.scores.items(), reverse=True)),
        str(row.waiting),
        ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in row.not_asked.items()),
    )
