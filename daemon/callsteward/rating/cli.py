"""`callsteward complaints` and `prompts`: commands for a supervisor and an admin.

Imports that a command needs are inside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.files import Holds
from callsteward.terminal.groups import group, renamed
from callsteward.terminal.listings import plain_listing
from callsteward.terminal.options import (
    CommentOption,
    ConfigOption,
    ExcelOption,
    FileOption,
    FolderOption,
    LimitOption,
    LineOption,
    OutputOption,
    SiteOption,
    load,
    tell_unknown_line,
)
from callsteward.terminal.printing import Listing, print_rows, wanted
from callsteward.terminal.said import now_ms, who

if TYPE_CHECKING:
    from callsteward.rating.states import Complaint
    from callsteward.store.records import Store


def add_to(app: typer.Typer) -> None:
    complaints = group(
        app,
        "complaints",
        "Low ratings and tagged complaints: on a list until a supervisor acknowledges them.",
    )
    complaints.command("list")(list_complaints)
    complaints.command("ack")(acknowledge)
    app.command("prompts", cls=renamed({"--out": "--folder"}))(prompts)


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
