"""Commands that list one table: the same options, one line of code each.

In: a table of `analysis.columns`, and what the user asked for. Out: a click command that prints
the table, JSON or CSV, once or again and again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from underglass.list_options import Asked, list_options
from underglass.options import db_option, session_option, since_option
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.listed import Narrowed
    from analysis.reading import Reader
    from analysis.table_layout import Table

_TABLE_HEAD_LINES = 2  # the labels, and a line about rows that are left out


def since_ns(text: str | None) -> int | None:
    """`--since` as nanoseconds since the epoch."""
    if text is None:
        return None
    from analysis.since import parse_since

    return parse_since(text, time.time_ns())


def listing(
    name: str,
    help_text: str,
    *,
    empty: str,
    table: str | None = None,
    kinds: Callable[[], Collection[str]] | None = None,
    analysed: bool = False,
) -> click.Command:
    """A command that lists the table `table`, by default the one that is called as the command is.

    `kinds`: of findings, those that are meant. `analysed`: the rows are what analysis says, which
    must be up to date. `empty` is said when there are no rows at all.
    """

    @click.command(name, help=help_text)
    @db_option
    @since_option
    @session_option
    @list_options
    def command(db: str | None, since: str | None, session: str | None, asked: Asked) -> None:
        from analysis.columns import TABLES
        from analysis.listed import Narrowed

        narrowed = Narrowed(since_ns(since), session, kinds=kinds() if kinds is not None else None)
        show_list(TABLES[table or name], narrowed, asked, db, empty=empty, analysed=analysed)

    return command


def show_list(
    table: Table,
    narrowed: Narrowed,
    asked: Asked,
    db: str | None,
    *,
    empty: str,
    analysed: bool = False,
) -> None:
    """Print rows of a table of the store, as asked. `narrowed` says of which time and session."""
    from underglass.listed_rows import print_stored

    def once(reader: Reader, asked: Asked) -> None:
        print_stored(reader, table, narrowed, asked, empty=empty)

    repeat(asked, db, once, analysed=analysed)


def repeat(
    asked: Asked,
    db: str | None,
    print_once: Callable[[Reader, Asked], None],
    *,
    analysed: bool = False,
) -> None:
    """Read the store and print, once or as often as `--watch` says.

    Opens it anew each time, so that a collector may begin and end meanwhile.
    """
    if asked.watch_s is None:
        with reading_from(db, analysed=analysed) as reader:
            print_once(reader, asked)
        return
    from underglass.analysed import analysed_reader
    from underglass.service import reading_place
    from underglass.watched import room, watch, watch_lines

    place = reading_place(db)

    def opened() -> AbstractContextManager[Reader]:
        return analysed_reader(place) if analysed else place.open()

    def print_rows() -> None:
        with opened() as reader:
            print_once(reader, asked)

    def draw() -> None:
        most = room() - _TABLE_HEAD_LINES
        with opened() as reader:
            print_once(reader, replace(asked, limit=min(asked.limit or most, most)))

    if asked.as_json:
        watch_lines(asked.watch_s, print_rows)
    else:
        watch(" ".join(["underglass", *sys.argv[1:]]), asked.watch_s, draw)
