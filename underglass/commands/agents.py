"""`underglass agents`: the agents that were seen."""

from __future__ import annotations

import click

from underglass.list_options import Asked, list_options
from underglass.listing import show_list, since_ns
from underglass.options import db_option, since_option


@click.command("agents")
@db_option
@since_option
@list_options
def command(db: str | None, since: str | None, asked: Asked) -> None:
    """List agents: client, version, program and its build id, user, models, when they were seen.

    System prompts and sets of tools are shown by how many different ones there were; --json has
    their fingerprints.
    """
    from analysis.columns import AGENTS
    from analysis.listed import Narrowed

    narrowed = Narrowed(since_ns(since))
    show_list(AGENTS, narrowed, asked, db, empty="no agents seen", analysed=True)
