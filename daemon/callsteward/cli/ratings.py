"""`callsteward report ratings`: from stored sums, so far as they are made."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward.terminal.files import Holds
from callsteward.terminal.groups import report
from callsteward.terminal.options import (
    ALL_SITES,
    ConfigOption,
    ExcelOption,
    FileOption,
    FromOption,
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callsteward.rating.report import Grouping, RatingSums, RatingTally
    from callsteward.store.records import Store


class By(StrEnum):
    OPERATOR = "operator"
    LINE = "line"


def add_to(app: typer.Typer) -> None:
    report(app).command("ratings")(ratings)


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
    from callsteward.rating.report import with_total
    from callsteward.store.expired import deleted_before_ms, said_expired
    from callsteward.store.once import sites_asked, with_store

    async def read(store: Store) -> tuple[list[RatingSums], str]:
        sites = await sites_asked(store, settings, site)
        rows: list[RatingSums] = []
        said = ""
        for name in sites:
            # Of a time that is not complete any more nothing is counted.
            since_ms = max(from_ms or 0, await deleted_before_ms(store.engine, name))
            tally = await tallied(store, name, by.value, from_ms=since_ms, to_ms=to_ms, line=line)
            rows += tally.each(f"{name}/" if site == ALL_SITES else "")
            said = said or await said_expired(store.engine, name, from_ms, zone)
        return with_total(rows), said

    rows, expired = with_store(settings, read)
    print_rows(rows, _ratings(by), asked, zone, what="rows", of="calls")
    tell_expired(expired)
    tell_unknown_line(settings, line)


async def tallied(
    store: Store, site: str, by: Grouping, *, from_ms: int | None, to_ms: int | None, line: str | None
) -> RatingTally:
    """The calls of a site that started in [from_ms, to_ms), with the results of rating calls made since.

    None: from the first call, to the last. Raises StoreError.
    """
    from callsteward.intervals.rated_sums import rated_sums
    from callsteward.rating.ledger import RatingLedger
    from callsteward.rating.report import RatingTally

    sums = await rated_sums(store, site, from_ms, to_ms)
    if line is not None:
        sums = {line: sums[line]} if line in sums else {}
    scheduled = [
        call_id
        for by_operator in sums.values()
        for counts in by_operator.values()
        for call_id in counts.scheduled
    ]
    tally = RatingTally(by, await RatingLedger(store.engine, site).of_calls(scheduled))
    tally.add_sums(sums)
    return tally


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
