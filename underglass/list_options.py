"""The options of every command that lists a table, declared once.

In: the command line. Out: `Asked`, which `underglass.listing` carries out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from underglass.configured_context import from_command_line
from underglass.options import json_option

PEOPLE_READ = 1000
"""Rows of a table for people, when they do not say how many."""
_WATCH_S = 2.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows, and how. `limit` None: all rows; `watch_s` None: once."""

    where: str = ""
    limit: int | None = PEOPLE_READ
    sort: str | None = None
    reverse: bool = False
    as_json: bool = False
    as_csv: bool = False
    watch_s: float | None = None


def list_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--where`, `--sort`, `--reverse`, `--limit`, `--json`, `--csv`, `--watch`, given to the
    command as its argument `asked`."""

    @functools.wraps(function)
    def command(
        *arguments: Any,
        where: str,
        limit: int | None,
        sort: str | None,
        reverse: bool,
        as_json: bool,
        as_csv: bool,
        watch: float | None,
        **others: Any,
    ) -> Any:
        if as_json and as_csv:
            raise click.UsageError("--json and --csv exclude each other")
        if as_csv and watch is not None:
            raise click.UsageError("--watch draws a table, or prints JSON; not CSV")
        programs = (as_json or as_csv) and watch is None
        if limit is None or (programs and not from_command_line("limit")):
            limit = 0 if programs else PEOPLE_READ
        asked = Asked(where, limit or None, sort, reverse, as_json, as_csv, watch)
        return function(*arguments, asked=asked, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option(
        "--where",
        metavar="FILTER",
        default="",
        help="Only rows like that: 'model:opus cost:>0.1 !status:ok'. See docs/commands.md.",
    ),
    click.option("--sort", metavar="COLUMN", help="By this column, the largest numbers first."),
    click.option("--reverse", is_flag=True, help="The other way round."),
    click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help=f"At most so many rows, the newest; 0: all. Default: {PEOPLE_READ:,}; "
        "with --json or --csv all.",
    ),
    json_option,
    click.option(
        "--csv", "as_csv", is_flag=True, help="Print CSV: a header, then all fields of each row."
    ),
    click.option(
        "--watch",
        type=click.FloatRange(min=0.1),
        is_flag=False,
        flag_value=_WATCH_S,
        metavar="[SECONDS]",
        help=f"Draw it again and again, every {_WATCH_S:g} seconds if not said otherwise; "
        "with --json an array a line.",
    ),
)
