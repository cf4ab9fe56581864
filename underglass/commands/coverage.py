"""`underglass coverage`: which programs' TLS is seen, and which is not."""

from __future__ import annotations

import click

from underglass.list_options import Asked, list_options
from underglass.listing import show_list
from underglass.options import db_option


@click.command("coverage")
@db_option
@click.option(
    "--now", is_flag=True, help="Look into the running processes instead, without capturing."
)
@list_options
def command(db: str | None, now: bool, asked: Asked) -> None:
    """Show, for each process that speaks TLS, its stack and whether it is hooked, worst first.

    With --now nothing is captured: a file in which hook points were found is `hookable`. Other
    users' processes can be looked into only as root.
    """
    from analysis.columns import COVERAGE
    from analysis.listed import Narrowed

    if not now:
        show_list(COVERAGE, Narrowed(), asked, db, empty="no watched process spoke TLS")
        return
    if asked.where or asked.watch_s is not None:
        raise click.UsageError("--where and --watch go with what is stored, not with --now")
    from underglass.listed_rows import print_records
    from underglass.running_stacks import running_stacks

    empty = "no running process that may be looked into holds a TLS stack"
    print_records(COVERAGE, running_stacks(), asked, empty=empty)
