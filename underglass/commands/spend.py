"""`underglass spend`: tokens and money, what caches saved and what was wasted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, session_option, since_option
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.result import Record
    from analysis.spend import By, SpendReport, Spent

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
@json_option
def command(by: By, db: str | None, since: str | None, session: str | None, as_json: bool) -> None:
    """Sum up tokens and cost, what caches saved, what was wasted, and how fast it goes.

    Calls without a known price count in no cost: `+` marks sums that lack some.
    """
    import threading

    from analysis.cache_savings import load_prices
    from analysis.spend import spend
    from underglass.analysed import analysed_reader
    from underglass.prices import price_file, price_overrides
    from underglass.printing import print_json

    threading.Thread(target=load_prices, daemon=True).start()  # while the database sums up
    overrides = price_overrides(price_file(None))
    with analysed_reader(store_path(db)) as reader:
        found = spend(reader, by, since_ns(since), session, overrides=overrides)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: SpendReport) -> None:
    from analysis.use_columns import SPENT
    from underglass.printing import print_table

    if not found.total.calls:
        click.echo("no calls stored; watch an agent: underglass run -- CMD", err=True)
        return
    rows = [_record(one, one.key) for one in found.rows]
    if found.by == "day":
        rows.sort(key=lambda row: str(row["key"]))
    if len(rows) > 1:
        rows.append(_record(found.total, "all"))
    print_table(SPENT, rows, empty="")
    if found.left_out:
        click.echo(f"and {found.left_out:,} more, which cost less", err=True)
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


def _record(one: Spent, key: str | None) -> Record:
    return {**asdict(one), "key": key}
