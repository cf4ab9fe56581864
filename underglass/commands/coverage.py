"""`underglass coverage`: which programs' TLS is seen, and which is not."""

from __future__ import annotations

import click

from underglass.options import db_option, json_option
from underglass.paths import store_path


@click.command("coverage")
@db_option
@json_option
@click.option(
    "--now", is_flag=True, help="Look into the running processes instead, without capturing."
)
def command(db: str | None, as_json: bool, now: bool) -> None:
    """Show, for each process that speaks TLS, its stack and whether it is hooked, worst first.

    With --now nothing is captured: a file in which hook points were found is `hookable`. Other
    users' processes can be looked into only as root.
    """
    from analysis.columns import COVERAGE
    from underglass.printing import print_json, print_table

    if now:
        from underglass.running_stacks import running_stacks

        rows = running_stacks()
        empty = "no running process that may be looked into holds a TLS stack"
    else:
        from analysis import reading

        with reading.open_reader(store_path(db)) as reader:
            rows = reading.coverage(reader).records()
        empty = "no watched process spoke TLS"
    if as_json:
        print_json(rows)
    else:
        print_table(COVERAGE, rows, empty=empty)
