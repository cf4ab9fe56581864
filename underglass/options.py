"""Options that commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

_DB_HELP = "Store to use. Default: $UNDERGLASS_DB, else the user's XDG state directory."


def db_option(function: _F) -> _F:
    """`--db FILE`."""
    return click.option("--db", metavar="FILE", help=_DB_HELP)(function)


def content_option(function: _F) -> _F:
    """`--no-content`."""
    return click.option(
        "--no-content",
        is_flag=True,
        help="Store metadata only: no messages, tool arguments or results.",
    )(function)


def json_option(function: _F) -> _F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def since_option(function: _F) -> _F:
    """`--since T`."""
    return click.option(
        "--since", metavar="T", help="Only from then on: 10m, 2h, 7d, or an ISO 8601 time."
    )(function)


def session_option(function: _F) -> _F:
    """`--session S`."""
    return click.option("--session", metavar="S", help="Only this session.")(function)


def command_argument(function: _F) -> _F:
    """`-- CMD...`."""
    return click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)(function)


COMMAND_SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}


def freeze_option(function: _F) -> _F:
    """`--freeze`."""
    return click.option(
        "--freeze",
        is_flag=True,
        help="Stop a program or library that was never seen before until it is hooked, once for "
        "each file (milliseconds; up to a second for an executable of hundreds of megabytes), so "
        "that nothing of it is missed.",
    )(function)
