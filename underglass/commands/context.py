"""`underglass context`: what fills the requests of a session, and what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from underglass.listing import since_ns
from underglass.options import db_option, json_option, since_option
from underglass.paths import store_path

if TYPE_CHECKING:
    from analysis.result import Record

_MOST_SESSIONS = 1000
_MOST_NAMED = 5
_MOST_TURNS = 40
_BAR_CHARS = 24
_PARTS = (
    ("system_bytes", "system prompt"),
    ("tool_schema_bytes", "tool schemas"),
    ("user_bytes", "user"),
    ("assistant_bytes", "assistant"),
    ("tool_result_bytes", "tool results"),
    ("other_bytes", "other"),
)


@click.command("context")
@click.argument("session", required=False)
@db_option
@since_option
@json_option
def command(session: str | None, db: str | None, since: str | None, as_json: bool) -> None:
    """Show what fills the requests of SESSION, how it grew, what was compacted and sent again.

    SESSION is an id or the beginning of one; without it, one line for each of the sessions that
    were active last. Bytes are those of the messages, tokens the provider's.
    """
    from analysis.findings import COMPACTION_KINDS, finding_records, findings
    from analysis.reading import query, session_named
    from analysis.use_columns import CONTEXTS
    from underglass.analysed import analysed_reader
    from underglass.printing import print_json, print_table

    start_ns = since_ns(since)
    with analysed_reader(store_path(db)) as reader:
        if session is None:
            asked = {"since_ns": start_ns, "most": _MOST_SESSIONS}
            rows = reader.rows(query("context_sessions"), asked).records()
            problems: list[Record] = []
        else:
            session_id = session_named(reader, session)
            about = {"session": session_id, "since_ns": start_ns}
            rows = reader.rows(query("context"), about).records()
            problems = finding_records(
                findings(reader, session=session_id, kinds=COMPACTION_KINDS, since_ns=start_ns)
            )
    if session is None:
        if as_json:
            print_json(rows)
        else:
            print_table(CONTEXTS, rows, empty="no request's messages are known")
    elif as_json:
        print_json({"session_id": session_id, "requests": rows, "findings": problems})
    else:
        print_context(session_id, rows, problems)


def print_context(session_id: str, rows: list[Record], problems: list[Record]) -> None:
    """One session, for people; 80 columns."""
    if not rows:
        click.echo("no message list of this session is known", err=True)
        return
    requests = [row for row in rows if row["compaction"] != "request"] or rows
    sent = sum(row["total_bytes"] for row in rows)
    again = sum(row["resent_bytes"] for row in rows)
    click.secho(_fit(f"session {session_id}"), bold=True)
    share = f"; {again / sent:.0%} of what was sent had been sent before" if sent else ""
    click.echo(f"{len(rows):,} requests{share}")
    _print_anatomy(requests[-1])
    _print_growth(rows)
    if problems:
        click.echo()
        click.secho("Compactions and what was read again", bold=True)
    for problem in problems:
        click.echo(_fit(f"  {_clock(problem['first_at'])}  {problem['title']}"))
        waste = [
            _tokens(problem["wasted_tokens"]) and f"{_tokens(problem['wasted_tokens'])} tokens",
            problem["wasted_usd"] is not None and _dollars(problem["wasted_usd"]),
        ]
        if any(waste):
            click.echo(f"            cost {', '.join(str(one) for one in waste if one)}")


def _print_anatomy(row: Record) -> None:
    click.echo()
    total = row["total_bytes"]
    tokens = _tokens(row["input_tokens"])
    heading = f"The last request: {row['messages']:,} messages, {_kilobytes(total)}"
    if tokens:
        heading += f", {tokens} tokens"
    if tokens and row["cache_read_tokens"] is not None:
        heading += f" ({row['cache_read_tokens'] / max(1, row['input_tokens']):.0%} from cache)"
    click.secho(_fit(heading), bold=True)
    for field, label in _PARTS:
        size = row[field]
        if not size:
            continue
        _print_part(f"  {label}", size, total)
        if field == "tool_result_bytes":
            _print_named(row["parts"].get("tools", {}), total)
    if files := row["parts"].get("files"):
        click.echo("  of it files:")
        _print_named(files, total)


def _print_named(sizes: dict[str, int], total: int) -> None:
    named = list(sizes.items())
    for name, size in named[:_MOST_NAMED]:
        _print_part(f"    {name}", size, total)
    if rest := sum(size for _, size in named[_MOST_NAMED:]):
        _print_part(f"    {len(named) - _MOST_NAMED} more", rest, total)


def _print_part(label: str, size: int, total: int) -> None:
    from analysis import cells

    share = size / total if total else 0
    text = cells.one_line(label.strip())
    indent = label[: len(label) - len(label.lstrip())]
    room = 36 - len(indent)
    text = text if len(text) <= room else f"…{text[-(room - 1) :]}"  # of a path, its end
    bar = "█" * round(share * _BAR_CHARS)
    click.echo(f"{indent}{text:<{room}}{_kilobytes(size):>11} {share:>6.1%} {bar}".rstrip())


def _print_growth(rows: list[Record]) -> None:
    """A line a turn: the context at its end."""
    turns: dict[Any, list[Record]] = {}
    for row in rows:
        turns.setdefault(row["turn"], []).append(row)
    peak = max(row["total_bytes"] for row in rows) or 1
    click.echo()
    click.secho("Growth by turn", bold=True)
    click.echo(f"  {'turn':>4} {'calls':>5} {'context':>10} {'grown':>10} {'tokens':>7} again")
    shown = list(turns.items())
    if len(shown) > _MOST_TURNS:
        click.echo(f"  ({len(shown) - _MOST_TURNS} earlier turns)")
        shown = shown[-_MOST_TURNS:]
    for turn, held in shown:
        last = next((row for row in reversed(held) if row["compaction"] != "request"), held[-1])
        grown = sum(row["grown_bytes"] or 0 for row in held if row["compaction"] != "request")
        total = sum(row["total_bytes"] for row in held)
        again = sum(row["resent_bytes"] for row in held) / total if total else 0
        cut = " ✂" if any(row["compaction"] in ("after", "generic") for row in held) else ""
        bar = "█" * round(last["total_bytes"] / peak * 20)
        number = "–" if turn is None else str(turn)
        sign = "+" if grown >= 0 else "-"
        click.echo(
            f"  {number:>4} {len(held):>5} {_kilobytes(last['total_bytes']):>10} "
            f"{sign + _kilobytes(abs(grown)):>10} {_tokens(last['input_tokens']) or '–':>7} "
            f"{again:>5.0%} {bar}{cut}"
        )


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.1f} kB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"


def _tokens(value: int | None) -> str:
    from analysis import cells

    return "" if value is None else cells.tokens(value).text


def _dollars(value: float) -> str:
    from analysis import cells

    return cells.dollars(value).text


def _clock(moment: str | None) -> str:
    from analysis import cells

    return cells.clock(moment).text


def _fit(line: str) -> str:
    from underglass.printing import width

    room = min(width(), 160)
    return line if len(line) <= room else f"{line[: room - 1]}…"
