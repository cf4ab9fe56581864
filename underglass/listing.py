"""Commands that list one table: the same options, one line of code each.

In: a table of `analysis.columns` and the query behind it. Out: a click command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from underglass.options import db_option, json_option, session_option, since_option
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record

Query = Callable[["Reader", int | None, str | None], "list[Record]"]


def since_ns(text: str | None) -> int | None:
    """`--since` as nanoseconds since the epoch."""
    if text is None:
        return None
    from analysis.since import parse_since

    return parse_since(text, time.time_ns())


def listing(
    name: str, help_text: str, query: Query, *, empty: str, analysed: bool = False
) -> click.Command:
    """A command that prints the rows of one query as a table or as a JSON array.

    `analysed`: the rows are what analysis says, which must be up to date.
    """

    @click.command(name, help=help_text)
    @db_option
    @since_option
    @session_option
    @json_option
    def command(db: str | None, since: str | None, session: str | None, as_json: bool) -> None:
        from analysis.columns import TABLES
        from analysis.reading import open_reader
        from underglass.analysed import analysed_reader
        from underglass.printing import print_json, print_table

        opened = analysed_reader if analysed else open_reader
        with opened(store_path(db)) as reader:
            rows = query(reader, since_ns(since), session)
        if as_json:
            print_json(rows)
        else:
            print_table(TABLES[_TABLE_OF.get(name, name)], rows, empty=empty)

    return command


_TABLE_OF = {"loops": "findings", "escalations": "findings", "conflicts": "findings"}
