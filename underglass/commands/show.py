"""`underglass show`: one call, with all that was said in it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from underglass.options import db_option, json_option
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.reading import CallDetail, Message

_STYLE = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}


@click.command("show")
@click.argument("call_id")
@db_option
@json_option
def command(call_id: str, db: str | None, as_json: bool) -> None:
    """Show the call CALL_ID: its facts, its messages, the tools that it asked for."""
    from analysis.reading import call_detail, open_reader
    from underglass.printing import print_json

    with open_reader(store_path(db)) as reader:
        detail = call_detail(reader, call_id)
    if as_json:
        print_json(
            {
                **detail.call,
                "messages": [_message_json(message) for message in detail.messages],
                "tool_calls": detail.tool_calls.records(),
                "tools_offered": list(detail.tool_schemas),
                "chunk_ms": list(detail.chunk_ms),
            }
        )
    else:
        _print(detail)


def _message_json(message: Message) -> dict[str, object]:
    return {
        "position": message.position,
        "side": message.side,
        "kind": message.kind,
        "role": message.role,
        "size_bytes": message.size_bytes,
        "body": message.body,
    }


def _print(detail: CallDetail) -> None:
    for name, value in detail.call.items():
        if value is not None and name not in ("params",):
            click.echo(f"{name:<20} {value}")
    if detail.tool_schemas:
        click.echo(f"{'tools_offered':<20} {len(detail.tool_schemas)}")
    for message in detail.messages:
        _print_message(message)


def _print_message(message: Message) -> None:
    from analysis.message_parts import message_parts, pretty_json

    role = message.role or message.kind or "message"
    arrow = "→" if message.side == "output" else " "
    click.echo()
    click.secho(f"{arrow}{message.position} {role}", fg=_STYLE.get(role), bold=True)
    if message.body is None:
        click.echo(f"  ({message.size_bytes} bytes, content not stored)")
        return
    for part in message_parts(message.body):
        text = pretty_json(part.text) if part.kind == "tool_call" else part.text
        label = part.kind if not part.title else f"{part.kind} {part.title}"
        if part.kind != "text":
            click.secho(f"  [{label}{' error' if part.is_error else ''}]", dim=True)
        click.echo(textwrap.indent(text, "  "))
