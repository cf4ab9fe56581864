"""`underglass tree`: what each tool call caused, as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from underglass.options import db_option, json_option
from underglass.service import reading_from

if TYPE_CHECKING:
    from analysis.action_nodes import Line

_COLOURS = {"bad": "red", "warn": "yellow"}


@click.command("tree")
@click.argument("session", required=False)
@click.option(
    "--where",
    default="",
    metavar="FILTER",
    help="Only what fits, and what leads there: words, kind:file, note:unasked, !word.",
)
@db_option
@json_option
def command(session: str | None, where: str, db: str | None, as_json: bool) -> None:
    """Show what the tool calls of SESSION caused: programs, files and connections.

    SESSION is an id or the beginning of one; sub-agents stand below it. Without it, the latest
    sessions. What an agent's processes did that no tool call asked for stands under `by itself`.
    Equal things are counted; of each thing that a process did to files the first four are shown,
    libraries last: `underglass files` has them all.
    """
    from analysis.action_reading import TreeQuestion
    from analysis.action_tree import MOST_LINES
    from analysis.reading import session_named
    from underglass.printing import print_json

    with reading_from(db, analysed=True) as reader:
        chosen = None if session is None else session_named(reader, session)
        lines = TreeQuestion(chosen, where, everything=True).read(reader)
    if len(lines) >= MOST_LINES:
        click.echo(f"only the first {MOST_LINES:,} lines; name a SESSION or use --where", err=True)
    if as_json:
        print_json(_nested(lines))
    elif lines:
        _print(lines)
    else:
        click.echo("nothing fits" if where else "no session yet", err=True)


def _print(lines: Sequence[Line]) -> None:
    from underglass.printing import width

    room = width()
    stems = _stems(lines)
    for line, stem in zip(lines, stems, strict=True):
        note = f"  ({line.note})" if line.note else ""
        label = line.label
        if len(stem) + len(label) + len(note) > room:
            note = note if len(note) <= room // 3 else note[: room // 3 - 2] + "…)"
            label = label[: max(20, room - len(stem) - len(note) - 1)] + "…"
        text = stem + label
        styled = click.style(text, fg=_COLOURS.get(line.style), bold=line.kind == "session")
        click.echo(styled + click.style(note, dim=True))


def _stems(lines: Sequence[Line]) -> list[str]:
    """What leads to each line: `│  ├─ `."""
    going: list[bool] = []  # by depth: does another line of that depth follow?
    stems: list[str] = []
    for line in reversed(lines):
        depth = line.depth
        last = depth >= len(going) or not going[depth]
        above = ["│  " if level < len(going) and going[level] else "   " for level in range(depth)]
        stems.append("" if not depth else "".join(above[1:]) + ("└─ " if last else "├─ "))
        going = [*going[:depth], *[False] * (depth - len(going)), True]
    return stems[::-1]


def _nested(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The lines as objects, each with those below it as `children`."""
    from analysis.result import json_value

    roots: list[dict[str, Any]] = []
    path: list[list[dict[str, Any]]] = [roots]
    for line in lines:
        node: dict[str, Any] = {
            "kind": line.kind,
            "label": line.label,
            "note": line.note or None,
            **{name: json_value(value) for name, value in line.record.items()},
            "children": [],
        }
        del path[line.depth + 1 :]
        path[-1].append(node)
        path.append(node["children"])
    return roots
