"""`underglass show`: one call, with all that was said in it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from underglass.completing import CALL_ID
from underglass.options import db_option, json_option
from underglass.progress import BYTES_FROM, progress_bar
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.raw_http import RawPlace
    from analysis.reading import CallDetail, Message
    from collector.raw_exchange import RawExchange

_STYLE = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}
_RAW_STYLE: dict[str, dict[str, Any]] = {
    "head": {"bold": True},
    "name": {"fg": "cyan"},
    "dim": {"dim": True},
    "warn": {"fg": "yellow"},
}


@click.command("show")
@click.argument("call_id", type=CALL_ID)
@click.option("--raw", "as_raw", is_flag=True, help="The HTTP exchange, from kept raw data.")
@click.option("--curl", "as_curl", is_flag=True, help="A curl command that asks the same again.")
@db_option
@json_option
def command(call_id: str, as_raw: bool, as_curl: bool, db: str | None, as_json: bool) -> int:
    """Show the call CALL_ID: its facts, its messages, the tools that it asked for.

    Of a call that runs, what its answer says so far. With --raw the HTTP exchange as it was
    captured, secrets masked, from the raw data that --keep-raw keeps; without raw data what the
    store knows of it, and exit code 1. With --curl a shell command: exact with raw data, else
    rebuilt from the store, as its first line says.
    """
    from analysis.reading import call_detail

    if as_raw + as_curl + as_json > 1:
        raise click.UsageError("--raw, --curl and --json exclude each other")
    with reading_from(db) as reader:
        detail = call_detail(reader, call_id)
        place = None
        if as_raw or as_curl:
            from analysis.raw_http import raw_place

            place = raw_place(reader, call_id)
    if place is not None:
        from analysis.call_export import curl_command

        found = _found(place)
        if as_raw:
            return _print_raw(detail, place, found)
        _echo(curl_command(detail, found).rstrip("\n"))
    elif as_json:
        from analysis.call_export import call_record
        from underglass.printing import print_json

        print_json(call_record(detail))
    else:
        _print(detail)
    return 0


def _found(place: RawPlace) -> RawExchange | None:
    """The call's exchange in the raw data, with a bar on a terminal."""
    from collector.raw_exchange import find_exchange

    if place.path is None:
        return None
    size = place.path.stat().st_size
    with progress_bar(f"reading {place.path.name}", size, least=BYTES_FROM) as done:
        return find_exchange(place.path, place.wanted, done)


def _print_raw(detail: CallDetail, place: RawPlace, found: RawExchange | None) -> int:
    from analysis.raw_http import KEEP_HINT, exchange_lines, known_lines

    lines = known_lines(detail.call) if found is None else exchange_lines(found)
    for line in lines:
        click.echo("".join(click.style(text, **_RAW_STYLE.get(word, {})) for text, word in line))
    if found is not None:
        return 0
    why = place.why or f"the raw data does not hold it: {place.path}"
    click.echo(f"underglass: {why}", err=True)
    if place.path is None:
        click.echo(f"  fix: {KEEP_HINT}", err=True)
    return 1


def _echo(text: str) -> None:
    """Captured text, which must not steer a terminal."""
    from analysis.cells import printable

    click.echo(printable(text) if sys.stdout.isatty() else text)


def _print(detail: CallDetail) -> None:
    for name, value in detail.call.items():
        if value is not None and name not in ("params",):
            _echo(f"{name:<20} {value}")
    if detail.tool_schemas:
        click.echo(f"{'tools_offered':<20} {len(detail.tool_schemas)}")
    for message in detail.messages:
        _print_message(message)
    if detail.running is not None:
        click.echo()
        click.secho(f"→ so far, about {detail.running.output_tokens} tokens", bold=True)
        for body in detail.running.messages:
            _print_body(body)


def _print_message(message: Message) -> None:
    from analysis.cells import one_line

    role = message.role or message.kind or "message"
    arrow = "→" if message.side == "output" else " "
    click.echo()
    click.secho(f"{arrow}{message.position} {one_line(role)}", fg=_STYLE.get(role), bold=True)
    if message.body is None:
        click.echo(f"  ({message.size_bytes} bytes, content not stored)")
        return
    _print_body(message.body)


def _print_body(body: object) -> None:
    from analysis.cells import one_line
    from analysis.message_parts import message_parts, pretty_json

    for part in message_parts(body):
        text = pretty_json(part.text) if part.kind == "tool_call" else part.text
        label = part.kind if not part.title else f"{part.kind} {one_line(part.title)}"
        if part.kind != "text":
            click.secho(f"  [{label}{' error' if part.is_error else ''}]", dim=True)
        _echo(textwrap.indent(text, "  "))
