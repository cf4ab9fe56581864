"""Options that commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from underglass.completing import SESSION_ID
from underglass.configured_context import from_command_line

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_RAW_LIMIT_BYTES = 1 << 30
_DB_HELP = "Store to use. Default: $UNDERGLASS_DB, else the user's XDG state directory."


def db_option(function: _F) -> _F:
    """`--db FILE`."""
    return click.option("--db", metavar="FILE", help=_DB_HELP)(function)


def content_option(function: _F) -> _F:
    """`--no-content`."""
    return click.option(
        "--no-content/--content",
        "no_content",
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
    return click.option("--session", metavar="S", type=SESSION_ID, help="Only this session.")(
        function
    )


def prices_option(function: _F) -> _F:
    """`--prices FILE`."""
    return click.option(
        "--prices",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Your own prices (TOML), for models that nobody else prices, or with `force = true` "
        "before all others. Default: $UNDERGLASS_PRICES, else prices.toml in the user's XDG "
        "configuration directory.",
    )(function)


def alerts_option(function: _F) -> _F:
    """`--alerts FILE`."""
    return click.option(
        "--alerts",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="Write findings there as they are found, one JSON object a line; - for standard "
        "error.",
    )(function)


def on_finding_options(function: _F) -> _F:
    """`--on-finding CMD|URL`, `--on-severity LEAST`."""
    function = click.option(
        "--on-severity",
        type=click.Choice(["info", "warning", "critical"]),
        default="info",
        help="With --on-finding, only findings at least as severe. Default: info.",
    )(function)
    return click.option(
        "--on-finding",
        "on_finding",
        multiple=True,
        metavar="CMD|URL",
        help="For each finding run a shell command with the finding as JSON on its standard input, "
        "or post it to https://... as JSON. May be given more than once.",
    )(function)


def command_argument(function: _F) -> _F:
    """`-- CMD...`."""
    return click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)(function)


def keep_raw_options(function: _F) -> _F:
    """`--keep-raw`, `--raw-limit SIZE`."""
    function = click.option(
        "--raw-limit",
        "raw_limit_bytes",
        callback=size_bytes,
        metavar="SIZE",
        help="With --keep-raw, at most so much a capture: 500M, 2G. Default: 1G.",
    )(function)
    return click.option(
        "--keep-raw/--no-keep-raw",
        help="Keep the captured plaintext beside the store (secrets masked, compressed), so that "
        "`underglass redecode` can decode it again with a later version.",
    )(function)


def raw_limit(keep_raw: bool, raw_limit_bytes: int | None, no_content: bool) -> int | None:
    """How much raw data to keep; None: none. Raises UsageError for options that contradict."""
    if not keep_raw:
        if raw_limit_bytes is not None and from_command_line("raw_limit_bytes"):
            raise click.UsageError("--raw-limit goes with --keep-raw")
        return None
    if no_content:
        if from_command_line("no_content") and not from_command_line("keep_raw"):
            return None  # asked for now, the other once and for all
        raise click.UsageError(
            "--keep-raw keeps everything that was said, which --no-content forbids"
        )
    return raw_limit_bytes or DEFAULT_RAW_LIMIT_BYTES


def size_bytes(context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    """The value of a size option as a number of bytes: 1048576, 500M, 2G; K is 1,024."""
    if given is None:
        return None
    size = parse_size(given)
    if size is None:
        raise click.BadParameter(f"{given!r} is no size; say 500M or 2G", context, parameter)
    return size


def parse_size(given: str) -> int | None:
    """Bytes of `1048576`, `500M`, `2G`; K is 1,024. None for what is no size."""
    text = given.strip().upper().removesuffix("B").removesuffix("I")
    power = "KMGT".find(text[-1:]) + 1 if text else 0
    try:
        size = int(float(text[:-1] if power else text) * 1024**power)
    except (ValueError, OverflowError):
        return None
    return size if size >= 1 else None


COMMAND_SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}


def freeze_option(function: _F) -> _F:
    """`--freeze`."""
    return click.option(
        "--freeze/--no-freeze",
        help="Stop a program or library that was never seen before until it is hooked, once for "
        "each file (milliseconds; up to a second for an executable of hundreds of megabytes), so "
        "that nothing of it is missed.",
    )(function)
