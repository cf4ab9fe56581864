"""`underglass rpc`: what agents, MCP servers and other agents said to each other."""

from __future__ import annotations

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, session_option, since_option
from underglass.paths import store_path


@click.command("rpc")
@db_option
@since_option
@session_option
@json_option
@click.option(
    "--calls", is_flag=True, help="A row a request, with its answer, not a row a message."
)
def command(
    db: str | None, since: str | None, session: str | None, as_json: bool, calls: bool
) -> None:
    """List JSON-RPC and A2A messages: MCP servers over stdio and HTTP, remote agents."""
    from analysis import reading
    from analysis.columns import RPC, RPC_CALLS
    from analysis.reading import open_reader
    from underglass.printing import print_json, print_table

    query = reading.rpc_calls if calls else reading.rpc
    with open_reader(store_path(db)) as reader:
        rows = query(reader, since_ns(since), session).records()
    if as_json:
        print_json(rows)
    else:
        table = RPC_CALLS if calls else RPC
        print_table(table, rows, empty=f"no JSON-RPC {'calls' if calls else 'messages'} stored")
