"""`underglass health`: what was captured, what was lost, and why."""

from __future__ import annotations

import click

from underglass.options import db_option, json_option
from underglass.paths import store_path


@click.command("health")
@db_option
@json_option
def command(db: str | None, as_json: bool) -> None:
    """Show, for each source, what was captured, lost, truncated, ignored and not decoded.

    For each source, captured + lost + truncated + ignored bytes are all that the programs
    exchanged through it.
    """
    from analysis import reading
    from analysis.columns import COVERAGE, HEALTH
    from analysis.health import health_object
    from underglass.printing import print_json, print_table

    with reading.open_reader(store_path(db)) as reader:
        counters = reading.health(reader).records()
        stacks = reading.coverage(reader).records()
    if as_json:
        print_json(health_object(counters, stacks))
        return
    print_table(HEALTH, counters, empty="nothing captured yet")
    if stacks:
        click.echo()
        print_table(COVERAGE, stacks, empty="")
