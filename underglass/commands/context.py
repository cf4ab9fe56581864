"""`underglass context`: what fills the requests of a session, and what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from underglass.completing import SESSION_ID
from underglass.list_options import Asked, list_options
from underglass.listing import repeat, show_list, since_ns
from underglass.options import db_option, since_option

if TYPE_CHECKING:
    from analysis.reading import Reader
    from analysis.result import Record

_MOST_TURNS = 40
_BAR_CHARS = 24


@click.command("context")
@click.argument("session", required=False, type=SESSION_ID)
@db_option
@since_option
@list_options
def command(session: str | None, db: str | None, since: str | None, asked: Asked) -> None:
    """Show what fills the requests of SESSION, how it grew, what was compacted and sent again.

    SESSION is an id or the beginning of one; without it, one line for each session, of which
    --where, --sort, --limit and --csv are. Bytes are those of the messages, tokens the provider's.
    """
    from analysis.listed import Narrowed
    from analysis.use_columns import CONTEXTS

    start_ns = since_ns(since)
    if session is None:
        empty = "no request's messages are known"
        show_list(CONTEXTS, Narrowed(start_ns), asked, db, empty=empty, analysed=True)
        return
    if asked.where or asked.sort or asked.reverse or asked.as_csv:
        raise click.UsageError("--where, --sort, --reverse and --csv go without SESSION")

    def once(reader: Reader, asked: Asked) -> None:
        _print_session(reader, session, start_ns, asked)

    repeat(asked, db, once, analysed=True)


def _print_session(reader: Reader, session: str, start_ns: int | None, asked: Asked) -> None:
    from analysis.context_anatomy import context_records
    from analysis.findings import COMPACTION_KINDS, finding_records, findings
    from analysis.reading import session_named
    from underglass.printing import print_json

    session_id = session_named(reader, session)
    rows = context_records(reader, session_id, start_ns)
    problems = finding_records(
        findings(reader, session=session_id, kinds=COMPACTION_KINDS, since_ns=start_ns)
    )
    if asked.as_json:
        found = {"session_id": session_id, "requests": rows, "findings": problems}
        print_json(found, compact=asked.watch_s is not None)
    else:
        print_context(session_id, rows, problems)


def print_context(session_id: str, rows: list[Record], problems: list[Record]) -> None:
    """One session, for people; 80 columns."""
    if not rows:
        click.echo("no message list of this session is known", err=True)
        return
    from analysis.context_anatomy import sent_again, without_summaries

    again = sent_again(rows)
    click.secho(_fit(f"session {session_id}"), bold=True)
    share = "" if again is None else f"; {again:.0%} of what was sent had been sent before"
    click.echo(f"{len(rows):,} requests{share}")
    _print_anatomy(without_summaries(rows)[-1])
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
    from analysis.context_anatomy import parts_of

    click.echo()
    total = row["total_bytes"]
    tokens = _tokens(row["input_tokens"])
    heading = f"The last request: {row['messages']:,} messages, {_kilobytes(total)}"
    if tokens:
        heading += f", {tokens} tokens"
    if tokens and row["cache_read_tokens"] is not None:
        heading += f" ({row['cache_read_tokens'] / max(1, row['input_tokens']):.0%} from cache)"
    click.secho(_fit(heading), bold=True)
    for part in parts_of(row):
        if part.field == "files" and not part.level:
            click.echo("  of it files:")
        else:
            _print_part(f"{'  ' * (part.level + 1)}{part.name}", part.size_bytes, total)


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
    from analysis.context_anatomy import growth

    shown = growth(rows)
    peak = max(row["total_bytes"] for row in rows) or 1
    click.echo()
    click.secho("Growth by turn", bold=True)
    click.echo(f"  {'turn':>4} {'calls':>5} {'context':>10} {'grown':>10} {'tokens':>7} again")
    if len(shown) > _MOST_TURNS:
        click.echo(f"  ({len(shown) - _MOST_TURNS} earlier turns)")
        shown = shown[-_MOST_TURNS:]
    for one in shown:
        last, grown = one.last, one.grown_bytes
        bar = "█" * round(last["total_bytes"] / peak * 20)
        number = "–" if one.turn is None else str(one.turn)
        sign = "+" if grown >= 0 else "-"
        click.echo(
            f"  {number:>4} {len(one.requests):>5} {_kilobytes(last['total_bytes']):>10} "
            f"{sign + _kilobytes(abs(grown)):>10} {_tokens(last['input_tokens']) or '–':>7} "
            f"{one.again_share:>5.0%} {bar}{' ✂' if one.compacted else ''}"
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
