"""`underglass sql`: ask the store anything."""

from __future__ import annotations

import click

from underglass.options import db_option, json_option
from underglass.service import reading_from


@click.command("sql")
@click.argument("query")
@db_option
@json_option
def command(query: str, db: str | None, as_json: bool) -> None:
    """Run QUERY on the store, read-only, in DuckDB's SQL.

    Views: calls, tools, processes, sessions, messages, health, coverage, captures; their columns
    are in docs/tables.md.
    """
    from analysis import reading
    from analysis.result import json_value
    from underglass.printing import print_json

    with reading_from(db) as reader:
        result = reading.sql(reader, query)
    if as_json:
        print_json(result.records())
        return
    click.echo("\t".join(result.columns))
    for row in result:
        values = (json_value(value, kind) for value, kind in zip(row, result.types, strict=True))
        click.echo("\t".join("" if value is None else str(value) for value in values))
    if result.truncated:
        click.echo("underglass: there are more rows than shown; use LIMIT", err=True)
