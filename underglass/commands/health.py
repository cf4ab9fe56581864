"""`underglass health`: what was captured, what was lost, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from underglass.list_options import Asked, list_options
from underglass.listing import repeat
from underglass.options import db_option

if TYPE_CHECKING:
    from analysis.reading import Reader


@click.command("health")
@db_option
@list_options
def command(db: str | None, asked: Asked) -> None:
    """Show, for each source, what was captured, lost, truncated, ignored and not decoded.

    For each source, captured + lost + truncated + ignored bytes are all that the programs
    exchanged through it. --where, --sort and --csv are about these counters; without them the
    coverage follows, as in `underglass coverage`.
    """
    repeat(asked, db, _print)


def _print(reader: Reader, asked: Asked) -> None:
    from analysis.columns import COVERAGE, HEALTH
    from analysis.health import health_object
    from analysis.listed import Narrowed, listed
    from underglass.listed_rows import print_stored
    from underglass.printing import print_json

    if asked.as_json:
        counters = Narrowed(where=asked.where, limit=asked.limit)
        stacks = listed(reader, COVERAGE, Narrowed(limit=None)).rows.records()
        found = health_object(listed(reader, HEALTH, counters).rows.records(), stacks)
        print_json(found, compact=asked.watch_s is not None)
        return
    print_stored(reader, HEALTH, Narrowed(), asked, empty="nothing captured yet")
    if asked.where or asked.sort or asked.as_csv:
        return
    if len(listed(reader, COVERAGE, Narrowed(limit=1)).rows):
        click.echo()
        print_stored(reader, COVERAGE, Narrowed(), replace(asked, reverse=False), empty="")
