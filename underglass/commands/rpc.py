"""`underglass rpc`: what agents, MCP servers and other agents said to each other."""

from __future__ import annotations

import click

from underglass.list_options import Asked, list_options
from underglass.listing import show_list, since_ns
from underglass.options import db_option, session_option, since_option


@click.command("rpc")
@db_option
@since_option
@session_option
@click.option(
    "--calls", is_flag=True, help="A row a request, with its answer, not a row a message."
)
@list_options
def command(
    db: str | None, since: str | None, session: str | None, calls: bool, asked: Asked
) -> None:
    """List JSON-RPC and A2A messages: MCP servers over stdio and HTTP, remote agents."""
    from analysis.columns import RPC, RPC_CALLS
    from analysis.listed import Narrowed

    narrowed = Narrowed(since_ns(since), session)
    empty = f"no JSON-RPC {'calls' if calls else 'messages'} stored"
    show_list(RPC_CALLS if calls else RPC, narrowed, asked, db, empty=empty)
