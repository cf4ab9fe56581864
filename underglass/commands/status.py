"""`underglass status`: what each session is doing now: the dashboard's first view as text."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from underglass.completing import SESSION_ID
from underglass.configured_context import from_command_line
from underglass.list_options import Asked, list_options
from underglass.listing import repeat
from underglass.options import db_option

if TYPE_CHECKING:
    from analysis.overview import Overview
    from analysis.reading import Reader

_MOST_SESSIONS = 1000
_ALL = 10_000_000
_MOST_FINDINGS = 5


@click.command("status")
@db_option
@click.option("--session", metavar="S", type=SESSION_ID, help="Only this session and sub-agents.")
@list_options
def command(db: str | None, session: str | None, asked: Asked) -> None:
    """Show what each session is doing: working, waiting, running a tool, stuck, done.

    The sessions that were active last (1,000 if --limit does not say otherwise), sub-agents below
    their parents. When nothing is captured, each is as it was left. --where is a filter on the
    columns shown: 'state:stuck', 'cost:>1 agent:codex'.
    """
    all_of_them = asked.limit is None and from_command_line("limit")

    def once(reader: Reader, asked: Asked) -> None:
        from analysis.overview import overview
        from analysis.reading import session_named

        session_id = None if session is None else session_named(reader, session)
        most = _ALL if all_of_them else asked.limit or _MOST_SESSIONS
        _print(overview(reader, session_id, asked.where, most=most), asked)

    repeat(asked, db, once)


def _print(found: Overview, asked: Asked) -> None:
    from analysis.overview import finding_record, table_row
    from analysis.state_columns import STATES
    from underglass.listed_rows import print_records, sorted_records
    from underglass.printing import print_json, print_table

    states, now_ns = found.states, time.time_ns()
    rows = [dict(table_row(one, now_ns)) for one in states.sessions]
    if asked.sort is not None:
        rows = [{**row, "depth": 0} for row in rows]
    rows = sorted_records(STATES, rows, asked)[: asked.limit]
    if asked.as_json:
        told = {
            "live": states.live,
            "sessions": rows,
            "sessions_stored": states.total,
            "totals": asdict(found.sums),
            "rates": asdict(found.rates),
            "findings": [finding_record(one) for one in found.findings],
        }
        print_json(told, compact=asked.watch_s is not None)
    elif asked.as_csv:
        print_records(STATES, rows, Asked(limit=None, as_csv=True), empty="")
    elif rows:
        print_table(STATES, rows, empty="")
        left_out = states.total - len(rows) - found.filtered
        if left_out > 0:
            click.echo(f"underglass: and {left_out:,} more; --limit 0 shows all", err=True)
        _print_sums(found)
    elif found.filtered:
        click.echo(f"none of {found.filtered:,} sessions is like {asked.where!r}", err=True)
    else:
        click.echo("no sessions stored yet; watch an agent: underglass run -- CMD", err=True)


def _print_sums(found: Overview) -> None:
    from analysis import cells
    from analysis.overview import SPAN_NS, SPANS
    from analysis.state_columns import pace

    sums, rates = found.sums, found.rates
    cost = cells.total_cost(sums.cost_usd, sums.unpriced_calls, sums.estimated_calls).text
    click.echo()
    click.echo(
        f"{sums.calls:,} calls, {sums.open_calls:,} open, {sums.errors:,} failed, {cost}; in the "
        f"last {SPANS * SPAN_NS // 60_000_000_000} minutes {sum(rates.calls):,} calls, "
        f"{cells.dollars(sum(rates.cost_usd)).text}; {pace(rates.tokens_per_s[-1]).text} tokens/s"
        + ("" if found.states.live else "; nothing is captured now")
    )
    for one in found.findings[:_MOST_FINDINGS]:
        click.echo(f"  {one.severity:<9} {cells.one_line(one.title)}")
