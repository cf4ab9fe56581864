"""`underglass spend`: tokens and money, what caches saved and what was wasted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from underglass.list_options import Asked, list_options
from underglass.listing import repeat, since_ns
from underglass.options import db_option, session_option, since_option

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.spend import By, SpendReport

_ALL = 1_000_000
_WHY = {
    "failed": "calls failed",
    "cut": "answers were cut",
    "retried": "calls were repeated",
    "loops": "loops",
    "compactions": "compactions and reading again",
}


@click.command("spend")
@click.option(
    "--by",
    type=click.Choice(["model", "session", "agent", "day"]),
    default="model",
    help="What to sum up by; days are UTC's. Default: model.",
)
@db_option
@since_option
@session_option
@list_options
def command(by: By, db: str | None, since: str | None, session: str | None, asked: Asked) -> None:
    """Sum up tokens and cost, what caches saved, what was wasted, and how fast it goes.

    Calls without a known price count in no cost: `+` marks sums that lack some. --where is a
    filter on the calls that are summed up, with the columns of `underglass calls`; what loops and
    compactions wasted is then not told.
    """
    from underglass.known_rates import remembered_rates
    from underglass.prices import price_file, price_overrides

    start_ns, overrides = since_ns(since), price_overrides(price_file(None))

    def once(reader: Reader, asked: Asked) -> None:
        from analysis.spend import spend

        most = _ALL if asked.limit is None or asked.sort or asked.reverse else asked.limit
        with remembered_rates() as known_rates:
            found = spend(
                reader, by, start_ns, session, where=asked.where, most=most,
                overrides=overrides, known_rates=known_rates,
            )  # fmt: skip
        _print(found, asked)

    repeat(asked, db, once, analysed=True)


def _print(found: SpendReport, asked: Asked) -> None:
    from analysis.use_columns import SPENT
    from underglass.listed_rows import print_records, sorted_records
    from underglass.printing import print_json, print_table

    rows = sorted_records(SPENT, [asdict(one) for one in found.rows], asked)
    left_out = found.left_out + len(rows)
    rows = rows[: asked.limit]
    left_out -= len(rows)
    if asked.as_json:
        print_json(
            {**asdict(found), "rows": rows, "left_out": left_out},
            compact=asked.watch_s is not None,
        )
        return
    if asked.as_csv:
        print_records(SPENT, rows, Asked(limit=None, as_csv=True), empty="")
        return
    if not found.total.calls:
        empty = "no calls stored; watch an agent: underglass run -- CMD"
        click.echo(f"no call is like {asked.where!r}" if asked.where else empty, err=True)
        return
    if found.by == "day" and not asked.sort:
        rows.sort(key=lambda row: str(row["key"]), reverse=asked.reverse)
    if len(rows) > 1:
        rows.append({**asdict(found.total), "key": "all"})
    print_table(SPENT, rows, empty="")
    if left_out:
        click.echo(f"underglass: and {left_out:,} more; --limit 0 shows all", err=True)
    _print_waste(found)


def _print_waste(found: SpendReport) -> None:
    from analysis import cells

    if found.waste:
        click.echo()
        click.secho("Wasted", bold=True)
    for one in found.waste:
        tokens = "" if one.tokens is None else f"{cells.tokens(one.tokens).text} tokens"
        cost = cells.dollars(one.cost_usd).text
        click.echo(f"  {one.count:>6,} {_WHY[one.cause]:<32}{tokens:>14}{cost:>12}")
    burn = found.burn
    rates = [
        (burn.recent_usd_per_hour, f"in the last {burn.recent_minutes} minutes of activity"),
        (burn.usd_per_hour, "from the first call to the last"),
    ]
    known = [(rate, what) for rate, what in rates if rate is not None]
    if known:
        click.echo()
        click.secho("Burn rate", bold=True)
    for rate, what in known:
        click.echo(f"  {cells.dollars(rate).text:>10} an hour {what}")
