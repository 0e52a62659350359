"""`callsteward tags`: what was said of calls, and what came of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from callsteward import config
from callsteward.record.tag import Tag
from callsteward.terminal.options import ConfigOption, Form, FormOption, chosen


def tags(
    config_file: ConfigOption,
    call_id: Annotated[str | None, typer.Option("--call", metavar="ID", help="Only this call's.")] = None,
    tag: Annotated[Tag | None, typer.Option(help="Only this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 100,
    output: FormOption = None,
) -> None:
    """List what operators and integrations said of calls, and what came of it.

    A tag that came after its call's record was made changes no record: what was decided then is the result
    here, and a row of `callsteward callbacks`.
    """
    import msgspec

    from callsteward.record.moments import rfc3339
    from callsteward.store.records import Store
    from callsteward.tags.book import Kept, TagBook

    settings = config.load(config_file)

    async def read() -> list[Kept]:
        store = await Store.open(settings.store.url, create=False)
        try:
            return await TagBook(store.engine, settings.site.name).listed(call_id, tag, limit)
        finally:
            await store.close()

    found = asyncio.run(read())
    if chosen(output) is Form.JSONL:
        for item in found:
            fields = msgspec.to_builtins(item)
            typer.echo(msgspec.json.encode({"at": rfc3339(fields.pop("at_ms")), **fields}).decode())
        return
    from rich import box
    from rich.table import Table

    from callsteward.terminal import tables

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("at", "call", "tag", "value", "by", "way", "result"):
        table.add_column(column, overflow="fold")
    for item in found:
        at = datetime.fromtimestamp(item.at_ms / 1000, settings.site.zone)
        cells = (
            f"{at:%Y-%m-%d %H:%M:%S}",
            item.call_id,
            item.tag,
            item.value or "-",
            item.given_by or "-",
            item.source,
            item.result,
        )
        table.add_row(*map(tables.cell, cells))
    tables.console().print(table)
    typer.echo(f"tags: {len(found)}" if found else "no such tags", err=True)
