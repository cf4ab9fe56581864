"""`underglass timeline`: what happened in one session, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from underglass.completing import SESSION_ID
from underglass.options import db_option, json_option
from underglass.service import reading_from

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Sequence

    from analysis.result import Record, ResultSet

KINDS = ("call", "tool", "process", "file", "connection", "finding")
_BAR_CHARS = 20
_MOST_FILES = 3
"""Files that follow each other are shown up to this many: agents keep house all the time."""
_NARROW_COLUMNS = 100
_PARTS = (
    *(("queue_ms", "waiting for the model"), ("generation_ms", "generating")),
    *(("stall_ms", "stalled"), ("tools_ms", "tools"), ("human_ms", "waiting for a human")),
    *(("retry_ms", "retries and backoff"), ("idle_ms", "idle")),
)


@click.command("timeline")
@click.argument("session", type=SESSION_ID)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only such things; may be given more than once.",
)
@db_option
@json_option
def command(session: str, kinds: tuple[str, ...], db: str | None, as_json: bool) -> None:
    """Show what happened in SESSION: calls, tool calls, and what they caused, as it came.

    SESSION is an id or the beginning of one. A tool call's programs, files and connections are
    indented below it. Where the time went is summed up first. Of files that follow each other
    only the first are shown, unless `--kind file` asks for them.
    """
    from analysis.reading import query, session_named, timeline
    from underglass.printing import print_json

    with reading_from(db, analysed=True) as reader:
        session_id = session_named(reader, session)
        found = timeline(reader, session_id, kinds or None)
        turns = reader.rows(query("turns"), {"session": session_id})
    if as_json:
        print_json(
            {"session_id": session_id, "turns": turns.records(), "timeline": found.records()}
        )
        return
    _print_turns(turns)
    _print_timeline(found, whole="file" in kinds)


def _print_turns(turns: ResultSet) -> None:
    rows = turns.records()
    wall_ms = sum(row["duration_ms"] for row in rows)
    if not wall_ms:
        return
    click.secho(f"{_time(wall_ms)} in {len(rows)} turns", bold=True)
    for name, label in _PARTS:
        part_ms = sum(row[name] for row in rows)
        if part_ms:
            click.echo(f"  {label:<22}{_time(part_ms):>9}  {part_ms / wall_ms:>6.1%}")
    click.echo()


def _print_timeline(found: ResultSet, *, whole: bool) -> None:
    import shutil

    rows = list(zip(found.records(), (row[0] for row in found), strict=True))
    dated = [(record, at) for record, at in rows if at is not None]
    if not dated:
        click.echo("nothing is known of this session yet")
        return
    width = shutil.get_terminal_size((100, 24)).columns
    first = dated[0][1]
    last = max(_end(record, at) for record, at in dated)
    span_ms = max((last - first).total_seconds() * 1000, 1e-3)
    for line, more in _folded(dated, _MOST_FILES if not whole else len(dated)):
        if more:
            click.echo(f"{'':>8} and {more} more files (--kind file)")
            continue
        record, at = line
        offset_ms = (at - first).total_seconds() * 1000
        took_ms = record["duration_ms"]
        bar = ""
        if width >= _NARROW_COLUMNS:
            bar = _bar(offset_ms, took_ms or 0.0, span_ms) + " "
        took = "" if took_ms is None else _time(took_ms)
        indent = "  " if record["tool_call_id"] and record["kind"] != "tool" else ""
        shown = f"{_time(offset_ms):>8} {bar}{took:>7} {indent}{record['kind']:<10} {_text(record)}"
        click.secho(shown[:width], fg=_colour(record))


def _folded(
    dated: Sequence[tuple[Record, datetime.datetime]], most: int
) -> Iterator[tuple[tuple[Record, datetime.datetime], int]]:
    """The lines to print; with a number, so many files follow that are left out.

    Files that one tool call caused are told apart from others.
    """
    from itertools import groupby

    def run(line: tuple[Record, datetime.datetime]) -> tuple[bool, str | None]:
        record = line[0]
        return record["kind"] == "file", record["tool_call_id"]

    for (is_file, _), together in groupby(dated, run):
        lines = list(together)
        shown = lines[:most] if is_file else lines
        yield from ((line, 0) for line in shown)
        if len(lines) > len(shown):
            yield lines[-1], len(lines) - len(shown)


def _text(record: Record) -> str:
    """Of a file what was done comes first: paths are long."""
    name, status, detail = record["name"], record["status"], _one_line(record["detail"])
    if record["kind"] == "file":
        done, _, more = detail.partition(", ")
        failed = status if status != "ok" else None
        return " ".join(filter(None, (done, failed, name, more and f"({more})")))
    return " ".join(filter(None, (name, status, detail)))


def _end(record: Record, at: datetime.datetime) -> datetime.datetime:
    import datetime

    return at + datetime.timedelta(milliseconds=record["duration_ms"] or 0.0)


def _bar(offset_ms: float, took_ms: float, span_ms: float) -> str:
    begin = min(int(offset_ms / span_ms * _BAR_CHARS), _BAR_CHARS - 1)
    end = max(begin + 1, min(round((offset_ms + took_ms) / span_ms * _BAR_CHARS), _BAR_CHARS))
    return "·" * begin + "█" * (end - begin) + "·" * (_BAR_CHARS - end)


def _colour(record: Record) -> str | None:
    if record["kind"] == "finding":
        return "red" if record["status"] == "critical" else "yellow"
    if record["status"] in (None, "ok", "running", "exit 0"):
        return "cyan" if record["kind"] == "call" else None
    return "red"


def _one_line(text: Any) -> str:
    return " ".join(str(text).split()) if text else ""


def _time(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes}:{seconds:02} min" if minutes < 60 else f"{minutes / 60:.1f} h"
