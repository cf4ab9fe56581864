"""`underglass agents`: the agents that were seen."""

from __future__ import annotations

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, since_option
from underglass.paths import store_path


@click.command("agents")
@db_option
@since_option
@json_option
def command(db: str | None, since: str | None, as_json: bool) -> None:
    """List agents: client, version, program and its build id, user, models, when they were seen.

    System prompts and sets of tools are shown by how many different ones there were; --json has
    their fingerprints.
    """
    from analysis.columns import AGENTS
    from analysis.reading import agents
    from underglass.analysed import analysed_reader
    from underglass.printing import print_json, print_table

    with analysed_reader(store_path(db)) as reader:
        rows = agents(reader, since_ns(since)).records()
    if as_json:
        print_json(rows)
    else:
        print_table(AGENTS, rows, empty="no agents seen")
