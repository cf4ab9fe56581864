"""`underglass follow`: calls, tool calls and findings as they happen, a line each."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from underglass.completing import SESSION_ID
from underglass.options import db_option

if TYPE_CHECKING:
    from analysis.cells import Cell
    from analysis.happenings import Happening
    from analysis.reading_place import ReadingPlace

KINDS = ("call", "tool", "finding", "process", "file", "connection")
_USUAL = ("call", "tool", "finding")


@click.command("follow")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="What to print; may be given more than once. Default: call, tool, finding.",
)
@click.option(
    "--session",
    metavar="S",
    type=SESSION_ID,
    default="",
    help="Only this session: its id, or the beginning of it.",
)
@click.option(
    "--where",
    metavar="FILTER",
    default="",
    help="Only rows like that: 'model:opus !status:ok'. Kinds that lack such a column are left "
    "out.",
)
@click.option(
    "--since",
    metavar="T",
    help="Begin there: 10m, 2h, 7d, or an ISO 8601 time. Default: now.",
)
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@db_option
def command(
    kinds: tuple[str, ...],
    session: str,
    where: str,
    since: str | None,
    seconds: float | None,
    as_json: bool,
    db: str | None,
) -> None:
    """Print calls when they begin and end, tool calls, results and findings, as they happen.

    Goes on when the collector restarts or another one takes the store over, and waits for a store
    that is not there yet. Ctrl-C ends it.
    """
    import sys

    import orjson

    from analysis.happenings import Happenings
    from underglass.following import follow
    from underglass.listing import since_ns
    from underglass.service import reading_place, service_socket

    def say(text: str) -> None:
        sys.stdout.flush()
        click.echo(f"underglass: {text}", err=True)

    places: dict[bool, ReadingPlace] = {}

    def place() -> ReadingPlace:
        """Asked anew when the service has come or gone; that it does not answer is said once."""
        socket = service_socket()
        there = socket is not None and os.path.exists(socket)
        if there not in places:
            places[there] = reading_place(db)
        return places[there]

    begin_ns = since_ns(since)
    happenings = Happenings(
        dict.fromkeys(kinds or _USUAL),
        time.time_ns() if begin_ns is None else begin_ns,
        session=session or "",
        where=where or "",
    )
    told = False
    for one in follow(happenings, place, say, seconds=seconds):
        if happenings.left_out and not told:
            told = True
            say(f"no {', no '.join(happenings.left_out)}: --where names what they have not")
        if as_json:
            click.echo(orjson.dumps(one.as_json()).decode())
        else:
            click.echo(line(one))


def line(one: Happening) -> str:
    """One happening for people: time, what, and the facts that matter, cut to the terminal."""
    from analysis import cells
    from underglass.printing import width

    label, mark, style = _EVENTS[one.event]
    known = [cell for cell in _facts(one.kind, one.event, one.record) if cell.text]
    parts: list[tuple[str, dict[str, Any]]] = [
        (cells.clock(one.as_json()["at"]).text, {"dim": True}),
        (f" {mark} {label:<7}", style),
        *((f"{gap}{cell.text}", _style(cell)) for gap, cell in zip(_GAPS, known, strict=False)),
    ]
    shown, left = [], width()
    for text, its_style in parts:
        cut = text if len(text) <= left else f"{text[: left - 1]}…"
        shown.append(click.style(cut, **its_style))
        left -= len(cut)
        if left <= 1:
            break
    return "".join(shown)


_GAPS = (" ", *["  "] * 9)
_EVENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "call_started": ("call", "→", {"fg": "cyan"}),
    "call_ended": ("answer", "←", {"fg": "cyan"}),
    "tool": ("tool", "→", {"fg": "blue"}),
    "tool_result": ("result", "←", {"fg": "blue"}),
    "finding": ("finding", "!", {"fg": "yellow", "bold": True}),
    "process_started": ("process", "→", {"dim": True}),
    "process_ended": ("ended", "←", {"dim": True}),
    "file": ("file", "·", {"dim": True}),
    "connection": ("connect", "·", {"dim": True}),
}


def _style(cell: Cell) -> dict[str, Any]:
    from underglass.printing import STYLES

    return STYLES.get(cell.style, {})


def _facts(kind: str, event: str, row: dict[str, Any]) -> list[Cell]:
    from analysis import cells
    from analysis.cells import Cell

    def text(name: str, most: int = 60) -> Cell:
        value = row[name]
        return Cell("" if value is None else cells.plain(value).text[:most])

    if kind == "call":
        agent = Cell(text("agent").text or text("comm").text)
        model = Cell(text("model").text or text("request_model").text)
        if event == "call_started":
            return [agent, model]
        given, answered = cells.tokens(row["input_tokens"]), cells.tokens(row["output_tokens"])
        return [
            *(agent, model, cells.word(row["status"]), text("error_type")),
            Cell(f"{given.text}→{answered.text}"),
            cells.call_cost(row["cost_usd"], row["cost_source"]),
            cells.duration(row["duration_ms"]),
        ]
    if kind == "tool":
        if event == "tool":
            return [text("name", 30), text("arguments", 160)]
        took = cells.duration(row["duration_ms"])
        return [text("name", 30), cells.outcome(row["is_error"]), took, text("result_preview", 120)]
    if kind == "finding":
        return [cells.word(row["severity"]), text("kind", 30), text("title", 200)]
    if kind == "process":
        command = Cell(text("argv", 160).text or text("comm").text)
        if event == "process_started":
            return [text("pid"), command]
        return [text("pid"), cells.exit_status(row["exit_code"], row["signal"]), command]
    if kind == "file":
        return [text("pid"), text("operation"), text("access"), text("path", 200), text("error")]
    to = Cell(text("name").text or text("address").text)
    return [text("pid"), to, text("port"), text("error")]
