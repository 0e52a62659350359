"""`callsteward tags`: what was said of calls, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.record.tag import Tag
from callsteward.terminal.files import Holds
from callsteward.terminal.listings import plain_listing
from callsteward.terminal.options import (
    ConfigOption,
    ExcelOption,
    FileOption,
    LimitOption,
    OutputOption,
    SiteOption,
    load,
    words,
)
from callsteward.terminal.printing import Listing, print_rows, wanted

if TYPE_CHECKING:
    from callsteward.store.records import Store
    from callsteward.tags.book import Kept


def add_to(app: typer.Typer) -> None:
    app.command("tags")(list_tags)


def list_tags(
    config_file: ConfigOption,
    call_id: Annotated[str | None, typer.Option("--call", metavar="ID", help="Only this call.")] = None,
    tag: Annotated[Tag | None, typer.Option(metavar="TAG", help=f"Only this one: {words(Tag)}.")] = None,
    site: SiteOption = None,
    limit: LimitOption = 100,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """List what operators and integrations said of calls, and what came of it; the latest first.

    A tag that came after its call's record was made changes no record: what was decided then is the result
    here, and a row of `callsteward callbacks`.
    """
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.store.once import sites_asked, with_store
    from callsteward.tags.book import TagBook

    async def read(store: Store) -> list[Kept]:
        rows = [
            row
            for name in await sites_asked(store, settings, site)
            for row in await TagBook(store.engine, name).listed(call_id, tag, limit)
        ]
        # Each site's are in order already.
        return rows if site is None else sorted(rows, key=lambda row: -row.at_ms)[:limit]

    zone = settings.site.zone
    listing: Listing[Kept] = plain_listing(_COLUMNS, _HEADS, zone)
    print_rows(with_store(settings, read), listing, asked, zone, what="tags")


_COLUMNS = {
    "at": Holds.MOMENT,
    **dict.fromkeys(("site", "call_id", "tag", "value", "given_by", "source", "result"), Holds.TEXT),
}
_HEADS = {
    "at": "at",
    "call": "call_id",
    "tag": "tag",
    "value": "value",
    "by": "given_by",
    "way": "source",
    "result": "result",
}
