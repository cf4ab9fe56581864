"""`underglass footprint`: what one session touched, and what would have sufficed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from underglass.completing import SESSION_ID
from underglass.options import db_option, json_option
from underglass.service import reading_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.derived import FootprintRow

FORMATS = ("json", "claude", "srt", "bwrap")  # of analysis.profile_formats, which is not loaded yet
_TITLES = {
    "read": "files read",
    "written": "files written",
    "deleted": "files deleted",
    "program": "programs",
    "host": "hosts",
    "local_socket": "local sockets",
}


@click.command("footprint")
@click.argument("session", type=SESSION_ID)
@click.option(
    "--profile",
    "profile_format",
    type=click.Choice(FORMATS),
    help="Print the least privilege that would have sufficed, for a tool that enforces it.",
)
@db_option
@json_option
def command(session: str, profile_format: str | None, db: str | None, as_json: bool) -> None:
    """Show what SESSION and its family read, wrote, deleted, ran and reached.

    SESSION is an id or the beginning of one; sub-agents share its processes. Sensitive files are
    marked. What was read as a matter of course, and what was touched in crowds, stands as
    `directory/**`.
    """
    from analysis.derived import FootprintRow
    from analysis.reading import query, session_named
    from underglass.printing import print_json

    with reading_from(db, analysed=True) as reader:
        session_id = session_named(reader, session)
        steps = reader.rows(query("session_steps"), {"sessions": [session_id]})
        family = [one for one in steps.column("session_id") if one != session_id]
        found = reader.rows(query("footprint"), {"sessions": [session_id, *family]})
    rows = [FootprintRow(*row) for row in found]
    if profile_format is not None:
        from analysis.least_privilege import profile
        from analysis.profile_formats import FORMATS as WRITERS

        click.echo(WRITERS[profile_format](profile(rows)))
    elif as_json:
        print_json(found.records())
    else:
        _print(rows)


def _print(rows: Sequence[FootprintRow]) -> None:
    if not rows:
        click.echo("nothing is known of what this session touched", err=True)
        return
    from underglass.printing import width

    room = width()
    begun = False
    for kind, title in _TITLES.items():
        part = [row for row in rows if row.kind == kind]
        if not part:
            continue
        if begun:
            click.echo()
        begun = True
        click.secho(f"{title} ({len(part):,})", bold=True)
        for row in part:
            line = "  ".join(filter(None, (f"{row.count:>7,}", row.name, _about(row))))
            click.secho(line if len(line) <= room else line[: room - 1] + "…", fg=_colour(row))


def _about(row: FootprintRow) -> str:
    said = [
        f"[{row.sensitive}]" if row.sensitive else None,
        f"{row.failed:,} failed" if row.failed else None,
        row.detail,
        "not asked for by a tool call" if row.asked is False and row.sensitive else None,
    ]
    return ", ".join(filter(None, said))


def _colour(row: FootprintRow) -> str | None:
    if row.sensitive is not None:
        return "red"
    return "yellow" if row.failed else None
